//! What the lock can say of a machine before anything is built: which QEMU it gets, and so which machine type.

use std::collections::BTreeMap;

use crate::debian::version;
use crate::lock::{Lock, LockedMachine};
use crate::recipe::Recipe;

/// Machines whose QEMU set holds a QEMU. The argv of one that did not change is carried over; whoever lowers machines fills
/// it in for the others.
pub(super) fn all(recipe: &Recipe, previous: Option<&Lock>, lock: &Lock) -> BTreeMap<String, LockedMachine> {
    let mut machines = BTreeMap::new();
    for (name, machine) in &recipe.machines {
        let packages = lock.sets.get(&machine.qemu.name).into_iter().flatten();
        let Some(qemu) = packages.into_iter().find(|package| package.name.starts_with("qemu-system-x86")) else {
            continue;
        };
        let number = upstream_number(&qemu.version);
        let machine_type = machine_type(&number);
        let before = previous.and_then(|lock| lock.machines.get(name)).filter(|before| before.qemu == number);
        let same_recipe = previous.is_some_and(|previous| previous.recipe == lock.recipe);
        let argv = before.filter(|_| same_recipe).map(|before| before.argv.clone()).unwrap_or_default();
        machines.insert(name.clone(), LockedMachine { qemu: number, machine_type, argv });
    }
    machines
}

/// `11.1.3` of `1:11.1.3+ds-1~bpo13+1`.
fn upstream_number(package: &str) -> String {
    let upstream = version::upstream(package);
    let end = upstream.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(upstream.len());
    upstream[..end].trim_end_matches('.').to_owned()
}

/// QEMU keeps `pc-q35-MAJOR.MINOR` for every release (hw/i386/pc_q35.c); `q35` alone means another one each time.
fn machine_type(number: &str) -> String {
    let mut parts = number.split('.');
    format!("pc-q35-{}.{}", parts.next().unwrap_or("0"), parts.next().unwrap_or("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_version_names_the_machine_type() {
        for (package, number, machine) in [
            ("1:11.1.3+ds-1~bpo13+1", "11.1.3", "pc-q35-11.1"),
            ("1:10.0.13+ds-0+deb13u1", "10.0.13", "pc-q35-10.0"),
            ("1:11.2.0~rc1+ds-1", "11.2.0", "pc-q35-11.2"),
        ] {
            assert_eq!(upstream_number(package), number);
            assert_eq!(machine_type(number), machine);
        }
    }
}

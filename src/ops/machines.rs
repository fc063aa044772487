//! The machines of a recipe with the QEMU of its lock: rules judged, argv written down.

use std::collections::BTreeMap;

use super::error::{LockError, OpsError};
use super::event::OpsEvent;
use super::first_boot;
use super::session::Session;
use crate::base::Diagnostic;
use crate::debian::version;
use crate::lock::{Lock, LockedMachine};
use crate::machine::argv::CommandLine;
use crate::machine::capability::{self, Emulator, KernelFacts};
use crate::machine::{Description, Findings, QemuOrigin, network, rules};
use crate::recipe::Recipe;
use crate::recipe::machine::Machine;
use crate::recipe::qemu::MachineQemu;

/// The version of the QEMU that the lock gives a machine: `1:11.1.3+ds-1~bpo13+1`; of one that a build makes, what the
/// recipe says of it.
pub fn qemu_version<'a>(lock: &'a Lock, machine: &'a Machine) -> Result<&'a str, OpsError> {
    let set = match &machine.qemu {
        MachineQemu::Packages(set) => set,
        MachineQemu::Built(built) => return Ok(&built.version.value),
    };
    let packages = lock.sets.get(&set.name);
    let qemu = machine.arch().facts().qemu.package;
    let package = packages.and_then(|packages| packages.iter().find(|package| package.name == qemu));
    let missing =
        || LockError::NoQemuPackage { set: set.name.clone(), machine: machine.name.clone(), package: qemu.to_owned() };
    Ok(package.map(|package| package.version.as_str()).ok_or_else(missing)?)
}

/// `11.1.3` of `1:11.1.3+ds-1~bpo13+1`.
pub fn upstream(version: &str) -> &str {
    let version = version::upstream(version);
    version.split(['+', '~']).next().unwrap_or(version)
}

fn emulator(lock: &Lock, machine: &Machine) -> Result<Emulator, OpsError> {
    let version = qemu_version(lock, machine)?;
    Ok(Emulator::of(version).ok_or_else(|| LockError::QemuVersion(version.to_owned()))?)
}

/// Judges every machine by every rule; warnings are told, errors end the operation.
pub fn judge(session: &Session<'_>, recipe: &Recipe, lock: &Lock) -> Result<(), OpsError> {
    let mut findings = Findings::default();
    findings.warnings.extend(first_boot::doubts(recipe, lock));
    for machine in recipe.machines.values() {
        let kernel = KernelFacts::locked(&recipe.kernels[&machine.kernel], lock);
        match emulator(lock, machine) {
            Ok(emulator) => findings.extend(capability::check(machine, &emulator, &kernel)),
            Err(OpsError::Lock(missing @ LockError::NoQemuPackage { .. })) => {
                let mistake = Diagnostic::new(machine.qemu.span(), missing.to_string()).label("no QEMU in it");
                findings.errors.push(mistake.related(machine.span, "the machine"));
            }
            Err(other) => return Err(other),
        }
    }
    conclude(session, recipe, findings)
}

/// Judges every machine by the rules that need no lock: versions count only as far as the recipe names them.
pub(super) fn judge_unlocked(session: &Session<'_>, recipe: &Recipe) -> Result<(), OpsError> {
    let mut findings = Findings::default();
    for machine in recipe.machines.values() {
        let kernel = KernelFacts::of(&recipe.kernels[&machine.kernel]);
        findings.errors.extend(capability::check_kernel(machine, &kernel));
    }
    conclude(session, recipe, findings)
}

/// Adds what the other rules say of the recipe to what the tables say.
fn conclude(session: &Session<'_>, recipe: &Recipe, mut findings: Findings) -> Result<(), OpsError> {
    findings.extend(rules::check_all(recipe));
    findings.warnings.extend(recipe.unused.iter().cloned());
    if !findings.warnings.is_empty() {
        session.on(OpsEvent::Warnings { sources: &recipe.sources, warnings: &findings.warnings });
    }
    if findings.errors.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, findings.errors)) }
}

/// A machine with its neighbours and the QEMU of its lock: what its argv is written from.
pub fn description(recipe: &Recipe, lock: &Lock, machine: &Machine) -> Result<Description, OpsError> {
    Ok(Description {
        machine: machine.clone(),
        networks: network::networks(&recipe.machines),
        qemu: upstream(qemu_version(lock, machine)?).to_owned(),
        origin: QemuOrigin::of(&machine.qemu),
        emulator: emulator(lock, machine)?,
        initrd: recipe.kernels[&machine.kernel].has_initrd(),
        disk: recipe.images[&machine.image].machine_disk().format,
    })
}

/// The argv that `launch.sh` runs.
pub fn command_line(recipe: &Recipe, lock: &Lock, machine: &Machine) -> Result<CommandLine, OpsError> {
    Ok(description(recipe, lock, machine)?.argv(|_| ()))
}

/// What the lock says of every machine.
pub fn locked(recipe: &Recipe, lock: &Lock) -> Result<BTreeMap<String, LockedMachine>, OpsError> {
    let one = |machine: &Machine| {
        let locked = LockedMachine {
            qemu: upstream(qemu_version(lock, machine)?).to_owned(),
            qemu_output: machine.qemu.built().map(|built| built.output.to_string()),
            machine_type: emulator(lock, machine)?.machine_type(machine.chipset.value),
            argv: command_line(recipe, lock, machine)?.template(),
            asked: Vec::new(),
        };
        Ok((machine.name.clone(), locked))
    };
    recipe.machines.values().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_versions_have_an_upstream_part() {
        assert_eq!(upstream("1:11.1.3+ds-1~bpo13+1"), "11.1.3");
        assert_eq!(upstream("1:11.2.0~rc1+ds-1"), "11.2.0");
        assert_eq!(upstream("10.0.2"), "10.0.2");
        assert_eq!(upstream("1:7.2+dfsg-7+deb12u7"), "7.2");
    }
}

//! systemd units: enabled, disabled and masked by the image's own `systemctl`, which works on files alone here.

use std::fmt::Write as _;

use super::Addition;
use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::plan::Statement;

/// A script that runs `systemctl --root=/` for every kind of change, if there is any; `born` are the units that act at
/// first boot.
pub(crate) fn script(Addition { spec, tree, .. }: &Addition<'_>, born: &[String]) -> Result<Option<String>, RootError> {
    let mut enable = spec.units.enable.clone();
    enable.extend_from_slice(born);
    if spec.dhcp {
        enable.push("systemd-networkd.service".to_owned());
        if tree.has("usr/lib/systemd/system/systemd-resolved.service")? {
            enable.push("systemd-resolved.service".to_owned());
        }
    }
    if spec.serial_console {
        // Without it the login would depend on the kernel's command line naming this console.
        enable.push(format!("serial-getty@{}.service", spec.architecture.serial(0)));
    }
    let mut script = "set -e\n".to_owned();
    for (verb, units) in [("enable", &enable), ("disable", &spec.units.disable), ("mask", &spec.units.mask)] {
        if let Some(odd) = units.iter().find(|unit| !is_unit_name(unit)) {
            return Err(RootError::from(StepFailure::bug(format!("`{odd}` is not the name of a systemd unit"))));
        }
        if !units.is_empty() {
            let _ = writeln!(script, "systemctl --root=/ --no-reload --quiet {verb} -- {}", units.join(" "));
        }
    }
    if script.lines().count() == 1 {
        return Ok(None);
    }
    if !tree.has("usr/bin/systemctl")? {
        let about = spec.units.enable.first().cloned().map_or(Statement::Block, Statement::Unit);
        return Err(StepFailure::recipe(about, "the image has no systemctl, which `enable` and `mask` need")
            .help("add the package systemd-sysv to the image")
            .into());
    }
    Ok(Some(script))
}

/// `systemd.unit(5)`: letters, digits and `:-_.\@`. The backslash is refused here, for it would stand in a script.
fn is_unit_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
}

//! Addresses by DHCP.

use super::Addition;
use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::plan::Statement;
use crate::recipe::image::MachineField;

/// Every Ethernet interface; `systemd.network(5)`.
const DHCP: &str = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n";

/// Writes the file; the unit is enabled with all the others.
pub(crate) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    if !spec.dhcp {
        return Ok(());
    }
    if !tree.has("usr/lib/systemd/system/systemd-networkd.service")? {
        return Err(StepFailure::recipe(Statement::Field(MachineField::Dhcp), "`dhcp` needs systemd-networkd")
            .help("add the package systemd-sysv to the image, or write `dhcp = false`")
            .into());
    }
    tree.directory("etc/systemd/network")?;
    Ok(tree.put("etc/systemd/network/80-dhcp.network", DHCP.as_bytes(), 0o644)?)
}

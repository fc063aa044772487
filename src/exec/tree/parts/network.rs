//! Addresses by DHCP.

use super::Addition;
use crate::exec::tree::RootError;

/// Every Ethernet interface; `systemd.network(5)`.
const DHCP: &str = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n";

/// Writes the file; the unit is enabled with all the others.
pub(crate) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    if !spec.dhcp {
        return Ok(());
    }
    if !tree.has("usr/lib/systemd/system/systemd-networkd.service")? {
        let text = "`dhcp` needs systemd-networkd: add the package systemd (systemd-sysv) to the image";
        return Err(RootError::Broken(text.to_owned()));
    }
    tree.directory("etc/systemd/network")?;
    Ok(tree.put("etc/systemd/network/80-dhcp.network", DHCP.as_bytes(), 0o644)?)
}

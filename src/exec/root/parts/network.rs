//! Addresses by DHCP.

use std::path::Path;

use super::super::{RootError, tree};
use crate::plan::root::RootSpec;

/// Every Ethernet interface; `systemd.network(5)`.
const DHCP: &str = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n";

/// Writes the file; the unit is enabled with all the others.
pub(super) fn apply(spec: &RootSpec, root: &Path) -> Result<(), RootError> {
    if !spec.dhcp {
        return Ok(());
    }
    if !root.join("usr/lib/systemd/system/systemd-networkd.service").exists() {
        let text = "`dhcp` needs systemd-networkd: add the package systemd (systemd-sysv) to the image";
        return Err(RootError::Broken(text.to_owned()));
    }
    put(root, "etc/systemd/network/80-dhcp.network", DHCP)
}

fn put(root: &Path, path: &str, text: &str) -> Result<(), RootError> {
    let place = root.join(path);
    if let Some(parent) = place.parent() {
        tree::directory(parent)?;
    }
    tree::put(&place, text.as_bytes(), 0o644)
}

//! Addresses by DHCP, and keys of the SSH server made at first boot.

use std::path::Path;

use super::super::{RootError, tree};
use crate::plan::root::RootSpec;

/// Every Ethernet interface; `systemd.network(5)`.
const DHCP: &str = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n";

/// Made once, before the server starts; `ssh-keygen -A` only makes keys that are missing.
const HOST_KEYS: &str = "[Unit]\nDescription=Make the SSH server's host keys\nBefore=ssh.service ssh.socket\n\
                         ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n\n\
                         [Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A\n\n\
                         [Install]\nWantedBy=multi-user.target\n";

/// The unit's name, for enabling it.
pub(super) const HOST_KEYS_UNIT: &str = "kiln-ssh-host-keys.service";

/// Writes the files; units are enabled with all the others.
pub(super) fn apply(spec: &RootSpec, root: &Path) -> Result<(), RootError> {
    if has_ssh(root) {
        put(root, &format!("etc/systemd/system/{HOST_KEYS_UNIT}"), HOST_KEYS)?;
    }
    if !spec.dhcp {
        return Ok(());
    }
    if !root.join("usr/lib/systemd/system/systemd-networkd.service").exists() {
        let text = "`dhcp` needs systemd-networkd: add the package systemd (systemd-sysv) to the image";
        return Err(RootError::Broken(text.to_owned()));
    }
    put(root, "etc/systemd/network/80-dhcp.network", DHCP)
}

/// Whether there is a server whose keys are made at first boot.
pub(super) fn has_ssh(root: &Path) -> bool {
    root.join("usr/sbin/sshd").exists() && root.join("usr/lib/systemd/systemd").exists()
}

fn put(root: &Path, path: &str, text: &str) -> Result<(), RootError> {
    let place = root.join(path);
    if let Some(parent) = place.parent() {
        tree::directory(parent)?;
    }
    tree::put(&place, text.as_bytes(), 0o644)
}

//! Rules about who a machine is: what must be born at first boot, and what must not come from the builder.

use std::path::Path;

use super::super::{RootError, tree};
use super::Terms;

/// An empty file, not an absent one: without it systemd takes the first boot for a factory reset and applies presets
/// again (`machine-id(5)`). D-Bus keeps a copy that would outlive it.
pub(super) fn machine_id(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    tree::remove(&root.join("var/lib/dbus/machine-id"))?;
    tree::remove(&root.join("etc/machine-info"))?;
    tree::put(&root.join("etc/machine-id"), b"", 0o444)
}

/// Seeds and keys that would be the same in every machine made from the image, and different in every build.
pub(super) fn secrets(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    for path in [
        "var/lib/systemd/random-seed",
        "var/lib/systemd/credential.secret",
        "var/lib/urandom/random-seed",
        "etc/bind/rndc.key",
        "etc/nvme/hostid",
        "etc/nvme/hostnqn",
        "etc/iscsi/initiatorname.iscsi",
        "etc/ssl/private/ssl-cert-snakeoil.key",
        "etc/ssl/certs/ssl-cert-snakeoil.pem",
    ] {
        tree::remove(&root.join(path))?;
    }
    // A link named after the certificate's hash points to it; it would dangle.
    for link in tree::entries(&root.join("etc/ssl/certs"))? {
        let target = std::fs::read_link(&link).unwrap_or_default();
        if target.ends_with("ssl-cert-snakeoil.pem") {
            tree::remove(&link)?;
        }
    }
    Ok(())
}

/// Made at first boot by a unit that the step installs.
pub(super) fn ssh_host_keys(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    for file in tree::entries(&root.join("etc/ssh"))? {
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")) {
            tree::remove(&file)?;
        }
    }
    Ok(())
}

/// A `resolv.conf` that packages made is the builder's; a link into `/run` or a file of the recipe stays.
pub(super) fn resolver(terms: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    let path = root.join("etc/resolv.conf");
    if path.is_symlink() || terms.files.iter().any(|file| file.path == "/etc/resolv.conf") {
        return Ok(());
    }
    if root.join("usr/lib/systemd/system/systemd-resolved.service").exists() {
        return tree::link(&path, "../run/systemd/resolve/stub-resolv.conf");
    }
    tree::remove(&path)
}

/// Apt sources come from the recipe: a package that writes some would name the builder's mirror.
pub(super) fn apt_sources(terms: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    if terms.files.iter().all(|file| file.path != "/etc/apt/sources.list") {
        tree::remove(&root.join("etc/apt/sources.list"))?;
    }
    Ok(())
}

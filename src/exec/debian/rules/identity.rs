//! Rules about who a machine is: what must be born at first boot, and what must not come from the builder.

use super::RuleInput;
use crate::exec::tree::{RootError, Tree};

const RESOLVER: &str = "etc/resolv.conf";

/// An empty file, not an absent one: without it systemd takes the first boot for a factory reset and applies presets
/// again (`machine-id(5)`). D-Bus keeps a copy that would outlive it.
pub(super) fn machine_id(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    tree.remove("var/lib/dbus/machine-id")?;
    tree.remove("etc/machine-info")?;
    Ok(tree.put("etc/machine-id", b"", 0o444)?)
}

/// Made at first boot by a unit that the step installs.
pub(super) fn ssh_host_keys(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    for file in tree.list("etc/ssh")? {
        if file.path().file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")) {
            file.remove()?;
        }
    }
    Ok(())
}

/// A `resolv.conf` that packages made is the builder's; a link into `/run` or a file of the recipe stays.
pub(super) fn resolver(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    let linked = tree.stat(RESOLVER)?.is_some_and(|stat| stat.link());
    if linked || terms.files.iter().any(|file| file.path.strip_prefix('/') == Some(RESOLVER)) {
        return Ok(());
    }
    if tree.has("usr/lib/systemd/system/systemd-resolved.service")? {
        return Ok(tree.link(RESOLVER, "../run/systemd/resolve/stub-resolv.conf")?);
    }
    Ok(tree.remove(RESOLVER)?)
}

/// Apt sources come from the recipe: a package that writes some would name the builder's mirror.
pub(super) fn apt_sources(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    if terms.files.iter().all(|file| file.path != "/etc/apt/sources.list") {
        tree.remove("etc/apt/sources.list")?;
    }
    Ok(())
}

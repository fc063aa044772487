//! What packages would make when they are configured and what must be born in each machine instead: keys and
//! databases with identities. A unit makes each at first boot; the rules keep the packages from making it here, or
//! remove it ([`super::configure_again`]).

use super::configure_again;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Tree};

/// Made once, before the server starts; `ssh-keygen -A` only makes keys that are missing. Debian 13 has a unit of its
/// own (`sshd-keygen.service`), but with `ConditionFirstBoot=yes`, which an empty machine-id does not fulfil.
/// It needs nothing but the file system, so it starts with the first services: an RSA key takes seconds of a processor.
const HOST_KEYS: &str = "[Unit]\nDescription=Make the SSH server's host keys\nDefaultDependencies=no\n\
                         After=local-fs.target\nBefore=ssh.service ssh.socket shutdown.target\nConflicts=shutdown.target\n\
                         ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n\n\
                         [Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A\n\n\
                         [Install]\nWantedBy=multi-user.target\n";

const HOST_KEYS_UNIT: &str = "kiln-ssh-host-keys.service";
const CLUSTER_UNIT: &str = "kiln-postgresql-cluster.service";
const SYSTEMD: &str = "usr/lib/systemd/systemd";

/// Writes the units that this system needs, and returns their names for enabling.
pub(super) fn apply(addition: &Addition<'_>) -> Result<Vec<String>, RootError> {
    let Addition { tree, .. } = addition;
    let mut units = Vec::new();
    if !has_systemd(tree) {
        return Ok(Vec::new());
    }
    if tree.has("usr/sbin/sshd")? {
        units.push((HOST_KEYS_UNIT, HOST_KEYS.to_owned()));
    }
    if let Some(version) = postgresql(tree)? {
        units.push((CLUSTER_UNIT, cluster(&version)));
    }
    units.extend(configure_again::unit(addition)?);
    let mut names = Vec::new();
    for (name, text) in units {
        tree.directory("etc/systemd/system")?;
        tree.put(format!("etc/systemd/system/{name}"), text.as_bytes(), 0o644)?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether the tree has the program that runs units, be it its init or not.
pub(super) fn has_systemd(tree: &Tree) -> bool {
    tree.at(SYSTEMD).is_ok_and(|program| program.taken())
}

/// What a unit of its own makes.
pub(super) struct Made {
    /// Of this package.
    pub(super) package: &'static str,
    /// A file or directory of it.
    pub(super) path: String,
}

/// What the units of servers make, where the recipe does not bring it.
pub(super) fn made(addition: &Addition<'_>) -> Result<Vec<Made>, RootError> {
    let states_below = |start: &str| addition.spec.files.iter().any(|file| file.path.starts_with(start));
    let mut made = Vec::new();
    if addition.tree.has("usr/sbin/sshd")? && !states_below("/etc/ssh/ssh_host_") {
        made.push(Made { package: "openssh-server", path: "/etc/ssh/ssh_host_ed25519_key".to_owned() });
    }
    if let Some(version) = postgresql(addition.tree)? {
        let path = format!("/etc/postgresql/{version}/main");
        if !states_below(&path) {
            made.push(Made { package: "postgresql-common", path });
        }
    }
    Ok(made)
}

/// The newest server version that is installed.
fn postgresql(tree: &Tree) -> Result<Option<String>, RootError> {
    let mut newest: Option<(u32, String)> = None;
    for entry in tree.list("usr/lib/postgresql")? {
        let name = entry.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.parse().unwrap_or(0);
        let installed = number > 0 && tree.has(entry.path().join("bin/initdb"))?;
        if installed && newest.as_ref().is_none_or(|(old, _)| *old < number) {
            newest = Some((number, name));
        }
    }
    Ok(newest.map(|(_, name)| name))
}

/// The call that `postgresql-common` makes in its scripts, at boot.
fn cluster(version: &str) -> String {
    format!(
        "[Unit]\nDescription=Make the PostgreSQL cluster {version}/main\nAfter=local-fs.target systemd-tmpfiles-setup.service\n\
         ConditionPathExists=!/etc/postgresql/{version}/main\n\n\
         [Service]\nType=oneshot\nExecStart=/usr/bin/pg_createcluster -u postgres --no-status --start {version} main\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

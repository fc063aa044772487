//! What packages would make when they are configured and what must be born in each machine instead: keys and
//! databases with identities. A unit makes each at first boot; the rules keep the packages from making it here, or
//! remove it ([`super::configure_again`]).

use super::configure_again;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Tree};

/// Made once, before the server starts. Debian 13 has a unit of its own (`sshd-keygen.service`), but with
/// `ConditionFirstBoot=yes`, which an empty machine-id does not fulfil. It needs nothing but the file system, so it starts
/// with the first services. A key gets its name when it is written, so that a machine that loses its power makes it again.
const HOST_KEYS: &str = "[Unit]\nDescription=Make the SSH server's host keys\nDefaultDependencies=no\n\
                         After=local-fs.target\nBefore=ssh.service ssh.socket shutdown.target\nConflicts=shutdown.target\n\
                         ConditionFileNotEmpty=!/etc/ssh/ssh_host_ed25519_key\n\n\
                         [Service]\nType=oneshot\n\
                         ExecStart=/bin/sh -ec 'new=/etc/ssh/.new-host-key; for kind in ecdsa ed25519; do \
                         key=/etc/ssh/ssh_host_$${kind}_key; [ ! -s $$key ] || continue; rm -f $$new $$new.pub; \
                         ssh-keygen -q -t $$kind -N \"\" -f $$new; sync $$new $$new.pub; \
                         mv -f $$new.pub $$key.pub; mv -f $$new $$key; done'\n\n\
                         [Install]\nWantedBy=multi-user.target\n";

/// The key that only clients older than OpenSSH 6.5 ask for takes a third of a boot's work: whoever waits for the machine
/// does not wait for it. `ssh-keygen -A` makes whatever is missing.
const RSA_KEY: &str = "[Unit]\nDescription=Make the SSH server's RSA host key\nAfter=ssh.service\n\
                       ConditionPathExists=!/etc/ssh/ssh_host_rsa_key\n\n\
                       [Service]\nType=oneshot\nNice=19\nCPUSchedulingPolicy=idle\n\
                       ExecStart=/usr/bin/ssh-keygen -A\nExecStart=-/usr/bin/systemctl try-reload-or-restart ssh.service\n";

const RSA_KEY_TIMER: &str = "[Unit]\nDescription=Make the SSH server's RSA host key after the boot\nAfter=multi-user.target\n\
                             ConditionPathExists=!/etc/ssh/ssh_host_rsa_key\n\n\
                             [Timer]\nOnActiveSec=5s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n";

const ED25519_KEY: &str = "etc/ssh/ssh_host_ed25519_key";
const HOST_KEYS_UNIT: &str = "kiln-ssh-host-keys.service";
const RSA_KEY_UNIT: &str = "kiln-ssh-rsa-host-key.service";
const RSA_KEY_TIMER_UNIT: &str = "kiln-ssh-rsa-host-key.timer";
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
        // Whoever brings that key has no unit that makes others. The keys of the packages are gone.
        if !tree.has(ED25519_KEY)? {
            // Its timer starts it; what has no section `[Install]` is not enabled.
            tree.directory("etc/systemd/system")?;
            tree.put(format!("etc/systemd/system/{RSA_KEY_UNIT}"), RSA_KEY.as_bytes(), 0o644)?;
            units.push((RSA_KEY_TIMER_UNIT, RSA_KEY_TIMER.to_owned()));
        }
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
        made.push(Made { package: "openssh-server", path: format!("/{ED25519_KEY}") });
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

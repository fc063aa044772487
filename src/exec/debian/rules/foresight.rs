//! Files that are there only while packages are configured, so that scripts do not start or make something.

use super::RuleInput;
use crate::exec::tree::{RootError, Tree};

/// Asked by `invoke-rc.d` before it starts a service; 101 forbids it (`/usr/share/doc/init-system-helpers`).
const POLICY: &str = "usr/sbin/policy-rc.d";

/// `openssh-server` makes keys that do not exist: seconds of work for what the rule `ssh-host-keys` throws away.
const HOST_KEYS: [&str; 3] = ["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ed25519_key"];

/// `postgresql-common` makes a cluster, with an identifier and times in it, unless it is told not to; a unit makes it at
/// first boot (`createcluster.conf` includes this directory).
const CLUSTERS: &str = "etc/postgresql-common/createcluster.d";
const CLUSTER: &str = "etc/postgresql-common/createcluster.d/kiln.conf";

/// Puts them there, before any script runs; `coming` are packages that dpkg unpacks only then.
pub(crate) fn foresee(tree: &Tree, coming: &[&str]) -> Result<(), RootError> {
    tree.put(POLICY, b"#!/bin/sh\nexit 101\n", 0o755)?;
    if tree.has("usr/sbin/sshd")? || coming.contains(&"openssh-server") {
        tree.directory("etc/ssh")?;
        for key in HOST_KEYS {
            tree.put(key, b"", 0o600)?;
        }
    }
    // Not `postgresql-common` itself, which diverts files and so is unpacked later, by dpkg.
    if tree.has("usr/lib/postgresql")? || coming.iter().any(|name| name.starts_with("postgresql")) {
        tree.directory(CLUSTERS)?;
        tree.put(CLUSTER, b"create_main_cluster = false\n", 0o644)?;
    }
    Ok(())
}

/// Takes them away again; the keys have a rule of their own.
pub(super) fn remove(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    tree.remove(POLICY)?;
    tree.remove(CLUSTER)?;
    // The directory is not in the package; scripts of the recipe may have filled it.
    for directory in [CLUSTERS, "etc/postgresql-common"] {
        let _ = tree.at(directory).and_then(|place| place.remove_directory());
    }
    Ok(())
}

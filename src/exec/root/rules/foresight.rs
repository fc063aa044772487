//! Files that are there only while packages are configured, so that scripts do not start or make something.

use std::path::Path;

use super::super::{RootError, tree};
use super::Terms;

/// Asked by `invoke-rc.d` before it starts a service; 101 forbids it (`/usr/share/doc/init-system-helpers`).
const POLICY: &str = "usr/sbin/policy-rc.d";

/// `openssh-server` makes keys that do not exist: seconds of work for what the rule `ssh-host-keys` throws away.
const HOST_KEYS: [&str; 3] = ["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ed25519_key"];

/// `postgresql-common` makes a cluster, with an identifier and times in it, unless it is told not to; a unit makes it at
/// first boot (`createcluster.conf` includes this directory).
const CLUSTER: (&str, &[u8]) = ("etc/postgresql-common/createcluster.d/kiln.conf", b"create_main_cluster = false\n");

/// Puts them there, before any script runs.
pub(crate) fn foresee(root: &Path) -> Result<(), RootError> {
    tree::put(&root.join(POLICY), b"#!/bin/sh\nexit 101\n", 0o755)?;
    if root.join("usr/sbin/sshd").exists() {
        for key in HOST_KEYS {
            tree::put(&root.join(key), b"", 0o600)?;
        }
    }
    // Not `postgresql-common` itself, which diverts files and so is unpacked later, by dpkg.
    if root.join("usr/lib/postgresql").exists() {
        let place = root.join(CLUSTER.0);
        place.parent().map_or(Ok(()), tree::directory)?;
        tree::put(&place, CLUSTER.1, 0o644)?;
    }
    Ok(())
}

/// Takes them away again; the keys have a rule of their own.
pub(super) fn remove(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    tree::remove(&root.join(POLICY))?;
    tree::remove(&root.join(CLUSTER.0))?;
    // The directory is not in the package; scripts of the recipe may have filled it.
    let _ = root.join(CLUSTER.0).parent().map(std::fs::remove_dir);
    Ok(())
}

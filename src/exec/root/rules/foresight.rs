//! Files that are there only while packages are configured, so that scripts do not start or make something.

use std::path::Path;

use super::super::{RootError, tree};
use crate::plan::root::RootSpec;

/// Asked by `invoke-rc.d` before it starts a service; 101 forbids it (`/usr/share/doc/init-system-helpers`).
const POLICY: &str = "usr/sbin/policy-rc.d";

/// `openssh-server` makes keys that do not exist: seconds of work for what the rule `ssh-host-keys` throws away.
const HOST_KEYS: [&str; 3] = ["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ed25519_key"];

/// Puts them there, before any script runs.
pub(crate) fn foresee(root: &Path) -> Result<(), RootError> {
    tree::put(&root.join(POLICY), b"#!/bin/sh\nexit 101\n", 0o755)?;
    if root.join("usr/sbin/sshd").exists() {
        for key in HOST_KEYS {
            tree::put(&root.join(key), b"", 0o600)?;
        }
    }
    Ok(())
}

/// Takes them away again; the keys have a rule of their own.
pub(super) fn remove(_: &RootSpec, root: &Path) -> Result<(), RootError> {
    tree::remove(&root.join(POLICY))
}

//! Processes in namespaces of their own: the only unsafe code of kiln.
//!
//! Input: a [`Spec`]: a sandbox as a value. Output: a running process, or its exit status and its lines.
//! It must not know plans, stores or artifacts.

#![allow(
    unsafe_code,
    reason = "namespaces and inherited descriptors have no safe interface; nothing else in kiln needs any"
)]
#![allow(clippy::disallowed_methods, reason = "pid 1 arranges mounts; its errors name what was tried")]

mod bound;
mod cancel;
mod cgroup;
mod directory;
mod error;
mod follow;
mod idle;
mod ids;
mod init;
pub mod inside;
mod job;
mod keyring;
pub mod kvm;
mod libraries;
mod limits;
mod lines;
mod measure;
mod monitor;
mod mount;
mod mounts;
mod privileges;
mod refused;
mod root;
mod running;
pub mod seccomp;
mod spawn;
mod stage;
mod usage;
mod waits;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use bound::{Bound, Exceeded, Limit, LimitError};
pub use cancel::{SandboxGroup, cancel_all, cancelled, permit_all};
pub use directory::{DirectoryAccess, DirectoryIdentity, HostDirectory};
pub use error::{EntryError, SandboxError};
pub use follow::SandboxEvent;
pub use ids::{builder, range_possible};
pub use limits::Limits;
pub(crate) use limits::tree_options;
pub use privileges::Privileges;
pub use running::Running;
pub use spawn::{Call, Streams, call, namespaces_possible, run, run_within, spawn, spawn_within, use_program};

/// The name of every machine that a sandbox shows, but where a program is to see another one.
pub const HOST_NAME: &str = "kiln";

/// A process and everything it can see. It reaches no network, not even loopback of the host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// Becomes `/`.
    pub root: Root,
    /// Mounted on top, in order. `/proc`, a private `/tmp` and a minimal `/dev` are always there.
    pub mounts: Vec<Mount>,
    /// Directories of the user's own, after those.
    pub directories: Vec<HostDirectory>,
    /// User ids inside.
    pub ids: SandboxIds,
    /// What it may do beyond an ordinary process.
    pub privileges: Privileges,
    /// The name of the machine, as `uname` tells it.
    pub hostname: String,
    pub env: BTreeMap<String, String>,
    /// Program, absolute inside, and arguments.
    pub argv: Vec<String>,
    /// Working directory inside.
    pub cwd: PathBuf,
    /// How long its processes may take to end in good order when the sandbox is ended from outside: they are told so by SIGTERM
    /// first. Without any such time they are killed.
    pub grace: Duration,
}

/// What becomes `/`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Root {
    /// A directory that stays as it is. Mount points that it lacks are provided on a tmpfs above it.
    ReadOnly(PathBuf),
    /// A directory that the process may change.
    Writable(PathBuf),
    /// Nothing but mount points.
    Empty,
}

/// One bind mount. Set-uid bits count for nothing in it, and device nodes do not open, but for a source that is itself a
/// device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mount {
    /// File, directory or device outside.
    pub source: PathBuf,
    /// Absolute path inside; created when missing.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub readonly: bool,
}

/// User ids inside a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SandboxIds {
    /// Only 0, which is the caller (of root: an id that nobody uses).
    Single,
    /// 0 to 65535, from the caller's subordinate ids (of root: a range that nobody uses).
    Range,
    /// No new user namespace: the caller is already inside one, made by [`call`](self).
    Inherit,
}

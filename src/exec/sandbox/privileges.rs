//! What the program of a sandbox may do beyond an ordinary process: capabilities, and gaining more of them.

use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use super::SandboxError;

/// What a program, and everything that it starts, may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privileges {
    /// What installing packages takes: [`KEPT`], for user 0 inside.
    Build,
    /// Nothing, and no way to get it: no capability in any set, and `execve` grants none (`no_new_privs`).
    None,
    /// The same for a program that insists on giving up by itself what it does not have, which takes a capability
    /// (`CAP_SETPCAP`, capabilities(7)).
    GivingUp,
}

/// What a program inside may still do as root: enough to install packages, too little to undo the sandbox's mounts.
/// It is the list that container engines give by default.
const KEPT: [CapabilitySet; 14] = [
    CapabilitySet::AUDIT_WRITE,
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FOWNER,
    CapabilitySet::FSETID,
    CapabilitySet::KILL,
    CapabilitySet::MKNOD,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::NET_RAW,
    CapabilitySet::SETFCAP,
    CapabilitySet::SETGID,
    CapabilitySet::SETPCAP,
    CapabilitySet::SETUID,
    CapabilitySet::SYS_CHROOT,
];

/// Gives up, in this process and all that it starts from now on, what the program may not have. Pid 1 calls it last
/// before the program: it needs nothing itself to bury processes of its own user.
pub(super) fn give_up(privileges: Privileges) -> Result<(), SandboxError> {
    let failed = |error| SandboxError::setup("give up capabilities", error);
    let kept = match privileges {
        Privileges::Build => &KEPT[..],
        Privileges::GivingUp => &[CapabilitySet::SETPCAP],
        Privileges::None => &[],
    };
    for capability in CapabilitySet::all().iter().filter(|capability| !kept.contains(capability)) {
        // Those that the kernel does not know are not held either.
        if rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(capability).map_err(failed)?;
        }
    }
    if privileges == Privileges::Build {
        return Ok(());
    }
    rustix::thread::set_no_new_privs(true).map_err(|error| SandboxError::setup("forbid new privileges", error))?;
    rustix::thread::clear_ambient_capability_set().map_err(failed)?;
    let held = kept.iter().fold(CapabilitySet::empty(), |held, one| held | *one);
    let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(failed)
}

//! What every object of a store is like, whoever made it: one owner, one mode, one time, one name, nothing attached.
//!
//! Steps run programs of others. What they leave may have set-user-id bits, capabilities, access lists, an owner that
//! only their sandbox knows, or a second name under which it could still be written.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{Gid, Mode, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// The modification time of everything in a store: steps see it, and may look. The first second of 1970 itself is
/// "no time" to some programs.
pub(super) const TIME: Duration = Duration::from_secs(1);

/// Whose the objects of a store are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

impl Owner {
    pub(super) fn of(stat: &Stat) -> Owner {
        Owner { uid: stat.st_uid, gid: stat.st_gid }
    }
}

/// Makes a file or directory that this process may change an object. It is an error when something cannot be taken away.
pub(super) fn settle(object: impl AsFd, mode: u32, owner: Owner) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(&object)?;
    if Owner::of(&stat) != owner {
        rustix::fs::fchown(&object, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
    }
    detach(&object)?;
    // After the owner, for a change of that may change these.
    rustix::fs::fchmod(&object, Mode::from_raw_mode(mode))?;
    let time = Timespec { tv_sec: TIME.as_secs() as i64, tv_nsec: 0 };
    rustix::fs::futimens(&object, &Timestamps { last_access: time, last_modification: time })
}

/// Removes extended attributes: capabilities, access lists, and whatever programs attached.
fn detach(object: impl AsFd) -> rustix::io::Result<()> {
    let mut names = match rustix::fs::flistxattr_query(&object) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(length) => vec![0; length],
        Err(error) => return Err(error),
    };
    let length = rustix::fs::flistxattr(&object, names.as_mut_slice())?;
    let names: Vec<&[u8]> = names[..length].split(|byte| *byte == 0).filter(|name| !kept(name)).collect();
    if !names.is_empty() {
        // Attributes of users can only be removed from what may be written.
        rustix::fs::fchmod(&object, Mode::from_raw_mode(0o700))?;
    }
    for name in names {
        match rustix::fs::fremovexattr(&object, name) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Labels that the machine itself gives to every file are no work of the step.
fn kept(name: &[u8]) -> bool {
    let machine = name.starts_with(b"security.") && name != b"security.capability";
    name.is_empty() || machine || !name.contains(&b'.')
}

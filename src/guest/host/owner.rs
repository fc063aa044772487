//! Whether somebody else can put another directory in the place of one: what is made below it is found again, and removed, by
//! its path.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::guest::GuestError;
use crate::world::fs;

const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;

/// Why `path`, which has no links in it, is no place for files of this user alone.
pub(super) fn others_may_move(path: &Path) -> Result<Option<String>, GuestError> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    for directory in path.ancestors() {
        let found = fs::metadata(directory)?;
        // In a sticky directory only the owner of an entry renames it.
        let writable = match found.mode() & STICKY {
            0 => found.mode() & OTHERS_WRITE != 0 || found.mode() & GROUP_WRITES != 0 && !is_own(found.gid(), group),
            _ => false,
        };
        let what = match (is_own(found.uid(), user), writable) {
            (false, _) => format!("{} belongs to another user (uid {})", directory.display(), found.uid()),
            (_, true) => format!("other users may write to {}", directory.display()),
            (true, false) => continue,
        };
        return Ok(Some(format!("{what}, who could put another directory in its place: choose one of your own")));
    }
    Ok(None)
}

fn is_own(id: u32, own: u32) -> bool {
    id == 0 || id == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_of_ones_own_is_taken() {
        let base = std::env::temp_dir().join(format!("kiln-host-owner-{}", std::process::id()));
        let inner = base.join("inner");
        fs::create_dir_all(&inner).unwrap();
        let base = base.canonicalize().unwrap();
        let inner = base.join("inner");
        let judge = |mode: u32| {
            rustix::fs::chmod(&base, rustix::fs::Mode::from_raw_mode(mode)).unwrap();
            others_may_move(&inner).unwrap()
        };
        assert_eq!((judge(0o700), judge(0o755), judge(0o1777)), (None, None, None));
        let said = judge(0o777).unwrap();
        assert!(said.contains("other users may write to") && said.contains("choose one of your own"), "{said}");
        judge(0o700);
        fs::remove_tree(&base).unwrap();
    }
}

//! Remembers which files were found to have which digest, so that an unchanged file need not be read again.
//!
//! One line a fact, appended whole; a line that cannot be read is no fact. Whoever may write the store may write
//! wrong facts, and could as well replace kiln.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::base::Digest;
use crate::world::{WorldError, fs};

/// The file is written anew without old facts when it is longer.
const COMPACT_FROM_BYTES: usize = 16 << 20;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp([i128; 6]);

impl Stamp {
    /// Of the file at `path`, not following a link.
    pub(super) fn at(path: &Path) -> Option<Stamp> {
        rustix::fs::lstat(path).ok().as_ref().map(Stamp::from)
    }
}

impl Stamp {
    /// Of a file that is open.
    pub(super) fn of(file: &std::fs::File) -> Option<Stamp> {
        rustix::fs::fstat(file).ok().as_ref().map(Stamp::from)
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.0[2]).unwrap_or(u64::MAX)
    }

    /// When the inode changed last, in nanoseconds of the file system's clock.
    pub fn changed(&self) -> i128 {
        self.0[5]
    }

    /// When the file or its inode changed last, in nanoseconds of the file system's clock.
    pub fn newest(&self) -> i128 {
        self.0[4].max(self.0[5])
    }
}

impl From<&rustix::fs::Stat> for Stamp {
    /// Of a file as it is now.
    fn from(stat: &rustix::fs::Stat) -> Stamp {
        let nanos = |seconds: i64, nanos: u64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Stamp([
            stat.st_dev.into(),
            stat.st_ino.into(),
            stat.st_size.into(),
            stat.st_mode.into(),
            nanos(stat.st_mtime, stat.st_mtime_nsec),
            nanos(stat.st_ctime, stat.st_ctime_nsec),
        ])
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [dev, ino, size, mode, mtime, ctime] = self.0;
        write!(f, "{dev} {ino} {size} {mode} {mtime} {ctime}")
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Stamp, ()> {
        let mut numbers = [0; 6];
        let mut words = text.split(' ');
        for number in &mut numbers {
            *number = words.next().and_then(|word| word.parse().ok()).ok_or(())?;
        }
        if words.next().is_none() { Ok(Stamp(numbers)) } else { Err(()) }
    }
}

/// Every fact.
#[derive(Debug)]
pub(super) struct Stamps {
    path: PathBuf,
    facts: BTreeSet<(Digest, Stamp)>,
}

impl Stamps {
    /// The facts of earlier processes.
    pub(super) fn read(path: &Path) -> Result<Stamps, WorldError> {
        let mut text = Vec::new();
        // Whoever may write it decides what is believed; a link is not followed.
        let mut file = fs::open_grow(path)?;
        fs::context(
            "set the mode of",
            path,
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)),
        )?;
        fs::context("read", path, std::io::Read::read_to_end(&mut file, &mut text))?;
        let facts: BTreeSet<(Digest, Stamp)> = String::from_utf8_lossy(&text).lines().filter_map(parse).collect();
        let stamps = Stamps { path: path.to_owned(), facts };
        if text.len() > COMPACT_FROM_BYTES {
            stamps.rewrite()?;
        }
        Ok(stamps)
    }

    /// Whether a file in this state has this digest.
    pub(super) fn know(&self, digest: &Digest, stamp: Stamp) -> bool {
        self.facts.contains(&(*digest, stamp))
    }

    /// Remembers that it has.
    pub(super) fn learn(&mut self, digest: Digest, stamp: Stamp) -> Result<(), WorldError> {
        if self.facts.insert((digest, stamp)) {
            fs::append(&self.path, format!("{digest} {stamp}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Keeps one fact for each inode: older states of it cannot come back.
    fn rewrite(&self) -> Result<(), WorldError> {
        let mut newest: BTreeMap<(i128, i128), &(Digest, Stamp)> = BTreeMap::new();
        for fact in &self.facts {
            let [dev, ino, .., ctime] = fact.1.0;
            let kept = newest.entry((dev, ino)).or_insert(fact);
            if kept.1.0[5] < ctime {
                *kept = fact;
            }
        }
        let text: String = newest.values().map(|(digest, stamp)| format!("{digest} {stamp}\n")).collect();
        fs::write_with_mode(&self.path, text.as_bytes(), 0o600)
    }
}

fn parse(line: &str) -> Option<(Digest, Stamp)> {
    let (digest, stamp) = line.split_once(' ')?;
    Some((digest.parse().ok()?, stamp.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_and_broken_lines_do_not() {
        let path = std::env::temp_dir().join(format!("kiln-stamps-{}", std::process::id()));
        let (digest, stamp) = (Digest::of(b"x"), Stamp([1, 2, 3, 4, 5, -6]));
        let mut stamps = Stamps::read(&path).unwrap();
        stamps.learn(digest, stamp).unwrap();
        fs::append(&path, format!("{digest} 1 2 3\n\u{fffd}\n{digest} 1 2 3 4 5 6 7\n").as_bytes()).unwrap();
        let again = Stamps::read(&path).unwrap();
        assert!(again.know(&digest, stamp) && again.facts.len() == 1);
        assert!(!again.know(&Digest::of(b"y"), stamp));
        fs::remove_file(&path).unwrap();
    }
}

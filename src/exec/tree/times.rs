//! Times of files: those that packages bring stay, up to the epoch; whatever was made or changed here is from the epoch.
//!
//! The builder's clock says which is which, and it may be slow: then what scripts make is older than the epoch, and what
//! a package brings may be younger than now. So the moment at which the build began is taken from the file system that
//! stamps the files, and the times of packaged files after it are remembered.

use std::collections::BTreeSet;
use std::io;

use super::{Package, RootError, Tree};
use crate::base::Timestamp;

/// A file that is there for a moment.
const MARK: &str = ".kiln-began";

/// What tells the times of packages from the time of the build.
pub(crate) struct Times {
    epoch: i64,
    /// Seconds: nothing is made before.
    began: i64,
    /// Times of packaged files that are not before.
    packaged: BTreeSet<i64>,
}

impl Times {
    /// Asks the file system of a tree, which is empty, what time it is.
    pub(crate) fn begin(tree: &Tree, epoch: Timestamp) -> Result<Times, RootError> {
        tree.put(MARK, b"", 0o600)?;
        let began = tree.stat(MARK)?.map_or(0, |stat| stat.mtime);
        tree.remove(MARK)?;
        Ok(Times { epoch: epoch.0, began, packaged: BTreeSet::new() })
    }

    /// Learns the times in a package that somebody else unpacks later.
    pub(crate) fn learn_package(&mut self, package: &impl Package) -> Result<(), RootError> {
        let (_, mut files) = package.open()?;
        while let Some(entry) = files.next()? {
            // Who unpacks it later is told the same: here it is only seen which patterns match.
            let _ = package.leaves_out(&entry);
            self.learn(entry.attributes.mtime);
            let drained = io::copy(&mut *files, &mut io::sink());
            drained.map_err(|error| RootError::package(package.name(), error))?;
        }
        Ok(())
    }

    /// Learns one time of a packaged file.
    pub(crate) fn learn(&mut self, mtime: i64) {
        if mtime >= self.began {
            self.packaged.insert(mtime);
        }
    }

    /// The time that a file with this time gets.
    pub(crate) fn settle(&self, mtime: i64) -> i64 {
        let made_here = mtime >= self.began && !self.packaged.contains(&mtime);
        if made_here { self.epoch } else { mtime.clamp(0, self.epoch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_clock_changes_nothing() {
        let epoch = 1_000_000;
        let package = [5, 999_000, 1_000_500];
        let settled = |now: i64| {
            let mut times = Times { epoch, began: now, packaged: BTreeSet::new() };
            package.into_iter().for_each(|mtime| times.learn(mtime));
            [package[0], package[1], package[2], now, now + 30].map(|mtime| times.settle(mtime))
        };
        let expected = [5, 999_000, epoch, epoch, epoch];
        for now in [epoch + 400 * 86_400, epoch - 86_400, 998_990, 7] {
            assert_eq!(settled(now), expected, "at {now}");
        }
    }
}

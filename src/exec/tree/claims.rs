//! Who may write a path when packages are unpacked side by side.
//!
//! The outcome must not depend on which thread comes first, so every rule compares packages, never moments:
//! the stronger package keeps a file, the earliest package decides the attributes of a directory, and a directory
//! always beats a symbolic link (dpkg, too, keeps a directory that a package would replace by a link).

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use super::Tree;

/// Owner, permissions and time of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
}

impl Attributes {
    /// Of directories that no package names.
    pub(crate) const IMPLICIT: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
}

/// Which of two packages keeps a file that both ship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of the two.
    First,
    Second,
    /// Neither may.
    Conflict,
}

/// Every path of a tree that is being unpacked.
pub(crate) struct Claims<'a> {
    tree: &'a Tree,
    paths: Mutex<BTreeMap<String, Claim>>,
    judge: &'a (dyn Fn(usize, usize) -> Verdict + Sync),
}

#[derive(Debug, Clone)]
enum Claim {
    /// Package and, for directories named in a package, their attributes.
    Directory(usize, Attributes),
    /// Package, and whether it is a symbolic link.
    Leaf(usize, bool),
}

/// What to do about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nobody has it: create it.
    Create,
    /// A weaker package has it: put it there under another name and move it over.
    Replace,
    /// A stronger package has it.
    Skip,
}

/// Two packages that cannot both be unpacked.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// They claim one path: the packages' positions.
    Conflict(usize, usize),
    /// The directory could not be made.
    Io(io::Error),
}

/// The owner of directories that no package names.
pub(crate) const NOBODY: usize = usize::MAX;

impl<'a> Claims<'a> {
    pub(crate) fn new(tree: &'a Tree, judge: &'a (dyn Fn(usize, usize) -> Verdict + Sync)) -> Self {
        Claims { tree, paths: Mutex::new(BTreeMap::new()), judge }
    }

    /// Where the files are written.
    pub(crate) fn tree(&self) -> &'a Tree {
        self.tree
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Claim>> {
        self.paths.lock().expect("no thread panics while it holds the claims")
    }

    /// Asks for a file or link. Its parents become directories.
    pub(crate) fn leaf(&self, path: &str, (package, link): (usize, bool)) -> Result<Answer, Refusal> {
        let mut paths = self.lock();
        if let Some((parent, _)) = path.rsplit_once('/') {
            directory(&mut paths, self.tree, parent, (NOBODY, Attributes::IMPLICIT))?;
        }
        let answer = match paths.get(path) {
            None => Answer::Create,
            Some(Claim::Directory(..)) if link => return Ok(Answer::Skip),
            Some(Claim::Directory(other, _)) => return Err(Refusal::Conflict(*other, package)),
            Some(Claim::Leaf(holder, _)) if *holder == package => Answer::Replace,
            Some(Claim::Leaf(holder, _)) => {
                let (low, high) = (package.min(*holder), package.max(*holder));
                let winner = match (self.judge)(low, high) {
                    Verdict::First => low,
                    Verdict::Second => high,
                    Verdict::Conflict => return Err(Refusal::Conflict(low, high)),
                };
                if winner == package { Answer::Replace } else { Answer::Skip }
            }
        };
        if answer != Answer::Skip {
            paths.insert(path.to_owned(), Claim::Leaf(package, link));
        }
        Ok(answer)
    }

    /// Makes a directory and its parents.
    pub(crate) fn directory(&self, path: &str, owner: (usize, Attributes)) -> Result<(), Refusal> {
        directory(&mut self.lock(), self.tree, path, owner)
    }

    /// Whether that package still has the path: as a file of its own, or as a directory, which all share.
    pub(crate) fn holds(&self, path: &str, package: usize) -> bool {
        match self.lock().get(path) {
            Some(Claim::Leaf(holder, _)) => *holder == package,
            Some(Claim::Directory(..)) => true,
            None => false,
        }
    }

    /// Whether a package has put a file or a link there.
    pub(crate) fn is_leaf(&self, path: &str) -> bool {
        matches!(self.lock().get(path), Some(Claim::Leaf(..)))
    }

    /// Runs something while nobody else can claim, if the package still has the path.
    pub(crate) fn while_held<T>(&self, path: &str, package: usize, act: impl FnOnce() -> T) -> Option<T> {
        let paths = self.lock();
        matches!(paths.get(path), Some(Claim::Leaf(holder, _)) if *holder == package).then(act)
    }

    /// All directories with their attributes, deepest last.
    pub(crate) fn directories(&self) -> Vec<(String, Attributes)> {
        let paths = self.lock();
        let pick = |(path, claim): (&String, &Claim)| match claim {
            Claim::Directory(_, attributes) => Some((path.clone(), *attributes)),
            Claim::Leaf(..) => None,
        };
        paths.iter().filter_map(pick).collect()
    }
}

fn directory(
    paths: &mut BTreeMap<String, Claim>,
    tree: &Tree,
    path: &str,
    (package, attributes): (usize, Attributes),
) -> Result<(), Refusal> {
    match paths.get(path) {
        Some(Claim::Directory(holder, _)) => {
            if package < *holder {
                paths.insert(path.to_owned(), Claim::Directory(package, attributes));
            }
            return Ok(());
        }
        Some(Claim::Leaf(holder, false)) => return Err(Refusal::Conflict(*holder, package)),
        Some(Claim::Leaf(_, true)) => {}
        None => {
            if let Some((parent, _)) = path.rsplit_once('/') {
                directory(paths, tree, parent, (NOBODY, Attributes::IMPLICIT))?;
            }
        }
    }
    if !path.is_empty() {
        make(tree, path).map_err(Refusal::Io)?;
    }
    paths.insert(path.to_owned(), Claim::Directory(package, attributes));
    Ok(())
}

/// Makes a directory, in the place of a link if there is one: the link's owner may make it at any moment.
fn make(tree: &Tree, path: &str) -> io::Result<()> {
    let place = tree.at(path)?;
    loop {
        match place.make_directory() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
        if place.stat()?.directory() {
            return Ok(());
        }
        match place.unlink() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
}

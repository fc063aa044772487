//! Writes the files of many packages into one tree, in parallel across packages.
//!
//! No link is ever followed: every parent of a file is a directory that [`Claims`] made itself, so a package cannot
//! write outside the tree, whatever links it brings.

#![allow(clippy::disallowed_methods, reason = "file operations below a root that kiln owns; errors name the path")]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT};

use super::RootError;
use super::claims::{Answer, Claims, Refusal, Verdict};
use super::layout;
use crate::debian::deb::{self, Control, Data, Entry, Kind};
use crate::exec::interrupt;
use crate::world::fs;

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

/// How a tree is unpacked.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Owners and special permission bits are kept: the tree becomes a system.
    pub(crate) faithful: bool,
    /// Times of everything; `None` keeps what the packages say.
    pub(crate) mtime: Option<i64>,
}

/// A package that was unpacked.
pub(crate) struct Unpacked {
    pub(crate) control: Control,
    /// Its paths as they stand in it, in its order, without those that another package replaced.
    pub(crate) paths: Vec<String>,
    /// Times of its files, as it states them.
    pub(crate) times: BTreeSet<i64>,
}

struct Job<'a> {
    root: &'a Path,
    claims: &'a Claims<'a>,
    manner: Manner,
    /// Position among the packages.
    index: usize,
    /// Files that dpkg configures later: unpacked as `NAME.dpkg-new`.
    conffiles: Vec<String>,
    buffer: Vec<u8>,
}

struct Outcome {
    control: Control,
    paths: Vec<String>,
    times: BTreeSet<i64>,
    hard: Vec<(String, String)>,
}

/// Unpacks `packages` (name for messages, file) into `root`; `judge` decides about files that two packages ship.
pub(crate) fn unpack(
    root: &Path,
    packages: &[(String, PathBuf)],
    manner: Manner,
    judge: &(dyn Fn(usize, usize) -> Verdict + Sync),
) -> Result<Vec<Unpacked>, RootError> {
    let claims = Claims::new(judge);
    let failed = |path: &Path, error| fs_error("create directory", path, error);
    for alias in layout::ALWAYS {
        let place = format!("usr/{alias}");
        claims.directory(root, &place, (super::claims::NOBODY, Attributes::IMPLICIT)).map_err(
            |refusal| match refusal {
                Refusal::Io(error) => failed(&root.join(&place), error),
                Refusal::Conflict(..) => unreachable!("nothing else is in the tree yet"),
            },
        )?;
        symlink(&place, root.join(alias)).map_err(|error| failed(&root.join(alias), error))?;
    }
    // The longest archives first, so that no thread is left alone with one at the end.
    let mut order: Vec<(u64, usize)> = Vec::new();
    for (index, (_, path)) in packages.iter().enumerate() {
        order.push((fs::context("read", path, path.metadata())?.len(), index));
    }
    order.sort_by(|a, b| b.cmp(a));
    let mut outcomes: Vec<(usize, Outcome)> = order
        .par_iter()
        .with_max_len(1)
        .map(|&(_, index)| one(root, packages, manner, &claims, index).map(|outcome| (index, outcome)))
        .collect::<Result<_, _>>()?;
    outcomes.sort_by_key(|(index, _)| *index);
    let mut unpacked = Vec::new();
    for (index, outcome) in outcomes {
        for (path, target) in &outcome.hard {
            hard_link(root, &claims, index, (path, target))
                .map_err(|error| fs_error("link", &root.join(path), error))?;
        }
        let kept = |path: &String| claims.holds(&layout_of(path), index);
        let paths = outcome.paths.into_iter().filter(kept).collect();
        unpacked.push(Unpacked { control: outcome.control, paths, times: outcome.times });
    }
    finish_directories(root, &claims, manner)?;
    Ok(unpacked)
}

fn layout_of(path: &str) -> String {
    layout::place(path)
}

fn one(
    root: &Path,
    packages: &[(String, PathBuf)],
    manner: Manner,
    claims: &Claims<'_>,
    index: usize,
) -> Result<Outcome, RootError> {
    let (name, file) = &packages[index];
    let broken = |source| RootError::Package { package: name.clone(), source };
    let (control, mut data) = deb::open(fs::open(file)?).map_err(broken)?;
    let strip = |line: String| line.trim_start_matches('/').to_owned();
    // `remove-on-upgrade /path` lines name files that are not in the package (deb-conffiles(5)).
    let conffiles = match manner.faithful {
        true => control.lines("conffiles").into_iter().map(strip).collect(),
        false => Vec::new(),
    };
    let mut job = Job { root, claims, manner, index, conffiles, buffer: vec![0; 1 << 16] };
    let (mut paths, mut times, mut hard) = (Vec::new(), BTreeSet::new(), Vec::new());
    while let Some(entry) = data.next().map_err(broken)? {
        let path = entry.path.clone();
        if interrupt::stopped() {
            return Err(fs_error("unpack", &root.join(&path), io::ErrorKind::Interrupted.into()));
        }
        if let Kind::Hard(target) = &entry.kind {
            hard.push((layout::place(&entry.path), layout::place(target)));
        }
        job.entry(&entry, &mut data).map_err(|refusal| match refusal {
            Refusal::Io(source) => fs_error("unpack", &root.join(&path), source),
            Refusal::Conflict(a, b) => conflict(packages, &path, (a, b)),
        })?;
        times.insert(entry.mtime);
        paths.push(path);
    }
    Ok(Outcome { control, paths, times, hard })
}

fn conflict(packages: &[(String, PathBuf)], path: &str, (a, b): (usize, usize)) -> RootError {
    let name = |index: usize| packages.get(index).map_or("another package", |(name, _)| name.as_str()).to_owned();
    RootError::Conflict { path: format!("/{path}"), packages: [name(a), name(b)] }
}

pub(crate) fn fs_error(verb: &'static str, path: &Path, source: io::Error) -> RootError {
    RootError::World(crate::world::WorldError::File { verb, path: path.to_owned(), source })
}

impl Job<'_> {
    fn entry(&mut self, entry: &Entry, data: &mut Data<'_>) -> Result<(), Refusal> {
        let attributes = self.attributes(entry);
        match &entry.kind {
            // The links of merged /usr are there from the start, and nothing may stand in their place.
            Kind::Link(_) if layout::ALIASES.contains(&entry.path.as_str()) => self.alias(&entry.path),
            Kind::Directory => {
                self.claims.directory(self.root, &layout::place(&entry.path), (self.index, attributes))?;
                self.alias(&entry.path)
            }
            Kind::File(_) => self.file(entry, attributes, data),
            Kind::Link(target) => self.link(entry, target, attributes),
            Kind::Hard(_) => {
                let path = layout::place(&entry.path);
                self.alias(&entry.path)?;
                self.claims.leaf(self.root, &path, (self.index, false)).map(drop)
            }
        }
    }

    /// Provides `/lib32` and its like once something lies below it.
    fn alias(&self, path: &str) -> Result<(), Refusal> {
        let first = path.split('/').next().unwrap_or_default();
        if !layout::ALIASES.contains(&first) || layout::ALWAYS.contains(&first) {
            return Ok(());
        }
        self.claims.directory(self.root, &format!("usr/{first}"), (super::claims::NOBODY, Attributes::IMPLICIT))?;
        match symlink(format!("usr/{first}"), self.root.join(first)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Refusal::Io(error)),
            _ => Ok(()),
        }
    }

    fn attributes(&self, entry: &Entry) -> Attributes {
        let mtime = self.manner.mtime.unwrap_or(entry.mtime);
        if self.manner.faithful {
            return Attributes { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime };
        }
        let mode = if entry.kind == Kind::Directory || entry.mode & 0o111 != 0 { 0o755 } else { 0o644 };
        Attributes { mode, uid: 0, gid: 0, mtime }
    }

    fn file(&mut self, entry: &Entry, attributes: Attributes, data: &mut Data<'_>) -> Result<(), Refusal> {
        self.alias(&entry.path)?;
        let mut path = layout::place(&entry.path);
        let answer = self.claims.leaf(self.root, &path, (self.index, false))?;
        if answer == Answer::Skip {
            return Ok(());
        }
        let claimed = path.clone();
        if self.conffiles.contains(&entry.path) {
            path.push_str(".dpkg-new");
        }
        let target = self.root.join(&path);
        let temporary = target.with_added_extension(format!("kiln-{}", self.index));
        let write_to = if answer == Answer::Create { &target } else { &temporary };
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(write_to) {
            // A stronger package came between our claim and now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            result => result.map_err(Refusal::Io)?,
        };
        self.copy(data, &mut file).and_then(|()| self.dress(&file, attributes)).map_err(Refusal::Io)?;
        if answer == Answer::Replace {
            let moved = self.claims.while_held(&claimed, self.index, || std::fs::rename(&temporary, &target));
            moved.unwrap_or_else(|| std::fs::remove_file(&temporary)).map_err(Refusal::Io)?;
        }
        Ok(())
    }

    fn copy(&mut self, data: &mut Data<'_>, file: &mut File) -> io::Result<()> {
        loop {
            let count = data.read(&mut self.buffer)?;
            if count == 0 {
                return Ok(());
            }
            io::Write::write_all(file, &self.buffer[..count])?;
        }
    }

    /// The owner first: changing it clears set-uid bits.
    fn dress(&self, file: &File, attributes: Attributes) -> io::Result<()> {
        if self.manner.faithful && (attributes.uid, attributes.gid) != (0, 0) {
            fchown(file, Some(attributes.uid), Some(attributes.gid))?;
        }
        file.set_permissions(Permissions::from_mode(attributes.mode))?;
        rustix::fs::futimens(file, &times(attributes.mtime)).map_err(io::Error::from)
    }

    fn link(&self, entry: &Entry, target: &str, attributes: Attributes) -> Result<(), Refusal> {
        self.alias(&entry.path)?;
        let path = layout::place(&entry.path);
        let answer = self.claims.leaf(self.root, &path, (self.index, true))?;
        let place = self.root.join(&path);
        let temporary = place.with_added_extension(format!("kiln-{}", self.index));
        let write_to = if answer == Answer::Create { &place } else { &temporary };
        let make = || match symlink(target, write_to) {
            // A stronger package came between our claim and now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && answer == Answer::Create => Ok(()),
            made => made.and_then(|()| dress_link(write_to, attributes, self.manner.faithful)),
        };
        let done = match answer {
            Answer::Skip => Ok(()),
            // A directory of another package may take the place of a link at any moment: not between these two.
            Answer::Create => self.claims.while_held(&path, self.index, make).unwrap_or(Ok(())),
            Answer::Replace => make().and_then(|()| {
                let moved = self.claims.while_held(&path, self.index, || std::fs::rename(&temporary, &place));
                moved.unwrap_or_else(|| std::fs::remove_file(&temporary))
            }),
        };
        done.map_err(Refusal::Io)
    }
}

/// Owner and time of a symbolic link; the links's own mode means nothing on Linux.
fn dress_link(path: &Path, attributes: Attributes, faithful: bool) -> io::Result<()> {
    if faithful && (attributes.uid, attributes.gid) != (0, 0) {
        lchown(path, Some(attributes.uid), Some(attributes.gid))?;
    }
    set_time(path, attributes.mtime)
}

/// Sets the time of a file without following links.
pub(crate) fn set_time(path: &Path, mtime: i64) -> io::Result<()> {
    let result = rustix::fs::utimensat(rustix::fs::CWD, path, &times(mtime), AtFlags::SYMLINK_NOFOLLOW);
    result.map_err(io::Error::from)
}

fn times(mtime: i64) -> Timestamps {
    let access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access: access, last_modification: Timespec { tv_sec: mtime, tv_nsec: 0 } }
}

fn hard_link(root: &Path, claims: &Claims<'_>, index: usize, (path, target): (&str, &str)) -> io::Result<()> {
    if !claims.holds(path, index) {
        return Ok(());
    }
    // Parents of what was claimed are directories; any other path may lead through a link, out of the tree.
    if !claims.is_leaf(target) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("/{target} is no file of these packages")));
    }
    let place = root.join(path);
    match std::fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::hard_link(root.join(target), place)
}

fn finish_directories(root: &Path, claims: &Claims<'_>, manner: Manner) -> Result<(), RootError> {
    // From the leaves up: a directory without write permission must not hinder what is below it.
    for (path, attributes) in claims.directories().into_iter().rev() {
        let place = root.join(&path);
        let owned = manner.faithful && (attributes.uid, attributes.gid) != (0, 0);
        let chowned = if owned { lchown(&place, Some(attributes.uid), Some(attributes.gid)) } else { Ok(()) };
        chowned
            .and_then(|()| std::fs::set_permissions(&place, Permissions::from_mode(attributes.mode)))
            .and_then(|()| set_time(&place, manner.mtime.unwrap_or(attributes.mtime)))
            .map_err(|error| fs_error("set the attributes of", &place, error))?;
    }
    Ok(())
}

//! Writes the files of many packages into one tree, in parallel across packages.
//!
//! No link is ever followed: every parent of a file is a directory that [`Claims`] made itself, and stays one. That is
//! for the bits; that nothing is written outside the tree, whatever links a package brings, is [`Tree`]'s own doing.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, fchown};

use rayon::prelude::*;

use super::claims::{Answer, Attributes, Claims, NOBODY, Refusal, Verdict};
use super::package::{Entry, Files, Kind, Package};
use super::{Cursor, Place, RootError, Tree, TreeError, layout};
use crate::base::Arch;
use crate::exec::interrupt;

/// How a tree is unpacked.
#[derive(Clone, Copy)]
pub(crate) struct UnpackMode {
    /// Whose links of merged `/usr` the tree has.
    pub(crate) arch: Arch,
    /// Owners and special permission bits are kept: the tree becomes a system.
    pub(crate) faithful: bool,
    /// Times of everything; `None` keeps what the packages say.
    pub(crate) mtime: Option<i64>,
}

/// A package that was unpacked.
pub(crate) struct Unpacked<H> {
    pub(crate) head: H,
    /// Its paths as they stand in it, in its order, without those that another package replaced.
    pub(crate) paths: Vec<String>,
    /// Times of its files, as it states them.
    pub(crate) times: BTreeSet<i64>,
}

struct Job<'a> {
    claims: &'a Claims<'a>,
    cursor: Cursor<'a>,
    manner: UnpackMode,
    /// Position among the packages.
    index: usize,
    buffer: Vec<u8>,
}

struct Outcome<H> {
    head: H,
    paths: Vec<String>,
    times: BTreeSet<i64>,
    hard: Vec<(String, String)>,
    /// Those of its paths that are not unpacked.
    left_out: BTreeSet<String>,
}

/// Unpacks `packages` into `tree`; `judge` decides about files that two packages ship.
pub(crate) fn unpack<P: Package>(
    tree: &Tree,
    packages: &[P],
    manner: UnpackMode,
    judge: &(dyn Fn(usize, usize) -> Verdict + Sync),
) -> Result<Vec<Unpacked<P::Head>>, RootError> {
    let claims = Claims::new(tree, judge);
    aliases(&claims, manner.arch)?;
    // The longest archives first, so that no thread is left alone with one at the end.
    let mut order: Vec<(u64, usize)> = Vec::new();
    for (index, package) in packages.iter().enumerate() {
        order.push((package.size()?, index));
    }
    order.sort_by(|a, b| b.cmp(a));
    let mut outcomes: Vec<(usize, Outcome<P::Head>)> = order
        .par_iter()
        .with_max_len(1)
        .map(|&(_, index)| one(&claims, packages, manner, index).map(|outcome| (index, outcome)))
        .collect::<Result<_, _>>()?;
    outcomes.sort_by_key(|(index, _)| *index);
    let mut unpacked = Vec::new();
    for (index, outcome) in outcomes {
        for (path, target) in &outcome.hard {
            hard_link(&claims, index, (path, target)).map_err(|error| TreeError::file("link", path, error))?;
        }
        let kept = |path: &String| claims.holds(&layout::place(path), index) || outcome.left_out.contains(path);
        let paths = outcome.paths.into_iter().filter(kept).collect();
        unpacked.push(Unpacked { head: outcome.head, paths, times: outcome.times });
    }
    finish_directories(&claims, manner)?;
    Ok(unpacked)
}

/// The links of merged `/usr` that every system has.
fn aliases(claims: &Claims<'_>, arch: Arch) -> Result<(), RootError> {
    for alias in layout::always(arch) {
        let place = format!("usr/{alias}");
        let made = claims.directory(&place, (NOBODY, Attributes::IMPLICIT));
        made.map_err(|refusal| match refusal {
            Refusal::Io(error) => TreeError::file("create directory", &place, error),
            Refusal::Conflict(..) => unreachable!("nothing else is in the tree yet"),
        })?;
        let made = claims.tree().at(alias).and_then(|link| link.make_link(&place));
        made.map_err(|error| TreeError::file("link", alias, error))?;
    }
    Ok(())
}

fn one<P: Package>(
    claims: &Claims<'_>,
    packages: &[P],
    manner: UnpackMode,
    index: usize,
) -> Result<Outcome<P::Head>, RootError> {
    let (head, mut files) = packages[index].open()?;
    let cursor = Cursor::new(claims.tree());
    let mut job = Job { claims, cursor, manner, index, buffer: vec![0; 1 << 16] };
    let (mut paths, mut times, mut hard, mut left_out) = (Vec::new(), BTreeSet::new(), Vec::new(), BTreeSet::new());
    while let Some(entry) = files.next()? {
        let path = entry.path.clone();
        if interrupt::stopped() {
            return Err(TreeError::file("unpack", path, io::ErrorKind::Interrupted.into()).into());
        }
        if packages[index].leaves_out(&entry) {
            left_out.insert(path.clone());
            paths.push(path);
            continue;
        }
        if let Kind::Hard(target) = &entry.kind {
            hard.push((layout::place(&entry.path), layout::place(target)));
        }
        job.entry(&entry, &mut *files).map_err(|refusal| match refusal {
            Refusal::Io(source) => TreeError::file("unpack", &path, source).into(),
            Refusal::Conflict(a, b) => conflict(packages, &path, (a, b)),
        })?;
        times.insert(entry.attributes.mtime);
        paths.push(path);
    }
    Ok(Outcome { head, paths, times, hard, left_out })
}

fn conflict(packages: &[impl Package], path: &str, (a, b): (usize, usize)) -> RootError {
    let name = |index: usize| packages.get(index).map_or("another package", Package::name).to_owned();
    RootError::Conflict { path: format!("/{path}"), packages: [name(a), name(b)] }
}

impl Job<'_> {
    fn entry(&mut self, entry: &Entry, files: &mut dyn Files) -> Result<(), Refusal> {
        let attributes = self.attributes(entry);
        match &entry.kind {
            // The links of merged /usr are there from the start, and nothing may stand in their place.
            Kind::Link(_) if layout::ALIASES.contains(&entry.path.as_str()) => self.alias(&entry.path),
            Kind::Directory => {
                self.claims.directory(&layout::place(&entry.path), (self.index, attributes))?;
                self.alias(&entry.path)
            }
            Kind::File => self.file(entry, attributes, files),
            Kind::Link(target) => self.link(entry, target, attributes),
            Kind::Hard(_) => {
                let path = layout::place(&entry.path);
                self.alias(&entry.path)?;
                self.claims.leaf(&path, (self.index, false)).map(drop)
            }
        }
    }

    /// Provides `/lib32` and its like once something lies below it.
    fn alias(&self, path: &str) -> Result<(), Refusal> {
        let first = path.split('/').next().unwrap_or_default();
        if !layout::ALIASES.contains(&first) || layout::always(self.manner.arch).any(|alias| alias == first) {
            return Ok(());
        }
        self.claims.directory(&format!("usr/{first}"), (NOBODY, Attributes::IMPLICIT))?;
        match self.claims.tree().at(first).and_then(|link| link.make_link(format!("usr/{first}"))) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Refusal::Io(error)),
            _ => Ok(()),
        }
    }

    fn attributes(&self, entry: &Entry) -> Attributes {
        let mtime = self.manner.mtime.unwrap_or(entry.attributes.mtime);
        if self.manner.faithful {
            return Attributes { mtime, ..entry.attributes };
        }
        let mode = if entry.kind == Kind::Directory || entry.attributes.mode & 0o111 != 0 { 0o755 } else { 0o644 };
        Attributes { mode, uid: 0, gid: 0, mtime }
    }

    fn file(&mut self, entry: &Entry, attributes: Attributes, files: &mut dyn Files) -> Result<(), Refusal> {
        self.alias(&entry.path)?;
        let mut path = layout::place(&entry.path);
        let answer = self.claims.leaf(&path, (self.index, false))?;
        if answer == Answer::Skip {
            return Ok(());
        }
        let claimed = path.clone();
        if self.manner.faithful {
            path.push_str(entry.suffix);
        }
        let target = self.cursor.at(&path).map_err(Refusal::Io)?;
        let temporary = target.beside(&format!("kiln-{}", self.index));
        let write_to = if answer == Answer::Create { &target } else { &temporary };
        let mut file = match write_to.create() {
            // A stronger package came between our claim and now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            result => result.map_err(Refusal::Io)?,
        };
        self.copy(files, &mut file).and_then(|()| self.dress(&file, attributes)).map_err(Refusal::Io)?;
        if answer == Answer::Replace {
            let moved = self.claims.while_held(&claimed, self.index, || temporary.rename(&target));
            moved.unwrap_or_else(|| temporary.unlink()).map_err(Refusal::Io)?;
        }
        Ok(())
    }

    fn copy(&mut self, content: &mut dyn Files, file: &mut File) -> io::Result<()> {
        loop {
            let count = content.read(&mut self.buffer)?;
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
        Ok(rustix::fs::futimens(file, &super::times(attributes.mtime))?)
    }

    fn link(&mut self, entry: &Entry, target: &str, attributes: Attributes) -> Result<(), Refusal> {
        self.alias(&entry.path)?;
        let path = layout::place(&entry.path);
        let answer = self.claims.leaf(&path, (self.index, true))?;
        let place = self.cursor.at(&path).map_err(Refusal::Io)?;
        let temporary = place.beside(&format!("kiln-{}", self.index));
        let write_to = if answer == Answer::Create { &place } else { &temporary };
        let make = || match write_to.make_link(target) {
            // A stronger package came between our claim and now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && answer == Answer::Create => Ok(()),
            made => made.and_then(|()| dress_link(write_to, attributes, self.manner.faithful)),
        };
        let done = match answer {
            Answer::Skip => Ok(()),
            // A directory of another package may take the place of a link at any moment: not between these two.
            Answer::Create => self.claims.while_held(&path, self.index, make).unwrap_or(Ok(())),
            Answer::Replace => make().and_then(|()| {
                let moved = self.claims.while_held(&path, self.index, || temporary.rename(&place));
                moved.unwrap_or_else(|| temporary.unlink())
            }),
        };
        done.map_err(Refusal::Io)
    }
}

/// Owner and time of a symbolic link; the links's own mode means nothing on Linux.
fn dress_link(place: &Place, attributes: Attributes, faithful: bool) -> io::Result<()> {
    if faithful && (attributes.uid, attributes.gid) != (0, 0) {
        place.own(Some(attributes.uid), Some(attributes.gid))?;
    }
    place.set_time(attributes.mtime)
}

fn hard_link(claims: &Claims<'_>, index: usize, (path, target): (&str, &str)) -> io::Result<()> {
    if !claims.holds(path, index) {
        return Ok(());
    }
    // Parents of what was claimed are directories; any other path may lead through a link.
    if !claims.is_leaf(target) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("/{target} is not a file of these packages")));
    }
    let place = claims.tree().at(path)?;
    match place.unlink() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    place.make_name_of(&claims.tree().at(target)?)
}

fn finish_directories(claims: &Claims<'_>, manner: UnpackMode) -> Result<(), RootError> {
    let mut cursor = Cursor::new(claims.tree());
    let mut finish = |path: &str, attributes: Attributes| {
        let place = cursor.at(path)?;
        if manner.faithful && (attributes.uid, attributes.gid) != (0, 0) {
            place.own(Some(attributes.uid), Some(attributes.gid))?;
        }
        place.permit(attributes.mode)?;
        place.set_time(manner.mtime.unwrap_or(attributes.mtime))
    };
    // From the leaves up: a directory without write permission must not hinder what is below it.
    for (path, attributes) in claims.directories().into_iter().rev() {
        finish(&path, attributes).map_err(|error| TreeError::file("set the attributes of", path, error))?;
    }
    Ok(())
}

//! Text to lock. Reading validates: every reference in it resolves, and every path is relative and free of `..`.

mod sets;

use std::collections::BTreeMap;

use super::canonical;
use super::sides::{self, Doubled};
use super::wire::{WireArchive, WireImage, WireLock, WireMachine, WireRecipe, WireSourceFile};
use super::{
    FORMAT, Lock, LockedArchive, LockedImage, LockedKernel, LockedMachine, LockedOutput, LockedRecipe, LockedSource,
    LockedSourceFile, OUTPUT, SourcePlace,
};
use crate::base::{Digest, Foreign, Quoted, Timestamp, counted};
use crate::debian::archive::{ArchiveRef, NotAnArchive};
use crate::debian::packages::is_inside;

pub(super) use sets::{layered, package};
use sets::{one_size, ordered};

/// A text that is no lock.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not the TOML of a lock; the message has line and column, too.
    #[error("invalid lock{}\n  help: {}", Quoted(.message, "  "), .remedy.words())]
    Syntax {
        /// What the parser says, with the line that it stopped at.
        message: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What can be done.
        remedy: Remedy,
    },
    /// Conflict markers of git.
    #[error(
        "unresolved merge: {}, the first in line {line}\n  help: run `kiln lock`, which keeps every pin that \
         both sides have and resolves the others",
        counted(conflicts, "conflict")
    )]
    Conflict {
        /// Of the first marker, from 1.
        line: usize,
        /// How many.
        conflicts: usize,
    },
    /// Lines of both sides of a merge.
    #[error(
        "unlocked merge: line {line} states `{key}` a second time, so that git kept lines of both sides\n  help: run `kiln \
         lock`, which keeps every pin that both sides have and resolves the others", key = Foreign(key)
    )]
    Doubled {
        /// From 1.
        line: usize,
        /// What it states.
        key: String,
    },
    /// Another format.
    #[error(
        "lock has format {0}, but this version of kiln reads format {FORMAT}\n  help: run `kiln lock --update`, which makes it again from what the archives have now"
    )]
    Format(u32),
    /// From a kiln whose builds give other bytes.
    #[error(
        "lock has output version {0}, but this version of kiln writes output version {OUTPUT}; run `kiln lock`, or use the version of kiln that wrote it"
    )]
    Output(u32),
    /// Its checksum is not that of its facts.
    #[error(
        "the checksum does not match: the lock was edited or merged. Run `kiln lock` to keep its pins and \
         update the checksum"
    )]
    Changed,
    /// A fact that contradicts another, or that no lock may state.
    #[error("{place}: {problem}", place = Foreign(place), problem = Foreign(problem))]
    Fact {
        /// The table.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// The way out of a text that is no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Most of it can be read.
    Lock,
    /// Nobody knows what it pins.
    Restore,
}

impl Remedy {
    fn words(self) -> &'static str {
        match self {
            Remedy::Lock => "run `kiln lock`, which keeps every pin that can be read and says which it cannot",
            Remedy::Restore => {
                "restore the line; `kiln lock --update` makes the lock again from what the archives have now, with \
                 other versions"
            }
        }
    }
}

fn fact(place: impl Into<String>, problem: impl Into<String>) -> ReadError {
    ReadError::Fact { place: place.into(), problem: problem.into() }
}

/// Reads and checks a lock. One without a checksum was written by an older kiln.
pub fn read(text: &str) -> Result<Lock, ReadError> {
    let (lock, checksum) = facts(text)?;
    let Some(checksum) = checksum else { return Ok(lock) };
    // A text as kiln wrote it needs no second writing; one with comments of others, or other line ends, does.
    let is_right = super::write::checksum_of_text(text) == checksum || super::write::checksum(&lock) == checksum;
    if is_right { Ok(lock) } else { Err(ReadError::Changed) }
}

/// Reads a lock as [`read`] does, but for its checksum: whoever makes a lock anew takes over what a hand has written.
pub fn read_changed(text: &str) -> Result<Lock, ReadError> {
    facts(text).map(|(lock, _)| lock)
}

/// The TOML of a lock of this format.
pub(super) fn parsed(text: &str) -> Result<WireLock, ReadError> {
    let wire = match canonical::read(text) {
        Some(wire) => wire,
        None => toml::from_str(text).map_err(|error| merged(text).unwrap_or_else(|| syntax(text, &error)))?,
    };
    if wire.version != FORMAT {
        return Err(ReadError::Format(wire.version));
    }
    if wire.output != OUTPUT {
        return Err(ReadError::Output(wire.output));
    }
    Ok(wire)
}

/// What git made of two locks.
fn merged(text: &str) -> Option<ReadError> {
    if let Some((line, conflicts)) = sides::conflicts(text) {
        return Some(ReadError::Conflict { line, conflicts });
    }
    sides::doubled(text).map(|Doubled { line, key }| ReadError::Doubled { line, key })
}

fn facts(text: &str) -> Result<(Lock, Option<Digest>), ReadError> {
    let wire = parsed(text)?;
    let archives = wire.archives.into_iter().map(|(name, archive)| checked(&name, archive));
    let archives: Archives = archives.collect::<Result<_, ReadError>>()?;
    let (mut sets, mut layers) = (BTreeMap::new(), BTreeMap::new());
    for (name, set) in wire.sets {
        let below = layered(&set);
        let packages = ordered(&name, set, &archives)?;
        let below = below.map_err(|problem| fact(format!("sets.{name}"), problem))?;
        if !below.is_empty() {
            layers.insert(name.clone(), below);
        }
        sets.insert(name, packages);
    }
    one_size(&sets)?;
    let sources = sources(wire.sources, &archives)?;
    let images = wire.images.into_iter().map(|(name, image)| Ok((name.clone(), users(&name, image)?)));
    let images = images.collect::<Result<_, ReadError>>()?;
    let lock = Lock {
        output_version: wire.output,
        recipe: recipe(wire.recipe),
        epoch: wire.epoch,
        seed: wire.seed,
        archives,
        sets,
        layers,
        sources,
        local: wire.local,
        kernels: wire
            .kernels
            .into_iter()
            .map(|(name, k)| (name, LockedKernel { config: k.config, release: k.release }))
            .collect(),
        images,
        machines: wire
            .machines
            .into_iter()
            .map(|(name, m)| {
                let WireMachine { qemu, qemu_output, machine_type, argv, asked } = m;
                (name, LockedMachine { qemu, qemu_output, machine_type, argv, asked })
            })
            .collect(),
        steps: wire.steps,
        outputs: wire.outputs.into_iter().map(|(name, file)| (name, LockedOutput { file: file.into() })).collect(),
    };
    Ok((lock, wire.checksum))
}

pub(super) fn recipe(wire: WireRecipe) -> LockedRecipe {
    LockedRecipe { name: wire.name, digest: wire.digest, files: wire.files, params: wire.params }
}

pub(super) fn syntax(text: &str, error: &toml::de::Error) -> ReadError {
    let before = &text[..text.floor_char_boundary(error.span().map_or(0, |span| span.start))];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    ReadError::Syntax {
        message: error.to_string().trim_end().to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line..].chars().count() + 1,
        remedy: Remedy::Restore,
    }
}

type Archives = BTreeMap<ArchiveRef, LockedArchive>;

fn sources(
    wire: BTreeMap<String, BTreeMap<String, WireSourceFile>>,
    archives: &Archives,
) -> Result<BTreeMap<String, LockedSource>, ReadError> {
    let mut sources = BTreeMap::new();
    for (name, files) in wire {
        let place = format!("sources.{name}");
        let file = |(file, wire)| source_file(&place, file, wire, archives);
        let files = files.into_iter().map(file).collect::<Result<_, _>>()?;
        sources.insert(name, LockedSource { files });
    }
    Ok(sources)
}

pub(super) fn source_file(
    place: &str,
    name: String,
    wire: WireSourceFile,
    archives: &Archives,
) -> Result<(String, LockedSourceFile), ReadError> {
    if name.contains('/') || name.starts_with('.') || !is_inside(&name) {
        return Err(fact(place, format!("`{name}` is not a plain file name")));
    }
    let from: SourcePlace = wire.from.parse().map_err(|error| fact(place, format!("`{name}`: {error}")))?;
    match from.archive().filter(|archive| !archives.contains_key(archive)) {
        Some(archive) => Err(not_among(place, &name, archive)),
        None => {
            let file = super::LockedFile { size: wire.size, sha256: wire.sha256 };
            Ok((name, LockedSourceFile { place: from, file }))
        }
    }
}

fn not_among(place: &str, name: &str, archive: &ArchiveRef) -> ReadError {
    fact(place, format!("`{name}` comes from `{archive}`, which is not among the archives"))
}

pub(super) fn checked(name: &str, wire: WireArchive) -> Result<(ArchiveRef, LockedArchive), ReadError> {
    let place = || format!("archives.{name}");
    let archive = name.parse().map_err(|error: NotAnArchive| fact(place(), error.to_string()))?;
    let Some(snapshot) = Timestamp::parse_snapshot(&wire.snapshot) else {
        return Err(fact(place(), format!("`{}` is not a timestamp of the snapshot service", wire.snapshot)));
    };
    let locked = LockedArchive {
        suite: wire.suite,
        components: wire.components,
        architecture: wire.architecture,
        repository: wire.repository,
        snapshot,
        inrelease: wire.inrelease,
        signed_by: wire.signed_by,
        date: wire.date,
        valid_until: wire.valid_until,
        indexes: wire.indexes.into_iter().map(|(path, file)| (path, file.into())).collect(),
    };
    Ok((archive, locked))
}

/// Numbers above are not mapped into the namespace in which images are made; 65535 means "none" to some system calls.
const LAST_ID: u32 = 65_534;

pub(super) fn users(name: &str, wire: WireImage) -> Result<LockedImage, ReadError> {
    for (kind, ids) in [("users", &wire.users), ("groups", &wire.groups)] {
        if let Some((owner, id)) = ids.iter().find(|(_, id)| **id > LAST_ID) {
            return Err(fact(format!("images.{name}.{kind}"), format!("`{owner}` has id {id} (limit {LAST_ID})")));
        }
    }
    Ok(LockedImage { open: wire.open, users: wire.users, groups: wire.groups })
}

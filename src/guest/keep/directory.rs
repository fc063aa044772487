//! A directory of kept state: its record, its lock, and the files of each machine in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::failed;
use super::file::{FILE, Found, OVERLAY, overlay, place};
use crate::guest::launch::{self, KeptFiles, VARIABLES};
use crate::guest::state::{self, LastingState};
use crate::guest::{GuestError, Launch};
use crate::world::dir::Dir;
use crate::world::fs;
use crate::world::plain::{FileKind, Odd};

/// Held by the run that uses it.
const LOCK: &str = ".lock";
/// Where shared memories are, beside directories of machines, whose names have no dots.
const SHARED: &str = ".shared";
/// Version of the record.
const FORMAT: u32 = 1;
/// No record is larger.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// A directory of kept state, in use by this run.
pub struct KeepDirectory {
    path: PathBuf,
    record: KeepRecord,
    lock: File,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepRecord {
    format: u32,
    machines: BTreeMap<String, LastingState>,
}

impl Drop for KeepDirectory {
    fn drop(&mut self) {
        // Closing it would do, but for programs that another thread starts right now: they have it open until they run.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

impl KeepDirectory {
    /// Refuses a directory that another program made, and a record that cannot be read.
    pub(super) fn check(path: &Path) -> Result<(), GuestError> {
        if is_ours(path)? { read(path).map(drop) } else { Ok(()) }
    }

    pub(super) fn open(path: PathBuf) -> Result<KeepDirectory, GuestError> {
        let path = fs::context("resolve", &path, path.canonicalize())?;
        let is_ours = is_ours(&path)?;
        let lock = fs::open_lock(&path.join(LOCK))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(failed(&path, "another run is using it"));
        }
        let record = if is_ours { read(&path)? } else { KeepRecord { format: FORMAT, machines: BTreeMap::new() } };
        let directory = KeepDirectory { path, record, lock };
        if !is_ours {
            // So that what an interrupted first run leaves is known as kiln's.
            directory.write_record()?;
        }
        Ok(directory)
    }

    /// The files of a machine, made where this is the first run. An error if they are not of this machine.
    pub fn files(&mut self, launch: &Launch) -> Result<KeptFiles, GuestError> {
        let state = state::of(launch)?;
        let name = &launch.machine;
        let is_new = match self.record.machines.get(name) {
            None => true,
            Some(kept) => match state.difference(kept) {
                None => false,
                Some(difference) => {
                    let reason = format!(
                        "what it keeps of machine {name} does not fit: {difference}; give another directory, or remove \
                         this one to start afresh"
                    );
                    return Err(GuestError::Keep { path: self.path.clone(), reason });
                }
            },
        };
        let variables = state.files.contains_key(VARIABLES).then(|| launch::variables(launch)).transpose()?;
        let content = |file: &str| variables.as_deref().filter(|_| file == VARIABLES);
        let own = self.below(name)?;
        let found = if is_new { Found::Made } else { Found::Required };
        let mut files = KeptFiles { disk: own.path().join(OVERLAY), ..KeptFiles::default() };
        for (file, size) in &state.files {
            place(&own, file, (*size, content(file)), found)?;
            files.own.insert(file.clone(), own.path().join(file));
        }
        overlay(&own, launch, found)?;
        if !state.shared.is_empty() {
            let shared = self.below(SHARED)?;
            for (memory, size) in &state.shared {
                let file = format!("{memory}.memory");
                place(&shared, &file, (*size, None), found)?;
                files.shared.insert(file.clone(), shared.path().join(file));
            }
        }
        if is_new {
            // Everything that the record says is there by now.
            self.record.machines.insert(name.clone(), state);
            self.write_record()?;
        }
        Ok(files)
    }

    fn write_record(&self) -> Result<(), GuestError> {
        let bytes = serde_json::to_vec_pretty(&self.record).expect("a record has string keys only");
        Ok(fs::write_with_mode(&self.path.join(FILE), &bytes, 0o600)?)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in it, made where it is missing; a link is refused.
    fn below(&self, name: &str) -> Result<Dir, GuestError> {
        let path = self.path.join(name);
        match Dir::open(&self.path)?.kind(name) {
            Err(Odd::Missing) => Ok(Dir::make(&path, 0o700)?),
            Ok(FileKind::Directory) => Ok(Dir::open(&path)?),
            Ok(other) => Err(GuestError::Keep { path, reason: format!("it is {}", other.words()) }),
            Err(odd) => Err(GuestError::Keep { path, reason: odd.to_string() }),
        }
    }
}

/// Whether an earlier run made it; it is empty otherwise.
fn is_ours(path: &Path) -> Result<bool, GuestError> {
    let held = Dir::open(path)?;
    let is_ours = held.kind(FILE).is_ok();
    let others = held.entries(1, &|name| name != LOCK)?;
    if !is_ours && !others.is_empty() {
        return Err(failed(path, "it is not empty, and not a directory that `kiln run --keep` made; give another one"));
    }
    Ok(is_ours)
}

fn read(path: &Path) -> Result<KeepRecord, GuestError> {
    let path = path.join(FILE);
    let failed = |reason: String| GuestError::Keep { path: path.clone(), reason };
    let directory = Dir::open(path.parent().unwrap_or(&path))?;
    let plain = directory.plain(FILE).map_err(|odd| failed(odd.to_string()))?;
    let bytes = fs::context("read", &path, plain.read(MAX_RECORD_BYTES))?;
    let record: KeepRecord = serde_json::from_slice(&bytes)
        .map_err(|error| failed(format!("it is not a record of `kiln run --keep`: {error}")))?;
    match record.format {
        FORMAT => Ok(record),
        other => Err(failed(format!("format {other} is not known to this kiln, which knows {FORMAT}"))),
    }
}

//! Garbage collection: keeps what results used lately consist of and were made from, what came in lately, and what roots name.

mod fit;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use prost::Message;

use super::{Output, Store, StoreError, StoreRoot};
use crate::base::Digest;
use crate::plan::reapi::{Action, BlobDigest, Directory};
use crate::world::fs;

/// No message is larger.
const LIMIT: u64 = 256 << 20;

#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Seconds since 1970: what was used or came in at or after this instant stays.
    pub since: i64,
    /// Of what stays by that, what was used longest ago goes as well until no more than so many bytes are left.
    pub most: Option<u64>,
    /// Only say what would go.
    pub dry_run: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct GcReport {
    /// Files and trees removed.
    pub removed: u64,
    /// Bytes that they held.
    pub bytes: u64,
    /// Blobs and trees kept.
    pub kept: u64,
    /// What was removed, or would be.
    pub entries: Vec<GcEntry>,
}

/// Something that is removed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct GcEntry {
    /// The directory of the store that it is in.
    pub part: &'static str,
    /// Its name there.
    pub name: String,
    /// What it holds.
    pub bytes: u64,
}

/// The directories that garbage collection looks into.
const PARTS: [&str; 9] = ["cas", "tree", "ac", "part", "quarantine", "log", "note", "incremental", "lock"];

/// What a part of the store takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoreUsage {
    /// In which store below this one, if it is not this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// Its directory.
    pub part: &'static str,
    /// Files and trees in it.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What reading the whole store found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RecheckReport {
    /// Files and trees that were read.
    pub checked: u64,
    /// Those of them that were not what their names say.
    pub damaged: u64,
    /// The first of these, not more than [`MAX_LISTED`].
    pub listed: Vec<DamagedEntry>,
}

/// Damaged files and trees that are listed.
pub const MAX_LISTED: usize = 100;

/// A file or a tree that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedEntry {
    /// `cas` for a file, `tree`.
    pub part: &'static str,
    /// What it should be.
    pub digest: Digest,
    /// Names under which results of steps have it, if any do.
    pub outputs: Vec<String>,
}

impl RecheckReport {
    /// Counts what is damaged, and keeps it for a list.
    pub(super) fn damaged(&mut self, part: &'static str, digest: Digest) {
        self.damaged += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(DamagedEntry { part, digest, outputs: Vec::new() });
        }
    }
}

/// Something that may go.
struct Entry {
    part: &'static str,
    path: PathBuf,
    digest: Option<Digest>,
    /// Seconds since 1970.
    last_used: i64,
    role: Role,
}

/// What results say of a file or a tree, from what is missed least to what is missed most among those of one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Nothing.
    Unnamed,
    /// A step read it, and none made it: it is fetched again.
    Input,
    /// A step made it, and another one read it.
    Between,
    /// A step made it for whoever built.
    Made,
    /// It is a result, or a message that one is about: small, and useless once what it names is gone.
    Result,
}

/// The time of what stays under every policy.
const ALWAYS: i64 = i64::MAX;

/// When results that name a digest were used last, from the newest result on.
#[derive(Default)]
struct Uses {
    /// When the result was used that is looked at.
    time: i64,
    last: BTreeMap<Digest, i64>,
    /// What steps read and made.
    inputs: BTreeSet<Digest>,
    made: BTreeSet<Digest>,
}

impl Uses {
    fn mark(&mut self, digests: impl IntoIterator<Item = Digest>) {
        for digest in digests {
            self.mark_new(digest);
        }
    }

    fn role(&self, digest: &Digest) -> Role {
        match (self.inputs.contains(digest), self.made.contains(digest)) {
            (true, false) => Role::Input,
            (true, true) => Role::Between,
            (false, true) => Role::Made,
            // The messages that results are about.
            (false, false) if self.last.contains_key(digest) => Role::Result,
            (false, false) => Role::Unnamed,
        }
    }

    /// Whether it was not known yet.
    fn mark_new(&mut self, digest: Digest) -> bool {
        let known = self.last.len();
        self.last.entry(digest).or_insert(self.time);
        self.last.len() > known
    }
}

impl Store {
    /// Removes what the policy does not keep, if nobody else uses the store.
    pub fn collect(&self, policy: &Policy) -> Result<GcReport, StoreError> {
        let Some(_alone) = self.alone()? else { return Err(StoreError::Busy) };
        let mut report = GcReport::default();
        let (gone, kept): (Vec<Entry>, Vec<Entry>) =
            self.entries()?.into_iter().partition(|entry| entry.last_used < policy.since);
        let (more, kept) = match policy.most {
            Some(most) => self.beyond(kept, most)?,
            None => (Vec::new(), kept),
        };
        report.kept = kept.iter().filter(|entry| matches!(entry.part, "cas" | "tree")).count() as u64;
        for entry in gone.into_iter().chain(more) {
            // Locks of steps are empty files, which nobody misses.
            if entry.part != "lock" {
                let bytes = size(&entry.path)?;
                report.removed += 1;
                report.bytes += bytes;
                let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                report.entries.push(GcEntry { part: entry.part, name, bytes });
            }
            if !policy.dry_run {
                fs::remove_tree(&entry.path)?;
            }
        }
        if !policy.dry_run {
            self.forget_alike()?;
        }
        Ok(report)
    }

    /// What each part of the store takes.
    pub fn usage(&self) -> Result<Vec<StoreUsage>, StoreError> {
        let part = |part: &&'static str| {
            let names = fs::names(&self.root.join(part))?;
            let bytes =
                names.iter().map(|name| size(&self.root.join(part).join(name))).sum::<Result<u64, StoreError>>()?;
            Ok(StoreUsage { below: None, part, entries: names.len(), bytes })
        };
        PARTS.iter().map(part).collect()
    }

    /// Reads every blob and tree again, whatever is remembered. Those that are not what their names say are set aside; they
    /// are fetched or made again when somebody needs them.
    pub fn recheck(&self) -> Result<RecheckReport, StoreError> {
        let mut report = RecheckReport::default();
        for name in fs::names(&self.root.join("cas"))? {
            let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            let path = self.blob_path(&digest);
            // Another kiln has set it aside meanwhile.
            let Ok(found) = rustix::fs::lstat(&path) else { continue };
            if self.is_closed(&path, &found) {
                continue;
            }
            let read = |file| super::blob::digest_of(&file, &path, &|| false);
            report.checked += 1;
            // A disk that cannot read a file has lost it.
            if !fs::open(&path).map_err(StoreError::from).and_then(read).is_ok_and(|(found, _)| found == digest) {
                report.damaged("cas", digest);
                self.set_aside(&path, &digest)?;
            }
        }
        for name in fs::names(&self.root.join("tree"))? {
            let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            self.forget_tree(&digest)?;
            report.checked += 1;
            if !matches!(self.check_own_tree(&digest)?, super::Presence::Good(_)) {
                report.damaged("tree", digest);
            }
        }
        self.name_outputs(&mut report.listed)?;
        Ok(report)
    }

    /// Says what results call damaged files and trees.
    fn name_outputs(&self, listed: &mut [DamagedEntry]) -> Result<(), StoreError> {
        if listed.is_empty() {
            return Ok(());
        }
        for name in fs::names(&self.root.join("ac"))? {
            let Some(action) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            for (name, output) in self.peek_result(&action).unwrap_or_default() {
                let digest = match output {
                    Output::File { digest, .. } => digest,
                    Output::Tree { root, .. } => root,
                };
                let entries = listed.iter_mut().filter(|entry| entry.digest == digest);
                entries
                    .filter(|entry| !entry.outputs.contains(&name))
                    .for_each(|entry| entry.outputs.push(name.clone()));
            }
        }
        Ok(())
    }

    /// Everything that may go, and when it was of use.
    fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let used = self.uses()?;
        let mut entries = Vec::new();
        for part in PARTS {
            for name in fs::names(&self.root.join(part))? {
                let path = self.root.join(part).join(&name);
                let digest = name.to_str().and_then(|name| name.parse::<Digest>().ok());
                let last_used = match (part, digest) {
                    // Whoever is alone needs no lock of a step.
                    ("lock", Some(_)) => i64::MIN,
                    ("lock", None) => ALWAYS,
                    (_, digest) => {
                        let named = digest.and_then(|digest| used.last.get(&digest).copied());
                        time(&path)?.max(named.unwrap_or(i64::MIN))
                    }
                };
                let role = match (part, digest) {
                    ("ac", Some(_)) => Role::Result,
                    ("cas" | "tree", Some(digest)) => used.role(&digest),
                    _ => Role::Unnamed,
                };
                entries.push(Entry { part, path, digest, last_used, role });
            }
        }
        Ok(entries)
    }

    /// When the results that name a digest were used last: as an output, the action, or an input of it.
    fn uses(&self) -> Result<Uses, StoreError> {
        let mut results = Vec::new();
        for name in fs::names(&self.root.join("ac"))? {
            let Some(action) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            results.push((time(&self.root.join("ac").join(&name))?, action));
        }
        // The newest first: what it marks needs no second look.
        results.sort_unstable_by(|one, other| other.cmp(one));
        let mut uses = Uses::default();
        for root in self.roots()?.values() {
            self.mark_root(root, &mut uses);
        }
        for (time, action) in results {
            uses.time = time;
            self.mark_result(&action, &mut uses);
        }
        Ok(uses)
    }

    /// What a root keeps is of use under every policy.
    fn mark_root(&self, root: &StoreRoot, uses: &mut Uses) {
        uses.time = ALWAYS;
        uses.mark(root.files.iter().copied());
        for action in &root.actions {
            self.mark_result(action, uses);
        }
    }

    /// An action, what came of it, and what it reads.
    fn mark_result(&self, action: &Digest, uses: &mut Uses) {
        uses.mark([*action]);
        for output in self.peek_result(action).unwrap_or_default().values() {
            match output {
                Output::File { digest, .. } => {
                    uses.mark([*digest]);
                    uses.made.insert(*digest);
                }
                Output::Tree { root, messages, .. } => {
                    uses.mark([*root, *messages]);
                    uses.made.insert(*root);
                }
            }
        }
        self.mark_action(action, uses);
    }

    /// How many entries of the store a root keeps, and their bytes.
    pub fn kept_by(&self, root: &StoreRoot) -> Result<(usize, u64), StoreError> {
        let mut uses = Uses::default();
        self.mark_root(root, &mut uses);
        let (mut entries, mut bytes) = (0, 0);
        for digest in uses.last.keys() {
            for part in ["cas", "tree", "ac"] {
                let path = self.root.join(part).join(digest.hex());
                if path.symlink_metadata().is_ok() {
                    entries += 1;
                    bytes += size(&path)?;
                }
            }
        }
        Ok((entries, bytes))
    }

    /// What cannot be read is not kept for its content: it would be made anew.
    fn mark_action(&self, action: &Digest, uses: &mut Uses) {
        let Some(action) = self.message::<Action>(action) else { return };
        let digests = [&action.command_digest, &action.input_root_digest];
        uses.mark(digests.into_iter().flatten().filter_map(|digest| Some(digest.parts()?.0)));
        let mut open: Vec<BlobDigest> = action.input_root_digest.into_iter().collect();
        while let Some(digest) = open.pop() {
            let Some(directory) = digest.parts().and_then(|(digest, _)| self.message::<Directory>(&digest)) else {
                continue;
            };
            let files = || directory.files.iter().filter_map(|file| Some(file.digest.as_ref()?.parts()?.0));
            uses.mark(files());
            uses.inputs.extend(files());
            for node in directory.directories {
                if let Some(digest) = node.digest
                    && digest.parts().is_some_and(|(known, _)| uses.mark_new(known))
                {
                    open.push(digest);
                }
            }
        }
    }

    fn message<M: Message + Default>(&self, digest: &Digest) -> Option<M> {
        M::decode(fs::read(&self.blob_path(digest), LIMIT).ok()?.as_slice()).ok()
    }
}

/// When it was used last or came in. Results are touched when used; blobs have the time at which they got their name.
fn time(path: &Path) -> Result<i64, StoreError> {
    let metadata = fs::metadata(path)?;
    Ok(metadata.mtime().max(metadata.ctime()))
}

pub(super) fn size(path: &Path) -> Result<u64, StoreError> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::names(path)?.iter().map(|name| size(&path.join(name))).sum()
}

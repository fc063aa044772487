//! Garbage collection: keeps what results used lately consist of and were made from, and what came in lately.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use prost::Message;

use super::{Output, Store, StoreError};
use crate::base::Digest;
use crate::plan::reapi::{Action, BlobDigest, Directory};
use crate::world::fs;

/// No message is larger.
const LIMIT: u64 = 256 << 20;

#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Seconds since 1970: what was used or came in at or after this instant stays.
    pub since: i64,
    /// Only say what would go.
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct GcReport {
    /// Files and trees removed.
    pub removed: u64,
    /// Bytes that they held.
    pub bytes: u64,
    /// Blobs and trees kept.
    pub kept: u64,
}

/// The directories that garbage collection looks into.
const PARTS: [&str; 9] = ["cas", "tree", "ac", "part", "quarantine", "log", "note", "incremental", "lock"];

/// What a part of the store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct StoreUsage {
    /// Its directory.
    pub part: &'static str,
    /// Files and trees in it.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What reading the whole store found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RecheckReport {
    /// Files and trees that were read.
    pub checked: u64,
    /// Those of them that were not what their names say.
    pub damaged: u64,
}

impl Store {
    /// Removes what the policy does not keep, if nobody else uses the store.
    pub fn collect(&self, policy: &Policy) -> Result<GcReport, StoreError> {
        let Some(_alone) = self.alone()? else { return Err(StoreError::Busy) };
        let live = self.live(policy)?;
        let mut report = GcReport::default();
        for part in PARTS {
            for name in fs::names(&self.root.join(part))? {
                let path = self.root.join(part).join(&name);
                let digest = name.to_str().and_then(|name| name.parse::<Digest>().ok());
                let named = digest.is_some_and(|digest| live.contains(&digest));
                let keep = match part {
                    "lock" => digest.is_none(),
                    _ => named || recent(&path, policy)?,
                };
                if keep {
                    report.kept += u64::from(matches!(part, "cas" | "tree"));
                } else {
                    report.removed += 1;
                    report.bytes += size(&path)?;
                    if !policy.dry_run {
                        fs::remove_tree(&path)?;
                    }
                }
            }
        }
        Ok(report)
    }

    /// The policy that also removes what was used longest ago, so that no more than `most` bytes stay if that is possible.
    pub fn fitting(&self, policy: &Policy, most: u64) -> Result<Policy, StoreError> {
        let total: u64 = self.usage()?.iter().map(|part| part.bytes).sum();
        let fits = |since| -> Result<bool, StoreError> {
            let report = self.collect(&Policy { since, dry_run: true })?;
            Ok(total.saturating_sub(report.bytes) <= most)
        };
        // Later than everything that is there.
        let (mut too_early, mut late) = (policy.since, newest(&self.root)?.saturating_add(1).max(policy.since));
        if fits(too_early)? {
            return Ok(*policy);
        }
        while late - too_early > 1 {
            let middle = too_early + (late - too_early) / 2;
            if fits(middle)? { late = middle } else { too_early = middle }
        }
        Ok(Policy { since: late, ..*policy })
    }

    /// What each part of the store takes.
    pub fn usage(&self) -> Result<Vec<StoreUsage>, StoreError> {
        let part = |part: &&'static str| {
            let names = fs::names(&self.root.join(part))?;
            let bytes =
                names.iter().map(|name| size(&self.root.join(part).join(name))).sum::<Result<u64, StoreError>>()?;
            Ok(StoreUsage { part, entries: names.len(), bytes })
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
            let file = match fs::open(&path) {
                // Another kiln has set it aside meanwhile.
                Err(_) if path.symlink_metadata().is_err() => continue,
                opened => opened,
            };
            let read = |file| super::blob::digest_of(&file, &path, &|| false);
            report.checked += 1;
            // A disk that cannot read a file has lost it.
            if !file.map_err(StoreError::from).and_then(read).is_ok_and(|(found, _)| found == digest) {
                report.damaged += 1;
                self.set_aside(&path, &digest)?;
            }
        }
        for name in fs::names(&self.root.join("tree"))? {
            let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            self.forget_tree(&digest)?;
            report.checked += 1;
            report.damaged += u64::from(!matches!(self.check_tree(&digest)?, super::Presence::Good(_)));
        }
        Ok(report)
    }

    /// Digests that results used lately name: outputs, the action, its inputs.
    fn live(&self, policy: &Policy) -> Result<BTreeSet<Digest>, StoreError> {
        let mut live = BTreeSet::new();
        for name in fs::names(&self.root.join("ac"))? {
            let path = self.root.join("ac").join(&name);
            let Some(action) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            if !recent(&path, policy)? {
                continue;
            }
            live.insert(action);
            for output in self.peek_result(&action).unwrap_or_default().values() {
                match output {
                    Output::File { digest, .. } => drop(live.insert(*digest)),
                    Output::Tree { root, messages, .. } => live.extend([*root, *messages]),
                }
            }
            self.mark_action(&action, &mut live);
        }
        Ok(live)
    }

    /// What cannot be read is not kept for its content: it would be made anew.
    fn mark_action(&self, action: &Digest, live: &mut BTreeSet<Digest>) {
        let Some(action) = self.message::<Action>(action) else { return };
        let digests = [&action.command_digest, &action.input_root_digest];
        live.extend(digests.into_iter().flatten().filter_map(|digest| Some(digest.parts()?.0)));
        let mut open: Vec<BlobDigest> = action.input_root_digest.into_iter().collect();
        while let Some(digest) = open.pop() {
            let Some(directory) = digest.parts().and_then(|(digest, _)| self.message::<Directory>(&digest)) else {
                continue;
            };
            live.extend(directory.files.iter().filter_map(|file| Some(file.digest.as_ref()?.parts()?.0)));
            for node in directory.directories {
                if let Some(digest) = node.digest
                    && digest.parts().is_some_and(|(known, _)| live.insert(known))
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

/// Whether it was used or came in lately. Results are touched when used; blobs have the time at which they got their
/// name.
fn recent(path: &Path, policy: &Policy) -> Result<bool, StoreError> {
    let metadata = fs::metadata(path)?;
    Ok(metadata.mtime().max(metadata.ctime()) >= policy.since)
}

/// The time of the newest entry of a store.
fn newest(root: &Path) -> Result<i64, StoreError> {
    let mut newest = 0;
    for part in PARTS {
        for name in fs::names(&root.join(part))? {
            let metadata = fs::metadata(&root.join(part).join(name))?;
            newest = newest.max(metadata.mtime()).max(metadata.ctime());
        }
    }
    Ok(newest)
}

fn size(path: &Path) -> Result<u64, StoreError> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::names(path)?.iter().map(|name| size(&path.join(name))).sum()
}

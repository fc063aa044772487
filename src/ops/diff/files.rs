//! What differs between the files of two images. Times do not count: a lock of another day gives other ones to every file.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::base::{ByteSize, Foreign};
use crate::format::tar::{TarEntry, TarEntryKind};
use crate::ops::error::OpsError;
use crate::ops::export::{DiskFile, FileFacts, files};

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// The image or the machine; empty where two disks were compared.
    pub image: String,
    /// From the root.
    pub path: String,
    /// How it differs.
    #[serde(flatten)]
    pub change: FileChange,
}

/// How it differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum FileChange {
    /// Only the second image has it.
    Added {
        /// What it is.
        is: String,
    },
    /// Only the first image has it.
    Removed {
        /// What it was.
        was: String,
    },
    /// Both have it.
    Changed {
        /// Each property in which the two differ.
        what: Vec<PropertyChange>,
    },
}

/// A property of a file in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PropertyChange {
    /// `content`, `kind`, `mode`, `owner`, `attribute NAME`.
    pub property: String,
    /// In the first image.
    pub from: String,
    /// In the second image.
    pub to: String,
}

/// Everything in which the files of two disks differ, in the order of their paths.
pub(super) fn of_disks(one: &DiskFile, other: &DiskFile) -> Result<Vec<FileDifference>, OpsError> {
    let (before, after) = (files(one)?, files(other)?);
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changes = paths.into_iter().filter_map(|path| {
        let change = match (before.get(path), after.get(path)) {
            (Some(one), Some(other)) => {
                let what = properties(one, other);
                (!what.is_empty()).then_some(FileChange::Changed { what })?
            }
            (Some(one), None) => FileChange::Removed { was: described(&one.entry) },
            (None, Some(other)) => FileChange::Added { is: described(&other.entry) },
            (None, None) => return None,
        };
        Some(FileDifference { image: one.label.clone(), path: path.to_string(), change })
    });
    Ok(changes.collect())
}

fn properties(one: &FileFacts, other: &FileFacts) -> Vec<PropertyChange> {
    let mut changes = Vec::new();
    let mut compare = |property: &str, from: String, to: String| {
        if from != to {
            changes.push(PropertyChange { property: property.to_owned(), from, to });
        }
    };
    let (FileFacts { entry: a, content: one }, FileFacts { entry: b, content: other }) = (one, other);
    compare("kind", kind(&a.kind), kind(&b.kind));
    if let (Some(one), Some(other)) = (one, other) {
        let content = |entry: &TarEntry, digest: &crate::base::Digest| {
            format!("{} sha256:{}", ByteSize(entry.size).rounded(), digest.hex())
        };
        compare("content", content(a, one), content(b, other));
    }
    compare("mode", format!("{:04o}", a.mode), format!("{:04o}", b.mode));
    compare("owner", format!("{}:{}", a.uid, a.gid), format!("{}:{}", b.uid, b.gid));
    let names: BTreeSet<_> = a.xattrs.keys().chain(b.xattrs.keys()).collect();
    for name in names {
        let value = |entry: &TarEntry| match entry.xattrs.get(name) {
            Some(value) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
            None => "none".to_owned(),
        };
        compare(&format!("attribute {}", String::from_utf8_lossy(name)), value(a), value(b));
    }
    changes
}

/// What a file is that only one of them has.
fn described(entry: &TarEntry) -> String {
    let size =
        if entry.kind == TarEntryKind::File { format!(", {}", ByteSize(entry.size).rounded()) } else { String::new() };
    format!("{}, {:04o}, {}:{}{size}", kind(&entry.kind), entry.mode, entry.uid, entry.gid)
}

fn kind(kind: &TarEntryKind) -> String {
    match kind {
        TarEntryKind::File | TarEntryKind::Hardlink(_) => "file".to_owned(),
        TarEntryKind::Directory => "directory".to_owned(),
        TarEntryKind::Symlink(target) => format!("link to {}", String::from_utf8_lossy(target)),
        TarEntryKind::CharDevice(device) => format!("character device {}:{}", device.major, device.minor),
        TarEntryKind::BlockDevice(device) => format!("block device {}:{}", device.major, device.minor),
        TarEntryKind::Fifo => "named pipe".to_owned(),
    }
}

impl fmt::Display for FileDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        let text = match &self.change {
            FileChange::Added { is } => format!("+ {path} ({is})"),
            FileChange::Removed { was } => format!("- {path} ({was})"),
            FileChange::Changed { what } => {
                let what: Vec<String> = what.iter().map(ToString::to_string).collect();
                format!("{path}: {}", what.join("; "))
            }
        };
        let image = if self.image.is_empty() { String::new() } else { format!("{}: ", self.image) };
        Foreign(format!("{image}{text}")).fmt(f)
    }
}

impl fmt::Display for PropertyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PropertyChange { property, from, to } = self;
        // Of a content people want to know how long it is; its digests are in the JSON.
        let short = |text: &str| text.split(" sha256:").next().unwrap_or_default().to_owned();
        let (from, to) = (short(from), short(to));
        if from == to { f.write_str(property) } else { write!(f, "{property} {from} -> {to}") }
    }
}

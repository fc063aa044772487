//! Looks at the files of a tree, and reads the small ones, while those before are written.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Cursor as Memory, Read};
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::SyncSender;

use crate::exec::tree::{self, Cursor, FileType, Place, Stat, Tree, TreeError};
use crate::format::tar::{TarEntry, TarPath};

/// Paths that are looked at before somebody gets them, and how many times as many may wait.
const BATCH: usize = 32;
pub(super) const BATCHES: usize = 2;
/// Bytes of a file that is read here; larger ones are only opened.
const SMALL: u64 = 256 << 10;

/// What is at a path of the archive.
pub(super) enum FoundEntry {
    /// It is in no tree.
    Device(TarEntry),
    File(Found),
}

/// What is at a path of the tree.
pub(super) struct Found {
    pub(super) path: TarPath,
    pub(super) stat: Stat,
    pub(super) content: Content,
}

pub(super) enum Content {
    None,
    /// Of a link.
    Target(Vec<u8>),
    /// Of a file.
    File {
        size: u64,
        xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
        bytes: Bytes,
    },
}

/// Where bytes come from.
pub(super) enum Bytes {
    Memory(Memory<Vec<u8>>),
    File(File),
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Bytes::Memory(bytes) => bytes.read(buffer),
            Bytes::File(file) => file.read(buffer),
        }
    }
}

type Batch = Result<Vec<FoundEntry>, TreeError>;

/// Sends what is at these paths, in order, up to the first error, or until nobody listens.
pub(super) fn read(tree: &Tree, devices: &BTreeMap<TarPath, TarEntry>, paths: &[TarPath], listener: SyncSender<Batch>) {
    let mut cursor = Cursor::new(tree);
    for paths in paths.chunks(BATCH) {
        let mut found = |path: &TarPath| match devices.get(path) {
            Some(entry) => Ok(FoundEntry::Device(entry.clone())),
            None => {
                let place = cursor.at(OsStr::from_bytes(path.as_bytes()));
                let found = place.and_then(|place| look(path, &place));
                found.map(FoundEntry::File).map_err(|error| TreeError::file("read", path.to_string(), error))
            }
        };
        let batch: Batch = paths.iter().map(&mut found).collect();
        let failed = batch.is_err();
        if listener.send(batch).is_err() || failed {
            return;
        }
    }
}

fn look(path: &TarPath, place: &Place) -> io::Result<Found> {
    let stat = place.stat()?;
    let content = match stat.kind {
        FileType::Symlink => Content::Target(place.target()?.as_bytes().to_vec()),
        FileType::RegularFile => {
            let (mut file, Stat { size, .. }) = place.read()?;
            let xattrs = xattrs(&file)?;
            let bytes = if size <= SMALL {
                let mut bytes = Vec::with_capacity(size as usize);
                // A file that grows meanwhile is refused by who writes it.
                (&mut file).take(SMALL + 1).read_to_end(&mut bytes)?;
                Bytes::Memory(Memory::new(bytes))
            } else {
                Bytes::File(file)
            };
            Content::File { size, xattrs, bytes }
        }
        _ => Content::None,
    };
    Ok(Found { path: path.clone(), stat, content })
}

/// Capabilities belong to a package's files. Other attributes come from the builder's machine (SELinux labels) or depend
/// on its file system (the ACLs of `/var/log/journal`, which systemd-tmpfiles sets again at every boot).
fn xattrs(file: &File) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let capability = tree::capability(file)?;
    Ok(capability.map(|value| (tree::CAPABILITY.as_bytes().to_vec(), value)).into_iter().collect())
}

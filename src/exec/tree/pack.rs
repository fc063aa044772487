//! The finished tree as a canonical tar: sorted, times bounded, devices from the model, nothing of the build left.

mod ahead;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{FileType, Go, RootError, Times, Tree};
use crate::base::Timestamp;
use crate::exec::failure::StepFailure;
use crate::format::tar::{Device, TarEntry, TarEntryKind, TarPath, TarWriter};
use crate::world::fs;
use ahead::{Bytes, Content, Found, FoundEntry};

/// Character devices of `/dev` with major, minor and mode (Linux `Documentation/admin-guide/devices.txt`). The kernel
/// mounts its own above them; they are there for whoever looks into the tree without booting it.
const DEVICES: [(&str, u32, u32, u32); 8] = [
    ("console", 5, 1, 0o600),
    ("full", 1, 7, 0o666),
    ("null", 1, 3, 0o666),
    ("ptmx", 5, 2, 0o666),
    ("random", 1, 8, 0o666),
    ("tty", 5, 0, 0o666),
    ("urandom", 1, 9, 0o666),
    ("zero", 1, 5, 0o666),
];
const DEV_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];
const DEV_DIRECTORIES: [(&str, u32); 2] = [("pts", 0o755), ("shm", 0o1777)];

/// Sees what goes into an archive while it is written, so that nobody must read it again.
pub(crate) trait Witness {
    /// Before each entry.
    fn entry(&mut self, entry: &TarEntry);
    /// Its content, piece by piece.
    fn content(&mut self, entry: &TarEntry, piece: &[u8]);
}

/// Nobody looks.
impl Witness for () {
    fn entry(&mut self, _: &TarEntry) {}
    fn content(&mut self, _: &TarEntry, _: &[u8]) {}
}

/// Writes `tree` to `out`, which may be a pipe that somebody reads.
pub(crate) fn write(
    tree: &Tree,
    (epoch, times): (Timestamp, &Times),
    out: &Path,
    witness: &mut impl Witness,
) -> Result<(), RootError> {
    let mut paths = collect(tree)?;
    let devices = devices(epoch)?;
    paths.retain(|path| !below_dev(path));
    paths.extend(devices.keys().cloned());
    paths.sort();
    let writer = TarWriter::new(BufWriter::with_capacity(1 << 20, fs::create_output(out)?));
    let mut archive = Archive { writer, times, links: BTreeMap::new(), witness };
    std::thread::scope(|scope| {
        let (found, batches) = std::sync::mpsc::sync_channel(ahead::BATCHES);
        scope.spawn(|| ahead::read(tree, &devices, &paths, found));
        for batch in batches {
            batch?.into_iter().try_for_each(|found| archive.append(found))?;
        }
        Ok::<_, RootError>(())
    })?;
    let mut buffer = archive.writer.finish()?;
    fs::context("write", out, buffer.flush())?;
    Ok(())
}

fn below_dev(path: &TarPath) -> bool {
    path.as_bytes().starts_with(b"dev/")
}

/// Every path of the tree but those of sockets, which mean nothing without a program.
fn collect(tree: &Tree) -> Result<Vec<TarPath>, RootError> {
    let mut paths = vec![TarPath::root()];
    tree.visit("", &mut |place, stat| {
        if stat.kind != FileType::Socket {
            paths.push(TarPath::new(place.path().as_os_str().as_bytes())?);
        }
        Ok::<Go, RootError>(Go::Down)
    })?;
    Ok(paths)
}

struct Archive<'a, W: Write, S> {
    writer: TarWriter<W>,
    witness: &'a mut S,
    times: &'a Times,
    /// Files with several names, by inode.
    links: BTreeMap<(u64, u64), TarPath>,
}

impl<W: Write, S: Witness> Archive<'_, W, S> {
    fn empty(&mut self, entry: &TarEntry) -> Result<(), RootError> {
        self.witness.entry(entry);
        Ok(self.writer.append_empty(entry)?)
    }

    fn append(&mut self, found: FoundEntry) -> Result<(), RootError> {
        let Found { path, stat, content } = match found {
            FoundEntry::Device(entry) => return self.empty(&entry),
            FoundEntry::File(found) => found,
        };
        let mut entry = TarEntry::directory(path.clone(), stat.mode, self.times.settle(stat.mtime));
        (entry.uid, entry.gid) = (stat.uid, stat.gid);
        match content {
            Content::None if stat.kind == FileType::Fifo => entry.kind = TarEntryKind::Fifo,
            Content::None if stat.kind == FileType::Directory => {}
            Content::None => {
                let text = format!("{path} is a device, which packages may not create");
                return Err(RootError::from(StepFailure::input(text)));
            }
            Content::Target(target) => {
                entry.kind = TarEntryKind::Symlink(target);
                entry.mode = 0o777;
            }
            Content::File { size, xattrs, bytes } => {
                if stat.links > 1 {
                    if let Some(first) = self.links.get(&stat.inode) {
                        entry.kind = TarEntryKind::Hardlink(first.clone());
                        return self.empty(&entry);
                    }
                    self.links.insert(stat.inode, path);
                }
                (entry.kind, entry.size, entry.xattrs) = (TarEntryKind::File, size, xattrs);
                self.witness.entry(&entry);
                let seen = Seen { bytes, entry: &entry, witness: self.witness };
                return Ok(self.writer.append(&entry, seen)?);
            }
        }
        self.empty(&entry)
    }
}

/// A file whose every piece the witness sees.
struct Seen<'a, S> {
    bytes: Bytes,
    entry: &'a TarEntry,
    witness: &'a mut S,
}

impl<S: Witness> Read for Seen<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        self.witness.content(self.entry, &buffer[..length]);
        Ok(length)
    }
}

fn devices(epoch: Timestamp) -> Result<BTreeMap<TarPath, TarEntry>, RootError> {
    let mut entries = Vec::new();
    let path = |name: &str| TarPath::new(format!("dev/{name}"));
    for (name, major, minor, mode) in DEVICES {
        let mut entry = TarEntry::file(path(name)?, mode, epoch.0, 0);
        entry.kind = TarEntryKind::CharDevice(Device { major, minor });
        // Group tty is 5 in every Debian (base-passwd's group.master).
        entry.gid = if matches!(name, "console" | "ptmx" | "tty") { 5 } else { 0 };
        entries.push(entry);
    }
    for (name, target) in DEV_LINKS {
        entries.push(TarEntry::symlink(path(name)?, target, epoch.0));
    }
    for (name, mode) in DEV_DIRECTORIES {
        entries.push(TarEntry::directory(path(name)?, mode, epoch.0));
    }
    Ok(entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::exec::tree::tests::Scratch;
    use crate::format::tar::TarReader;

    type Seen = Vec<(TarEntry, Vec<u8>)>;

    impl Witness for Seen {
        fn entry(&mut self, entry: &TarEntry) {
            self.push((entry.clone(), Vec::new()));
        }

        fn content(&mut self, entry: &TarEntry, piece: &[u8]) {
            let last = self.last_mut().unwrap();
            assert_eq!(&last.0, entry);
            last.1.extend_from_slice(piece);
        }
    }

    #[test]
    fn a_witness_sees_what_the_archive_has() {
        let scratch = Scratch::new("witness");
        let tree = scratch.tree();
        tree.directory("etc").unwrap();
        tree.put("etc/large", &b"0123456789".repeat(300_000), 0o644).unwrap();
        tree.put("etc/empty", b"", 0o600).unwrap();
        tree.link("etc/link", "large").unwrap();
        tree.at("etc/other").unwrap().make_name_of(&tree.at("etc/empty").unwrap()).unwrap();
        let times = Times::begin(&tree, Timestamp(1)).unwrap();
        let out = scratch.outside().join("tree.tar");
        let mut seen = Seen::new();
        write(&tree, (Timestamp(1), &times), &out, &mut seen).unwrap();
        let mut reader = TarReader::new(BufReader::new(fs::open(&out).unwrap()));
        let mut written = Seen::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            written.push((entry, bytes));
        }
        assert!(written.iter().any(|(_, bytes)| bytes.len() == 3_000_000));
        assert_eq!(seen, written);
    }
}

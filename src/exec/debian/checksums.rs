//! Checksums of packages' files that are known before dpkg is asked: computed while scripts run, which leaves a processor idle.
//!
//! Input: the lists of checksums in dpkg's database, and the tree, which scripts change meanwhile. Output: what each file had,
//! and after the archive is written, whether that is still so. The bytes in the archive decide: a file that was changed
//! after it was read here is like one that was never read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crc32fast::Hasher as Crc32;
use md5::{Digest as _, Md5};

use super::origin::Info;
use crate::exec::tree::{Cursor, FileType, RootError, Tree, Witness};
use crate::format::tar::{TarEntry, TarEntryKind};
use crate::world::fs;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;
/// The priority of a process's session among all others, where the kernel groups processes by session (`sched(7)`, autogroup). Scripts
/// have a session of their own, and whoever waits for a script waits for nothing else.
const PRIORITY: &str = "/proc/self/autogroup";
/// As low as the kernel has it, and what it is otherwise.
const LOWEST: i32 = 19;
const NORMAL: i32 = 0;

/// Links to the directories of the same names below `/usr`, as every Debian since 12 has them.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// An MD5 as dpkg writes it.
pub(super) type Checksum = [u8; 16];

/// What a file had when it was read. The second checksum is quick, and tells whether the file is still the same; nobody who
/// would hide a change has to try: the lists of checksums are in the same tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    size: u64,
    quick: u32,
    checksum: Checksum,
}

/// Files by their path in the archive.
#[derive(Debug, Default)]
pub(super) struct Checksums(BTreeMap<Vec<u8>, Known>);

/// Reads the files that the lists of a tree name, until `stop` says that nobody needs it any more. What cannot be read is not
/// known: dpkg will have its own words for it.
pub(super) fn read(tree: &Tree, stop: &AtomicBool) -> Result<Checksums, RootError> {
    let _low = Low::begin();
    let info = Info::read(tree)?;
    let mut known = BTreeMap::new();
    let mut cursor = Cursor::new(tree);
    let mut buffer = vec![0; PIECE];
    for stem in &info.stems {
        for (path, _) in listed(&info.text(stem, "md5sums")) {
            let opened = cursor.at(path).and_then(|place| match place.stat()?.kind {
                FileType::RegularFile => place.read().map(|(file, _)| Some(file)),
                _ => Ok(None),
            });
            let found = opened.ok().flatten().and_then(|mut file| of(&mut file, &mut buffer, stop).ok());
            known.extend(found.map(|found| (in_archive(path).into_bytes(), found)));
            if stop.load(Ordering::Relaxed) {
                return Ok(Checksums(known));
            }
        }
    }
    Ok(Checksums(known))
}

/// A process that works only when nobody else does.
struct Low;

impl Low {
    /// Where the kernel does not let it, it works like any other.
    fn begin() -> Low {
        let _ = rustix::process::setpriority_process(None, LOWEST);
        set_priority(LOWEST);
        Low
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        set_priority(NORMAL);
    }
}

fn set_priority(nice: i32) {
    let _ = fs::create(Path::new(PRIORITY))
        .and_then(|mut file| fs::context("write", Path::new(PRIORITY), write!(file, "{nice}")));
}

fn of(file: &mut impl Read, buffer: &mut [u8], stop: &AtomicBool) -> std::io::Result<Known> {
    let (mut size, mut quick, mut slow) = (0, Crc32::new(), Md5::new());
    loop {
        // A hole of a script's making may be read for hours.
        if stop.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let count = file.read(buffer)?;
        if count == 0 {
            return Ok(Known { size, quick: quick.finalize(), checksum: slow.finalize().into() });
        }
        size += count as u64;
        quick.update(&buffer[..count]);
        slow.update(&buffer[..count]);
    }
}

/// Paths and checksums of a list; lines that are none are left out.
pub(super) fn listed(text: &str) -> impl Iterator<Item = (&str, Checksum)> {
    text.lines().filter_map(|line| {
        let (hex, path) = (line.get(..32)?, line.get(34..)?);
        Some((path, checksum(hex)?))
    })
}

/// A checksum from its 32 digits.
pub(super) fn checksum(hex: &str) -> Option<Checksum> {
    let mut checksum = [0; 16];
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in checksum.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(checksum)
}

/// What the archive calls a path of a package, with or without a slash at its beginning.
pub(super) fn in_archive(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let merged = MERGED.contains(&first) && path.len() > first.len();
    if merged { format!("usr/{path}") } else { path.to_owned() }
}

/// Looks at what goes into the archive.
pub(super) struct Watched<'a, W> {
    known: &'a Checksums,
    /// Who looks as well.
    next: &'a mut W,
    /// What is in the archive.
    archived: Archived,
    /// The file that is written, if it is known.
    current: Option<(Vec<u8>, Known, Crc32)>,
}

/// What is in an archive, by path: with their checksums the files that are as they were read.
#[derive(Debug, Default)]
pub(super) struct Archived {
    paths: BTreeSet<Vec<u8>>,
    /// Those of [`MERGED`] that are directories of their own.
    apart: Vec<&'static str>,
    unchanged: BTreeMap<Vec<u8>, Checksum>,
}

impl<'a, W: Witness> Watched<'a, W> {
    pub(super) fn new(known: &'a Checksums, next: &'a mut W) -> Watched<'a, W> {
        Watched { known, next, archived: Archived::default(), current: None }
    }

    /// What was seen, when the archive is written.
    pub(super) fn finish(mut self) -> Archived {
        self.settle();
        self.archived
    }

    fn settle(&mut self) {
        if let Some((path, known, quick)) = self.current.take()
            && quick.finalize() == known.quick
        {
            self.archived.unchanged.insert(path, known.checksum);
        }
    }
}

impl<W: Witness> Witness for Watched<'_, W> {
    fn entry(&mut self, entry: &TarEntry) {
        self.settle();
        let path = entry.path.as_bytes();
        self.archived.paths.insert(path.to_owned());
        if entry.is_directory() {
            self.archived.apart.extend(MERGED.iter().find(|name| name.as_bytes() == path));
        }
        match &entry.kind {
            TarEntryKind::File => {
                let known = self.known.0.get(path).filter(|known| known.size == entry.size);
                self.current = known.map(|known| (path.to_owned(), *known, Crc32::new()));
            }
            // The content is that of its other name, whose checksum the lists have to give this one, too.
            TarEntryKind::Hardlink(target) => {
                if let Some(checksum) = self.archived.unchanged.get(target.as_bytes()).copied() {
                    self.archived.unchanged.insert(path.to_owned(), checksum);
                }
            }
            _ => {}
        }
        self.next.entry(entry);
    }

    fn content(&mut self, entry: &TarEntry, piece: &[u8]) {
        if let Some((_, _, quick)) = &mut self.current {
            quick.update(piece);
        }
        self.next.content(entry, piece);
    }
}

impl Archived {
    /// Whether something is at a path of a package.
    pub(super) fn has(&self, path: &str) -> bool {
        self.place(path).is_some_and(|place| self.paths.contains(place.as_bytes()))
    }

    /// Whether a path of a package is known to have this checksum.
    pub(super) fn is(&self, path: &str, checksum: &Checksum) -> bool {
        self.place(path).is_some_and(|place| self.unchanged.get(place.as_bytes()) == Some(checksum))
    }

    /// What it calls a path, unless two paths may be called so.
    fn place(&self, path: &str) -> Option<String> {
        let place = in_archive(path);
        let below = place.strip_prefix("usr/").unwrap_or(&place).split('/').next();
        (!self.apart.iter().any(|name| below == Some(name))).then_some(place)
    }
}

/// What is known of a tree's archive when something happens between reading its files and writing it.
#[cfg(test)]
pub(super) fn written(scratch: &crate::exec::tree::tests::Scratch, happens: impl FnOnce(&Tree)) -> Archived {
    use crate::base::Timestamp;
    use crate::exec::tree::{Times, pack};
    let tree = scratch.tree();
    let known = read(&tree, &AtomicBool::new(false)).unwrap();
    happens(&tree);
    let times = Times::begin(&tree, Timestamp(1)).unwrap();
    let mut nobody = ();
    let mut watched = Watched::new(&known, &mut nobody);
    pack::write(&tree, (Timestamp(1), &times), &scratch.outside().join("tar"), &mut watched).unwrap();
    watched.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;

    /// A tree with packages' files, in which something happens after they were read.
    fn archived(name: &str, happens: impl FnOnce(&Tree)) -> Archived {
        let scratch = Scratch::new(name);
        let tree = &scratch.tree();
        for directory in ["usr/bin", "usr/lib", "opt", "var/lib/dpkg/info"] {
            tree.directory(directory).unwrap();
        }
        tree.link("lib", "usr/lib").unwrap();
        let mut list = String::new();
        for path in ["usr/bin/one", "lib/two", "opt/three", "opt/same"] {
            if path != "opt/same" {
                tree.put(path, path.as_bytes(), 0o755).unwrap();
            }
            list.push_str(&format!("{}  {path}\n", hex(path)));
        }
        tree.at("opt/same").unwrap().make_name_of(&tree.at("opt/three").unwrap()).unwrap();
        tree.put("var/lib/dpkg/info/p.list", b"", 0o644).unwrap();
        tree.put("var/lib/dpkg/info/p.md5sums", list.as_bytes(), 0o644).unwrap();
        written(&scratch, happens)
    }

    fn hex(text: &str) -> String {
        Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn sum(text: &str) -> Checksum {
        checksum(&hex(text)).unwrap()
    }

    #[test]
    fn files_that_stay_as_they_were_read_are_known() {
        let archived = archived("sums", |_| ());
        for path in ["usr/bin/one", "lib/two", "opt/three"] {
            assert!(archived.has(path) && archived.has(&format!("/{path}")), "{path}");
            assert!(archived.is(path, &sum(path)) && !archived.is(path, &sum("else")), "{path}");
        }
        // Two names of one file.
        assert!(archived.is("opt/same", &sum("opt/three")) && !archived.is("opt/same", &sum("opt/same")));
        assert!(!archived.has("opt/four") && !archived.is("opt/four", &sum("opt/four")));
        assert!(archived.has("lib") && archived.has("/lib"));
    }

    #[test]
    fn files_that_change_afterwards_are_not() {
        let archived = archived("sums-changed", |tree| {
            // Of the same size.
            tree.put("usr/bin/one", b"usr/bin/0ne", 0o755).unwrap();
            tree.remove("lib").unwrap();
            tree.directory("lib").unwrap();
            tree.put("lib/two", b"other", 0o755).unwrap();
            tree.remove("opt/three").unwrap();
        });
        assert!(!archived.is("usr/bin/one", &sum("usr/bin/one")) && archived.has("usr/bin/one"));
        // Which of the two directories is meant nobody asks.
        assert!(!archived.is("lib/two", &sum("lib/two")) && !archived.has("lib/two"));
        assert!(!archived.has("opt/three") && !archived.is("opt/three", &sum("opt/three")));
        // The file has only this name now, which is known by itself.
        assert!(archived.is("opt/same", &sum("opt/three")));
    }

    #[test]
    fn whoever_needs_it_no_more_gets_nothing() {
        let scratch = Scratch::new("sums-stopped");
        let tree = scratch.tree();
        tree.directory("var/lib/dpkg/info").unwrap();
        tree.put("var/lib/dpkg/info/p.list", b"", 0o644).unwrap();
        tree.put("f", b"f", 0o644).unwrap();
        tree.put("var/lib/dpkg/info/p.md5sums", format!("{}  f\n", hex("f")).as_bytes(), 0o644).unwrap();
        assert!(read(&tree, &AtomicBool::new(true)).unwrap().0.is_empty());
        assert_eq!(read(&tree, &AtomicBool::new(false)).unwrap().0.len(), 1);
    }
}

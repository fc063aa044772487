//! Checksums of packages' files that are known before dpkg is asked: computed while scripts run, which leaves a processor idle.
//!
//! Input: the lists of checksums in dpkg's database, and the tree, which scripts change meanwhile. Output: what each file had,
//! and after the archive is written, whether that is still so. The bytes in the archive decide: a file that was changed
//! after it was read here is like one that was never read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
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
/// Bytes of all files that are read: a hole costs the script that makes it nothing, and would be read for hours. Files that are larger
/// are dpkg's.
const MOST: u64 = 64 << 30;
/// The priority of a process's session among all others, where the kernel groups processes by session (`sched(7)`, autogroup). Scripts
/// have a session of their own, and whoever waits for a script waits for nothing else. Afterwards everybody waits for what was not
/// read, which another thread does: on a busy machine this one would take minutes for it, and may not raise its own priority.
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

/// What is known of the files of a tree.
#[derive(Debug)]
pub(super) struct Checksums {
    /// By their path in the archive.
    known: BTreeMap<Vec<u8>, Known>,
    /// The package whose files are read next.
    next: OsString,
    /// Bytes that may be read.
    left: u64,
}

impl Default for Checksums {
    fn default() -> Checksums {
        Checksums { known: BTreeMap::new(), next: OsString::new(), left: MOST }
    }
}

/// Reads the files that the lists of a tree name, but those that are known, until `stop` says that somebody else goes on or nobody
/// needs it any more. What cannot be read is not known: dpkg will have its own words for it.
pub(super) fn read(tree: &Tree, mut checksums: Checksums, stop: &AtomicBool) -> Result<Checksums, RootError> {
    let info = Info::read(tree)?;
    let Checksums { known, next, left } = &mut checksums;
    let mut cursor = Cursor::new(tree);
    let mut buffer = vec![0; PIECE];
    let from = std::mem::take(next);
    for stem in info.stems.iter().filter(|stem| **stem >= from) {
        for (path, _) in listed(&info.text(stem, "md5sums")) {
            let place = in_archive(path).into_bytes();
            if known.contains_key(&place) {
                continue;
            }
            let opened = cursor.at(path).and_then(|place| match place.stat()?.kind {
                FileType::RegularFile => place.read().map(Some),
                _ => Ok(None),
            });
            let opened = opened.ok().flatten().filter(|(_, stat)| stat.size <= *left);
            let found = opened.and_then(|(file, stat)| {
                *left -= stat.size;
                // One that grows is another file when it is archived.
                of(&mut file.take(stat.size + 1), &mut buffer, stop).ok()
            });
            known.extend(found.map(|found| (place, found)));
            if stop.load(Ordering::Relaxed) {
                *next = stem.clone();
                return Ok(checksums);
            }
        }
    }
    Ok(checksums)
}

/// A process that works only when nobody else does.
pub(super) struct Low;

impl Low {
    /// Where the kernel does not let it, it works like any other.
    pub(super) fn begin() -> Low {
        let _ = rustix::process::setpriority_process(None, LOWEST);
        set_priority(LOWEST);
        Low
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        hurry();
    }
}

/// Ends that, while it works: somebody waits for it now.
pub(super) fn hurry() {
    set_priority(NORMAL);
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

/// Whether what is at `/NAME` leads to `/usr/NAME`.
fn is_merged(name: &str, kind: &TarEntryKind) -> bool {
    let TarEntryKind::Symlink(target) = kind else { return false };
    let target = target.strip_prefix(b"/").unwrap_or(target.as_slice());
    target.strip_prefix(b"usr/") == Some(name.as_bytes())
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
    /// Those of [`MERGED`], and whether they are links to the directories below `/usr`.
    merged: BTreeMap<&'static str, bool>,
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
        if let Some(name) = MERGED.iter().find(|name| name.as_bytes() == path) {
            self.archived.merged.insert(name, is_merged(name, &entry.kind));
        }
        match &entry.kind {
            TarEntryKind::File => {
                let known = self.known.known.get(path).filter(|known| known.size == entry.size);
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
        let below = place.strip_prefix("usr/").unwrap_or(&place).split('/').next().unwrap_or_default();
        let is_so_called = path.trim_start_matches('/') == place;
        self.merged.get(below).copied().unwrap_or(is_so_called).then_some(place)
    }
}

/// What is known of a tree's archive when something happens between reading its files and writing it.
#[cfg(test)]
pub(super) fn written(scratch: &crate::exec::tree::tests::Scratch, happens: impl FnOnce(&Tree)) -> Archived {
    use crate::base::Timestamp;
    use crate::exec::tree::{Times, pack};
    let tree = scratch.tree();
    let known = read(&tree, Checksums::default(), &AtomicBool::new(false)).unwrap();
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
    use crate::exec::tree::tests::{Scratch, within_cpu_seconds};

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
    fn a_link_that_leads_elsewhere_is_no_merged_directory() {
        for (name, target) in [("sums-usr", Some("/usr/lib")), ("sums-elsewhere", Some("opt")), ("sums-gone", None)] {
            let archived = archived(name, |tree| {
                tree.remove("lib").unwrap();
                target.into_iter().for_each(|target| tree.link("lib", target).unwrap());
            });
            assert_eq!(archived.is("lib/two", &sum("lib/two")), name == "sums-usr", "{name}");
            assert_eq!(archived.has("/lib/two"), name == "sums-usr", "{name}");
        }
    }

    /// Of a script's making, without a byte on the disk.
    #[test]
    fn a_hole_is_not_read_for_hours() {
        within_cpu_seconds(20, "exec::debian::checksums::tests::a_hole_is_not_read_for_hours", || {
            let scratch = Scratch::new("sums-hole");
            let tree = scratch.tree();
            tree.directory("var/lib/dpkg/info").unwrap();
            tree.put("var/lib/dpkg/info/p.list", b"", 0o644).unwrap();
            let listed: String = ["f", "hole", "g"].iter().map(|name| format!("{}  {name}\n", hex(name))).collect();
            tree.put("var/lib/dpkg/info/p.md5sums", listed.as_bytes(), 0o644).unwrap();
            ["f", "g", "hole"].iter().for_each(|name| tree.put(name, name.as_bytes(), 0o644).unwrap());
            tree.at("hole").unwrap().change().unwrap().0.set_len(1 << 42).unwrap();
            let known = read(&tree, Checksums::default(), &AtomicBool::new(false)).unwrap().known;
            assert_eq!(known.keys().collect::<Vec<_>>(), [b"f", b"g"]);
        });
    }

    #[test]
    fn whoever_waits_reads_what_was_not_read() {
        let scratch = Scratch::new("sums-stopped");
        let tree = scratch.tree();
        tree.directory("var/lib/dpkg/info").unwrap();
        for name in ["p", "q"] {
            tree.put(name, name.as_bytes(), 0o644).unwrap();
            tree.put(format!("var/lib/dpkg/info/{name}.list"), b"", 0o644).unwrap();
            let sums = format!("{}  {name}\n", hex(name));
            tree.put(format!("var/lib/dpkg/info/{name}.md5sums"), sums.as_bytes(), 0o644).unwrap();
        }
        let stopped = read(&tree, Checksums::default(), &AtomicBool::new(true)).unwrap();
        assert!(stopped.known.is_empty());
        // A package that came meanwhile.
        tree.put("var/lib/dpkg/info/a.list", b"", 0o644).unwrap();
        let whole = read(&tree, stopped, &AtomicBool::new(false)).unwrap();
        assert_eq!(whole.known.keys().collect::<Vec<_>>(), [b"p", b"q"]);
    }
}

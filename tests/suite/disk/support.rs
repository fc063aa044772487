//! Trees in memory, disks of them in files, and what others say of these.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::format::disk::DiskReader;
use kiln::format::ext4::write::{DiskTree, Ext4Options, Ext4WriteError, MappedDisk, SourceFile, lay_out};
use kiln::format::ext4::{Ext4Reader, Space};
use kiln::format::tar::{TarEntry, TarEntryKind, TarPath};

use crate::suite::skip::skip;
use crate::suite::store::scratch;

pub(super) const EPOCH: i64 = 1_700_000_000;
const OLD: i64 = 1_600_000_000;
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

pub(super) fn file(at: &str) -> TarEntry {
    TarEntry::file(path(at), 0o644, OLD, 0)
}

pub(super) fn directory(at: &str) -> TarEntry {
    TarEntry::directory(path(at), 0o755, OLD)
}

pub(super) fn link(at: &str, target: &str) -> TarEntry {
    TarEntry::symlink(path(at), target, OLD)
}

pub(super) fn options(bytes: u64) -> Ext4Options {
    Ext4Options { bytes, uuid: [0x41; 16], hash_seed: [0x42; 16], label: "root".to_owned(), time: EPOCH, swap: None }
}

/// Names, files, and the contents of all of them one behind the other.
#[derive(Debug, Default, Clone)]
pub(super) struct Tree {
    files: Vec<SourceFile>,
    names: BTreeMap<TarPath, usize>,
    content: Vec<u8>,
}

impl Tree {
    pub(super) fn add(&mut self, entry: TarEntry) {
        self.write(entry, Vec::new());
    }

    pub(super) fn write(&mut self, mut entry: TarEntry, content: Vec<u8>) {
        entry.size = content.len() as u64;
        self.names.insert(entry.path.clone(), self.files.len());
        self.files.push(SourceFile { entry, source: 0, offset: self.content.len() as u64 });
        self.content.extend(content);
    }

    /// Another name of a file.
    pub(super) fn name(&mut self, at: &str, of: &str) {
        self.names.insert(path(at), self.names[&path(of)]);
    }

    /// Another name of some file, if there is any.
    pub(super) fn name_any(&mut self, at: &str, number: usize) {
        let files: Vec<usize> =
            (0..self.files.len()).filter(|file| self.files[*file].entry.kind == TarEntryKind::File).collect();
        if !files.is_empty() {
            self.names.insert(path(at), files[number % files.len()]);
        }
    }

    pub(super) fn has(&self, at: &str) -> bool {
        self.names.contains_key(&path(at))
    }

    /// Whether there is a directory there, after this.
    pub(super) fn ensure_directory(&mut self, at: &str) -> bool {
        if !self.has(at) {
            self.add(directory(at));
        }
        self.files[self.names[&path(at)]].entry.is_directory()
    }

    /// Every name with its file and its content; `lost+found` is not among them.
    pub(super) fn expected(&self) -> BTreeMap<TarPath, (TarEntry, Vec<u8>)> {
        let one = |(path, file): (&TarPath, &usize)| {
            let SourceFile { entry, offset, .. } = &self.files[*file];
            let content = self.content[*offset as usize..][..entry.size as usize].to_vec();
            (path.clone(), (TarEntry { path: path.clone(), ..entry.clone() }, content))
        };
        self.names.iter().map(one).collect()
    }

    pub(super) fn disk(&self, name: &str, options: &Ext4Options) -> Result<Disk, Ext4WriteError> {
        let place = scratch(&format!("ext4-{name}"));
        let at = place.join("content");
        std::fs::write(&at, &self.content).unwrap();
        let sources = [File::open(&at).unwrap()];
        let disk = Disk(place.join("disk.raw"));
        let map = lay_out(DiskTree { files: &self.files, names: &self.names }, &sources, options, &|| Ok(()));
        let map = map.inspect_err(|_| std::fs::remove_dir_all(&place).unwrap())?;
        MappedDisk { map: &map, sources: &sources }.write(&File::create(&disk.0).unwrap(), &|| Ok(())).unwrap();
        Ok(disk)
    }
}

pub(super) fn read_back(at: &Path) -> BTreeMap<TarPath, (TarEntry, Vec<u8>)> {
    let mut reader = Ext4Reader::new(DiskReader::raw(File::open(at).unwrap()).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for (path, number) in reader.names(&|| false).unwrap() {
        if path.as_bytes() == b"lost+found" {
            continue;
        }
        let inode = reader.inode(number).unwrap();
        let entry = reader.entry(path.clone(), &inode).unwrap();
        let mut content = Vec::new();
        if entry.kind == TarEntryKind::File {
            reader.content(&inode).unwrap().read_to_end(&mut content).unwrap();
        }
        found.insert(path, (entry, content));
    }
    found
}

/// Bytes that a file holds.
pub(super) fn held(at: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&at.metadata().unwrap()) * 512
}

/// A raw disk, which goes with its directory.
pub(super) struct Disk(pub(super) PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// A program of e2fsprogs; `None`, and said, where there is none.
pub(super) fn program(name: &str) -> Option<Command> {
    if !PATH.split(':').any(|directory| Path::new(directory).join(name).exists()) {
        skip(format!("there is no {name}"));
        return None;
    }
    let mut command = Command::new(name);
    command.env_clear().env("PATH", PATH);
    Some(command)
}

impl Disk {
    /// Whether e2fsck finds nothing.
    pub(super) fn judge(&self) {
        let Some(mut e2fsck) = program("e2fsck") else { return };
        let output = e2fsck.args(["-f", "-n"]).arg(&self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    pub(super) fn ask(&self, request: &str) -> Option<String> {
        let mut debugfs = program("debugfs")?;
        let output = debugfs.args(["-f", "-"]).arg(&self.0);
        let mut child = output
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        Some(String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned())
    }

    pub(super) fn has_room(&self, room: Space) {
        let Some(mut dumpe2fs) = program("dumpe2fs") else { return };
        let output = dumpe2fs.arg("-h").arg(&self.0).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let number = |key: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.trim().parse::<u64>().ok()).unwrap_or_else(|| panic!("{key}: {said}"))
        };
        let found = Space { blocks: number("Free blocks:"), inodes: number("Free inodes:") };
        assert_eq!(found, room, "{said}");
    }

    /// Whether resize2fs is there, which makes it as large as that.
    pub(super) fn grow(&self, bytes: u64) -> bool {
        let Some(mut resize2fs) = program("resize2fs") else { return false };
        File::options().write(true).open(&self.0).unwrap().set_len(bytes).unwrap();
        let output = resize2fs.arg(&self.0).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        true
    }
}

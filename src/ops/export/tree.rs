//! The files of a disk's root file system as a canonical archive.
//!
//! An image that is an archive already is that archive. Partitions that the image mounts (`/etc/fstab`) are where they are mounted. What is no file of the system is left out: the
//! directory `lost+found` that every new file system has, and, told to the user, a swap file.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};

use super::disk::{DiskFile, OpenDisk};
use super::facts::{self, FileFacts, Stoppable};
use super::target::NewExport;
use super::{LeftOut, ask_to_stop, elf};
use crate::base::{Arch, Digest};
use crate::exec::interrupt;
use crate::format::disk::{DiskPart, DiskReader, ReadAt};
use crate::format::ext4::{Ext4Error, Ext4Reader, is_ext4};
use crate::format::gpt::{self, Guid, Partition, SECTOR};
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarWriter};
use crate::ops::error::{ExportError, OpsError};
use crate::recipe::image::SWAP_FILE;
use crate::world::noted::NotedWriter;
use crate::world::sparse;

/// Bytes of an entry without its content.
const ENTRY_BYTES: u64 = 1024;
/// Of `/etc/fstab`.
const TABLE_LIMIT: u64 = 1 << 20;
/// What the first page of a swap file ends with (`mkswap`).
const SWAP: (u64, &[u8]) = (4096, b"SWAPSPACE2");

type FileSystem = Ext4Reader<DiskPart<DiskReader>>;

/// The names of all file systems: which one each is on, and the inode there.
type Names = BTreeMap<TarPath, (usize, u64)>;

/// Writes the archive.
pub(super) fn write(disk: &DiskFile, new: &NewExport<'_>) -> Result<Vec<LeftOut>, OpsError> {
    if let OpenDisk::Archive(archive) = disk.open()? {
        return match sparse::copy_while(&archive, new.file(), &ask_to_stop) {
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(new.failed(error)),
        };
    }
    let mut tree = Tree::read(disk)?;
    let mut out = NotedWriter::new(BufWriter::with_capacity(1 << 20, new.file()));
    let written = tree.archive(&mut out).and_then(|left_out| {
        out.flush().map_err(|error| new.failed(error))?;
        Ok(left_out)
    });
    out.blame(new.destination(), written)
}

/// The file systems of a disk, put together.
pub(super) struct Tree<'a> {
    disk: &'a DiskFile,
    file_systems: Vec<FileSystem>,
    names: Names,
    /// What is in the archive, and the most that may be: files may have holes, and share extended attributes.
    bytes: u64,
    most: u64,
}

impl<'a> Tree<'a> {
    pub(super) fn read(disk: &'a DiskFile) -> Result<Tree<'a>, OpsError> {
        let most = disk.open_bounded()?.most_content();
        let (root, others) = file_systems(disk)?;
        let mut tree = Tree { disk, file_systems: vec![root], names: Names::new(), bytes: 0, most };
        let names = tree.names_of(0)?;
        tree.names = names.into_iter().map(|(path, inode)| (path, (0, inode))).collect();
        if others.is_empty() {
            return Ok(tree);
        }
        let table = tree.text("etc/fstab")?;
        let mut mounts = Vec::new();
        for (partition, file_system) in others {
            let mount = mount_point(&table, &partition, &file_system.uuid());
            let unmounted = || tree.wrong(format!("nothing in its /etc/fstab mounts partition {}", partition.number));
            mounts.push((mount.ok_or_else(unmounted)?, file_system));
        }
        // Those above others come first.
        mounts.sort_by(|(one, _), (two, _)| one.cmp(two));
        for (mount, file_system) in mounts {
            tree.mount(&mount, file_system)?;
        }
        Ok(tree)
    }

    /// All names of a file system but `lost+found`, if that is the empty directory that `mke2fs` makes.
    fn names_of(&mut self, at: usize) -> Result<BTreeMap<TarPath, u64>, OpsError> {
        let read = self.file_systems[at].names(&interrupt::stopped);
        let mut names = read.map_err(|error| self.failed(error))?;
        let lost = TarPath::new("lost+found").map_err(|error| self.failed(error.into()))?;
        if !names.keys().any(|path| path.parent().as_ref() == Some(&lost)) {
            names.remove(&lost);
        }
        Ok(names)
    }

    fn mount(&mut self, mount: &TarPath, file_system: FileSystem) -> Result<(), OpsError> {
        let at = self.file_systems.len();
        self.file_systems.push(file_system);
        let is_below = |path: &TarPath| path.parent().as_ref() == Some(mount);
        if !self.names.contains_key(mount) || self.names.keys().any(is_below) {
            return Err(self.wrong(format!("{mount}, where a partition is mounted, is no empty directory")));
        }
        for (path, inode) in self.names_of(at)? {
            let path = path.parts().try_fold(mount.clone(), |path, part| path.join(part));
            self.names.insert(path.map_err(|error| self.failed(error.into()))?, (at, inode));
        }
        Ok(())
    }

    /// A small file of the root.
    fn text(&mut self, path: &str) -> Result<String, OpsError> {
        let path = TarPath::new(path).map_err(|error| self.failed(error.into()))?;
        let Some((at, number)) = self.names.get(&path).copied() else { return Ok(String::new()) };
        let mut read = || {
            let inode = self.file_systems[at].inode(number)?;
            let mut bytes = Vec::new();
            self.file_systems[at].content(&inode)?.take(TABLE_LIMIT).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().map_err(|error: Ext4Error| self.failed(error))
    }

    /// Writes the archive; what is left out.
    pub(super) fn archive(&mut self, out: &mut dyn Write) -> Result<Vec<LeftOut>, OpsError> {
        let mut archive = TarWriter::new(out);
        let mut left_out = Vec::new();
        let mut links: BTreeMap<(usize, u64), TarPath> = BTreeMap::new();
        for (path, (at, number)) in std::mem::take(&mut self.names) {
            ask_to_stop().map_err(|_| OpsError::Interrupted)?;
            if path.to_string() == SWAP_FILE && self.is_swap(at, number)? {
                left_out.push(LeftOut { path: path.to_string(), reason: "a swap file has no content" });
                continue;
            }
            let mut entry = self.entry(path, (at, number))?;
            if let Some(first) = links.get(&(at, number)) {
                (entry.kind, entry.size) = (TarEntryKind::Hardlink(first.clone()), 0);
                entry.xattrs.clear();
            } else if entry.kind == TarEntryKind::File {
                links.insert((at, number), entry.path.clone());
            }
            self.append(&mut archive, &entry, (at, number))?;
        }
        archive.finish().map_err(|error| self.failed(error.into()))?;
        Ok(left_out)
    }

    fn entry(&mut self, path: TarPath, (at, number): (usize, u64)) -> Result<TarEntry, OpsError> {
        let file_system = &mut self.file_systems[at];
        let read = file_system.inode(number).and_then(|inode| file_system.entry(path, &inode));
        read.map_err(|error| self.failed(error))
    }

    /// What there is to compare of every file.
    pub(super) fn facts(&mut self) -> Result<BTreeMap<TarPath, FileFacts>, OpsError> {
        let mut files = BTreeMap::new();
        let mut contents: BTreeMap<(usize, u64), Digest> = BTreeMap::new();
        for (path, (at, number)) in std::mem::take(&mut self.names) {
            let entry = self.entry(path.clone(), (at, number))?;
            let is_new = entry.kind == TarEntryKind::File && !contents.contains_key(&(at, number));
            if is_new && path.to_string() == SWAP_FILE && self.is_swap(at, number)? {
                continue;
            }
            // Of each name, as all of them are kept, and with attributes that many files can share.
            self.count(&entry, if is_new { entry.size } else { 0 })?;
            if is_new {
                contents.insert((at, number), self.content_digest((at, number))?);
            }
            let content = contents.get(&(at, number)).copied();
            files.insert(path, FileFacts { entry, content });
        }
        Ok(files)
    }

    fn content_digest(&mut self, (at, number): (usize, u64)) -> Result<Digest, OpsError> {
        let file_system = &mut self.file_systems[at];
        let mut read = || {
            let inode = file_system.inode(number)?;
            Ok(facts::digest(&mut Stoppable(file_system.content(&inode)?))?)
        };
        read().map_err(|error: Ext4Error| self.failed(error))
    }

    /// Counts a file with so many bytes of content, which may have holes.
    fn count(&mut self, entry: &TarEntry, content: u64) -> Result<(), OpsError> {
        let attributes: u64 = entry.xattrs.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum();
        self.bytes = self.bytes.saturating_add(content).saturating_add(attributes + ENTRY_BYTES);
        if self.bytes <= self.most {
            return Ok(());
        }
        let most = self.most;
        Err(self.wrong(format!("its files have more than {most} bytes, which is far more than the disk has")))
    }

    fn append(
        &mut self,
        archive: &mut TarWriter<&mut dyn Write>,
        entry: &TarEntry,
        (at, number): (usize, u64),
    ) -> Result<(), OpsError> {
        self.count(entry, entry.size)?;
        let file_system = &mut self.file_systems[at];
        let appended = match entry.kind {
            TarEntryKind::File => file_system
                .inode(number)
                .and_then(|inode| Ok(archive.append(entry, Stoppable(file_system.content(&inode)?))?)),
            _ => archive.append_empty(entry).map_err(Ext4Error::from),
        };
        appended.map_err(|error| self.failed(error))
    }

    fn is_swap(&mut self, at: usize, number: u64) -> Result<bool, OpsError> {
        let file_system = &mut self.file_systems[at];
        let mut read = || {
            let inode = file_system.inode(number)?;
            let mut page = Vec::new();
            file_system.content(&inode)?.take(SWAP.0).read_to_end(&mut page)?;
            Ok(page.ends_with(SWAP.1))
        };
        read().map_err(|error: Ext4Error| self.failed(error))
    }

    fn wrong(&self, problem: String) -> OpsError {
        ExportError::Disk { disk: self.disk.path(), problem }.into()
    }

    fn failed(&self, source: Ext4Error) -> OpsError {
        ExportError::FileSystem { disk: self.disk.path(), source }.into()
    }
}

/// The architecture of a disk's programs.
pub(super) fn architecture(disk: &DiskFile) -> Result<Arch, OpsError> {
    let mut tree = Tree::read(disk)?;
    for (path, (at, number)) in std::mem::take(&mut tree.names) {
        let file_system = &mut tree.file_systems[at];
        let read = || {
            let inode = file_system.inode(number)?;
            let entry = file_system.entry(path, &inode)?;
            let mut head = Vec::new();
            if entry.kind == TarEntryKind::File && entry.mode & 0o111 != 0 {
                file_system.content(&inode)?.take(elf::HEAD_BYTES).read_to_end(&mut head)?;
            }
            Ok(elf::machine(&head))
        };
        if let Some(found) = read().map_err(|error: Ext4Error| tree.failed(error))? {
            return Ok(found);
        }
    }
    Err(tree.wrong("none of its programs says for which architecture it is".to_owned()))
}

/// The root, and what lies in partitions of its own.
fn file_systems(disk: &DiskFile) -> Result<(FileSystem, Vec<(Partition, FileSystem)>), OpsError> {
    let wrong = |problem: &str| ExportError::Disk { disk: disk.path(), problem: problem.to_owned() };
    let failed = |source: Ext4Error| ExportError::FileSystem { disk: disk.path(), source };
    let read = |reader| Ext4Reader::new(reader).map_err(failed);
    let mut whole = disk.open_disk()?;
    let size = whole.size();
    if is_ext4(&mut whole) {
        return Ok((read(DiskPart::new(whole, 0..size))?, Vec::new()));
    }
    let mut head = vec![0; gpt::HEAD.min(size as usize)];
    whole.read_at(0, &mut head).map_err(|error| failed(error.into()))?;
    let table = gpt::read(&head).ok_or_else(|| wrong("it has neither an ext4 file system nor a partition table"))?;
    let is_root = |partition: &Partition| {
        Arch::ALL.iter().any(|arch| Guid::parse(arch.facts().root_partition).is_some_and(|kind| kind == partition.kind))
    };
    let (mut root, mut others) = (None, Vec::new());
    for partition in table.partitions {
        let start = partition.first.saturating_mul(SECTOR);
        let end = start.saturating_add(partition.sectors.saturating_mul(SECTOR));
        let mut part = DiskPart::new(disk.open_disk()?, start..end);
        // What firmware reads has another file system, or none.
        if !is_ext4(&mut part) {
            continue;
        }
        match (is_root(&partition), &root) {
            (true, None) => root = Some(read(part)?),
            (true, Some(_)) => return Err(wrong("it has two root partitions").into()),
            (false, _) => others.push((partition, read(part)?)),
        }
    }
    Ok((root.ok_or_else(|| wrong("it has no root partition with an ext4 file system"))?, others))
}

/// Where a table mounts a partition, by the identity of its file system or by its own.
fn mount_point(table: &str, partition: &Partition, file_system: &[u8; 16]) -> Option<TarPath> {
    let hex: String = file_system.iter().map(|byte| format!("{byte:02x}")).collect();
    let file_system = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    let devices = [format!("UUID={file_system}"), format!("PARTUUID={}", partition.id)];
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mount =
        lines.filter(|words| words.len() >= 2 && devices.iter().any(|device| device.eq_ignore_ascii_case(words[0])));
    let mount = mount.map(|words| words[1]).next()?;
    TarPath::new(mount.strip_prefix('/')?).ok().filter(|path| !path.is_root())
}

//! The finished tree as a canonical tar: sorted, times bounded, devices from the model, nothing of the build left.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::RootError;
use super::times::Times;
use super::unpack::fs_error;
use crate::base::Epoch;
use crate::format::tar::{Device, Entry, Kind, TarPath, TarWriter};
use crate::world::fs;

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

/// Writes the tree below `root` to `out`.
pub(super) fn write(root: &Path, (epoch, times): (Epoch, &Times), out: &Path) -> Result<(), RootError> {
    let mut paths = vec![TarPath::root()];
    collect(root, &TarPath::root(), &mut paths)?;
    let devices = devices(epoch)?;
    paths.retain(|path| !below_dev(path));
    paths.extend(devices.keys().cloned());
    paths.sort();
    let mut writer = TarWriter::new(BufWriter::with_capacity(1 << 20, fs::create_new(out)?));
    let mut links: BTreeMap<(u64, u64), TarPath> = BTreeMap::new();
    for path in paths {
        match devices.get(&path) {
            Some(entry) => writer.append_empty(entry)?,
            None => append(&mut writer, (root, times), path, &mut links)?,
        }
    }
    let mut buffer = writer.finish()?;
    fs::context("write", out, buffer.flush())?;
    Ok(())
}

fn below_dev(path: &TarPath) -> bool {
    path.as_bytes().starts_with(b"dev/")
}

fn collect(directory: &Path, at: &TarPath, paths: &mut Vec<TarPath>) -> Result<(), RootError> {
    for entry in super::tree::entries(directory)? {
        let path = at.join(entry.file_name().unwrap_or_default().as_bytes())?;
        let data = entry.symlink_metadata().map_err(|error| fs_error("read", &entry, error))?;
        if data.file_type().is_socket() {
            continue;
        }
        paths.push(path.clone());
        if data.is_dir() {
            collect(&entry, &path, paths)?;
        }
    }
    Ok(())
}

fn append(
    writer: &mut TarWriter<impl Write>,
    (root, times): (&Path, &Times),
    path: TarPath,
    links: &mut BTreeMap<(u64, u64), TarPath>,
) -> Result<(), RootError> {
    let place = root.join(OsStr::from_bytes(path.as_bytes()));
    let failed = |error| fs_error("read", &place, error);
    let data = place.symlink_metadata().map_err(failed)?;
    let kind = data.file_type();
    let mut entry = Entry::directory(path.clone(), data.mode() & 0o7777, times.settle(data.mtime()));
    (entry.uid, entry.gid) = (data.uid(), data.gid());
    if kind.is_dir() {
        return Ok(writer.append_empty(&entry)?);
    }
    if kind.is_symlink() {
        let target = std::fs::read_link(&place).map_err(failed)?;
        entry.kind = Kind::Symlink(target.as_os_str().as_bytes().to_vec());
        entry.mode = 0o777;
        return Ok(writer.append_empty(&entry)?);
    }
    if kind.is_fifo() {
        entry.kind = Kind::Fifo;
        return Ok(writer.append_empty(&entry)?);
    }
    if !kind.is_file() {
        return Err(RootError::Broken(format!("{path} is a device, which no package may make")));
    }
    if data.nlink() > 1 {
        if let Some(first) = links.get(&(data.dev(), data.ino())) {
            entry.kind = Kind::Hardlink(first.clone());
            return Ok(writer.append_empty(&entry)?);
        }
        links.insert((data.dev(), data.ino()), path);
    }
    entry.kind = Kind::File;
    entry.size = data.len();
    entry.xattrs = xattrs(&place).map_err(failed)?;
    Ok(writer.append(&entry, fs::open(&place)?)?)
}

/// Capabilities belong to a package's files. Other attributes come from the builder's machine (SELinux labels) or depend
/// on its file system (the ACLs of `/var/log/journal`, which systemd-tmpfiles sets again at every boot).
fn xattrs(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let capability = super::tree::capability(path)?;
    Ok(capability.map(|value| (super::tree::CAPABILITY.as_bytes().to_vec(), value)).into_iter().collect())
}

fn devices(epoch: Epoch) -> Result<BTreeMap<TarPath, Entry>, RootError> {
    let mut entries = Vec::new();
    let path = |name: &str| TarPath::new(format!("dev/{name}"));
    for (name, major, minor, mode) in DEVICES {
        let mut entry = Entry::file(path(name)?, mode, epoch.0, 0);
        entry.kind = Kind::CharDevice(Device { major, minor });
        // Group tty is 5 in every Debian (base-passwd's group.master).
        entry.gid = if matches!(name, "console" | "ptmx" | "tty") { 5 } else { 0 };
        entries.push(entry);
    }
    for (name, target) in DEV_LINKS {
        entries.push(Entry::symlink(path(name)?, target, epoch.0));
    }
    for (name, mode) in DEV_DIRECTORIES {
        entries.push(Entry::directory(path(name)?, mode, epoch.0));
    }
    Ok(entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect())
}

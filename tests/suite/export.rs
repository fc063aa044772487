//! `kiln export`: the same bits whenever it is asked, judged by GNU tar, qemu-img and e2fsck; nothing replaced that was not to be,
//! and nothing left behind. Disks that somebody else prepared are read or refused, and never longer than a moment.

mod diff;
mod formats;
mod hostile;
mod tree;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output};

use kiln::base::Digest;
use kiln::deliver::manifest::{DeliveredFile, FORMAT, Manifest};
use kiln::format::disk::{DiskReader, ReadAt};
use kiln::format::tar::{TarEntry, TarReader};

use super::failure_support::{refused, text};
use super::live::{Scratch, judge};

/// A file system with every kind of file, made by `mke2fs` and `debugfs` and packed by `qemu-img`.
pub(super) const FILES: &[u8] = include_bytes!("../fixtures/export/files.qcow2");

/// Entries and contents by path.
pub(super) fn entries(archive: &[u8]) -> BTreeMap<String, (TarEntry, Vec<u8>)> {
    let mut reader = TarReader::new(archive);
    let mut found = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        found.insert(entry.path.to_string(), (entry, content));
    }
    found
}

/// A directory to work in.
pub(super) struct Lab {
    scratch: Scratch,
}

impl Lab {
    /// With a build of one image, `files`.
    pub(super) fn new(name: &str) -> Lab {
        let lab = Lab { scratch: Scratch::new(&format!("export-{name}")) };
        lab.deliver(&[("files.qcow2", FILES)]);
        lab
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Images that no machine uses, in `build`.
    pub(super) fn deliver(&self, files: &[(&str, &[u8])]) {
        let delivered = |bytes: &[u8]| DeliveredFile { size: bytes.len() as u64, sha256: Digest::of(bytes) };
        let image = |(name, _): &(&str, &[u8])| (name.split('.').next().unwrap().to_owned(), (*name).to_owned());
        let manifest = Manifest {
            format: FORMAT,
            recipe: "tiny".to_owned(),
            output_version: 1,
            lock: Digest::of(b"lock"),
            artifacts: files.iter().map(|(name, bytes)| ((*name).to_owned(), delivered(bytes))).collect(),
            steps: BTreeMap::new(),
            incremental: Default::default(),
            local: BTreeMap::new(),
            qemu: BTreeMap::new(),
            built_qemu: BTreeMap::new(),
            images: files.iter().map(image).collect(),
            kernels: BTreeMap::new(),
            warnings: BTreeMap::new(),
        };
        let _ = std::fs::remove_dir_all(self.path("build"));
        std::fs::create_dir_all(self.path("build")).unwrap();
        for (name, bytes) in files {
            std::fs::write(self.path("build").join(name), bytes).unwrap();
        }
        std::fs::write(self.path("build/manifest.json"), manifest.write()).unwrap();
    }

    pub(super) fn kiln(&self, words: &[&str]) -> Command {
        let mut kiln = Command::new("timeout");
        kiln.arg("60").arg(env!("CARGO_BIN_EXE_kiln")).args(words).current_dir(self.path(""));
        kiln.env("HOME", self.path("")).env("KILN_STORE", self.path("store"));
        kiln
    }

    pub(super) fn export(&self, format: &str, words: &[&str]) -> Output {
        self.kiln(&[&["export", "build", "--format", format][..], words].concat()).output().unwrap()
    }

    /// Bytes of what is exported as `name`.
    pub(super) fn exported(&self, format: &str, name: &str) -> Vec<u8> {
        let output = self.export(format, &["-o", name]);
        assert!(output.status.success(), "{}", text(&output));
        std::fs::read(self.path(name)).unwrap()
    }

    /// What is there besides the build.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !matches!(name.as_str(), "build" | "store")).collect();
        names.sort();
        names
    }
}

/// The disk of the fixture, byte by byte.
pub(super) fn disk() -> Vec<u8> {
    let scratch = Scratch::new(&format!("export-disk-{}", rand()));
    std::fs::create_dir_all(scratch.path("")).unwrap();
    std::fs::write(scratch.path("files.qcow2"), FILES).unwrap();
    let mut reader = DiskReader::qcow2(std::fs::File::open(scratch.path("files.qcow2")).unwrap()).unwrap();
    let mut bytes = vec![0; reader.size() as usize];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The same without checksums of its structures, as anybody can prepare one.
pub(super) fn unsealed() -> Vec<u8> {
    let mut disk = disk();
    // `RO_COMPAT_METADATA_CSUM` in `s_feature_ro_compat`.
    disk[1024 + 0x65] &= !0x04;
    disk
}

fn rand() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn a_raw_disk_has_the_bytes_that_a_guest_sees_and_holes() {
    let lab = Lab::new("raw");
    let raw = lab.exported("raw", "disk.raw");
    assert!(raw == disk());
    let data = lab.path("disk.raw").metadata().unwrap();
    assert!(data.blocks() * 512 < data.size() / 2, "{} of {} bytes are on the disk", data.blocks() * 512, data.size());
    assert_eq!(data.permissions().mode() & 0o777, 0o600, "whatever the umask: a disk may have private files");
    if judge("qemu-img") {
        let mut compare = Command::new("qemu-img");
        compare.args(["compare", "-f", "raw", "-F", "qcow2", "disk.raw", "build/files.qcow2"]);
        assert!(compare.current_dir(lab.path("")).status().unwrap().success());
    }
    if judge("e2fsck") {
        assert!(Command::new("e2fsck").arg("-fn").arg(lab.path("disk.raw")).status().unwrap().success());
    }
    // A disk that is delivered as raw is the same.
    lab.deliver(&[("files.raw", &raw)]);
    assert!(lab.exported("raw", "again.raw") == raw);
    assert!(lab.exported("tar", "raw.tar") == { Lab::new("raw-tar").exported("tar", "a.tar") });
}

#[test]
fn what_is_written_is_told_to_people_and_to_programs() {
    let lab = Lab::new("told");
    let output = lab.export("tar", &["-o", "root.tar", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = std::fs::read(lab.path("root.tar")).unwrap();
    assert_eq!(told["sha256"], Digest::of(&bytes).to_string());
    assert_eq!((&told["bytes"], &told["disk"]), (&bytes.len().into(), &"files.qcow2".into()));
    assert_eq!(told["left_out"][0]["path"], "/swapfile");
    let output = lab.export("raw", &["-o", "disk.raw"]);
    assert!(text(&output).contains("wrote disk.raw: raw disk of files.qcow2, 8.0 MiB"), "{}", text(&output));
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_replaced_and_no_link_is_followed() {
    let lab = Lab::new("there");
    std::fs::write(lab.path("mine"), "mine").unwrap();
    std::os::unix::fs::symlink("mine", lab.path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", lab.path("dangling")).unwrap();
    std::fs::create_dir(lab.path("directory")).unwrap();
    for name in ["mine", "link", "dangling"] {
        refused(&lab.export("tar", &["-o", name]), 2, &[name, "exists already", "--force"]);
    }
    for more in [&[][..], &["--force"]] {
        refused(&lab.export("tar", &[&["-o", "directory"][..], more].concat()), 2, &["is a directory"]);
    }
    refused(&lab.export("tar", &["-o", "none/such"]), 4, &["none"]);
    assert_eq!(lab.names(), ["dangling", "directory", "link", "mine"]);
    let output = lab.export("tar", &["-o", "link", "--force"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(lab.path("link").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read_to_string(lab.path("mine")).unwrap(), "mine");
}

#[test]
fn a_disk_is_chosen_by_the_name_of_its_image() {
    let lab = Lab::new("choice");
    lab.deliver(&[("one.qcow2", FILES), ("two.raw", &disk())]);
    refused(&lab.export("tar", &["-o", "a"]), 2, &["has several disks", "--image: one, two"]);
    refused(&lab.export("tar", &["-o", "a", "--image", "three"]), 2, &["no disk of `three`", "one, two"]);
    let output = lab.export("raw", &["-o", "a", "--image", "two"]);
    assert!(output.status.success() && text(&output).contains("two.raw"), "{}", text(&output));
    lab.deliver(&[("root.tar", &lab_archive(&lab))]);
    assert!(lab.exported("tar", "b") == lab_archive(&lab), "an archive is taken as it is");
    refused(&lab.export("raw", &["-o", "c"]), 2, &["is an archive, not a disk"]);
    refused(&lab.export("raw", &["-o", "c", "--offline", "--no-cache"]), 2, &["--no-cache"]);
    lab.deliver(&[]);
    refused(&lab.export("raw", &["-o", "c"]), 3, &["no machine and no image"]);
}

fn lab_archive(_: &Lab) -> Vec<u8> {
    Lab::new(&format!("archive-{}", rand())).exported("tar", "root.tar")
}

#[test]
fn a_directory_that_was_changed_is_not_exported() {
    let lab = Lab::new("changed");
    let mut changed = FILES.to_vec();
    changed[20_000] ^= 1;
    std::fs::write(lab.path("build/files.qcow2"), changed).unwrap();
    refused(&lab.export("raw", &["-o", "disk.raw"]), 3, &["files.qcow2"]);
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

//! Archives to disks, read back by the reader.

use std::io::Read;

use super::*;
use crate::base::Timestamp;
use crate::exec::event::IgnoreSteps;
use crate::format::disk::DiskReader;
use crate::format::ext4::Ext4Reader;
use crate::format::tar::TarWriter;
use crate::plan::Statement;
use crate::plan::disk::PartitionSpec;

const EPOCH: i64 = 1_700_000_000;

fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

fn file_system(size: u64, number: u8) -> FileSystemSpec {
    let id = |kind: u8| format!("{kind:02x}{number:02x}0000-0000-8000-8000-000000000000");
    FileSystemSpec { size, id: id(1), hash_seed: id(2) }
}

fn spec(format: DiskFormat, partitions: &[&str]) -> DiskSpec {
    let partition = |mount: &&str| PartitionSpec { mount: (*mount).to_owned(), file_system: file_system(64 << 20, 9) };
    DiskSpec {
        format,
        epoch: Timestamp(EPOCH),
        root: file_system(64 << 20, 1),
        swap: None,
        partitions: partitions.iter().map(partition).collect(),
    }
}

/// Runs the step; gives what each output has: the names with their contents, if they have any.
fn made(name: &str, spec: &DiskSpec, layers: &[Vec<(TarEntry, Vec<u8>)>]) -> Result<Vec<Vec<String>>, StepFailure> {
    let scratch = std::env::temp_dir().join(format!("kiln-disk-{name}-{}", std::process::id()));
    let [place, out] = ["in", "out"].map(|name| scratch.join(name));
    [&place, &out].into_iter().for_each(|place| fs::create_dir_all(place).unwrap());
    let mut inputs = std::collections::BTreeMap::new();
    for (number, layer) in layers.iter().enumerate() {
        let at = place.join(format!("{number}.tar"));
        let mut tar = TarWriter::new(fs::create(&at).unwrap());
        layer.iter().for_each(|(entry, content)| tar.append(entry, content.as_slice()).unwrap());
        tar.finish().unwrap();
        inputs.insert(format!("{number}.tar"), at);
    }
    let at = place.join(disk::SPEC);
    fs::write_atomically(&at, &spec.to_json()).unwrap();
    inputs.insert(disk::SPEC.to_owned(), at);
    let context = BuiltinContext {
        step: "disk",
        inputs: &inputs,
        out: &out,
        scratch: &scratch,
        variation: None,
        without_stand_ins: false,
        earlier: None,
        limits: crate::exec::sandbox::Limits::default(),
        listener: &IgnoreSteps,
    };
    let result = run(&context).map_err(StepFailure::from).map(|()| {
        let root = fs::open(&out.join(spec.format.file_name())).unwrap();
        let root = match spec.format {
            DiskFormat::Raw => DiskReader::raw(root),
            DiskFormat::Qcow2 => DiskReader::qcow2(root),
        };
        let others =
            (0..spec.partitions.len()).map(|at| DiskReader::raw(fs::open(&out.join(disk::part_raw(at))).unwrap()));
        [root].into_iter().chain(others).map(|disk| listing(disk.unwrap())).collect()
    });
    fs::remove_tree(&scratch).unwrap();
    result
}

fn listing(disk: DiskReader) -> Vec<String> {
    let mut reader = Ext4Reader::new(disk).unwrap();
    let names = reader.names(&|| false).unwrap();
    let mut lines = Vec::new();
    for (path, number) in names {
        let inode = reader.inode(number).unwrap();
        let entry = reader.entry(path, &inode).unwrap();
        let mut content = String::new();
        if entry.kind == crate::format::tar::TarEntryKind::File && entry.size < 100 {
            reader.content(&inode).unwrap().read_to_string(&mut content).unwrap();
        }
        lines.push(
            format!("{} {:o} {}:{} {content}", entry.path, entry.mode, entry.uid, entry.gid).trim_end().to_owned(),
        );
    }
    lines
}

fn file(at: &str, content: &str) -> (TarEntry, Vec<u8>) {
    (TarEntry::file(path(at), 0o640, EPOCH, content.len() as u64), content.into())
}

fn directory(at: &str, mode: u32, owner: u32) -> (TarEntry, Vec<u8>) {
    (TarEntry { uid: owner, gid: owner + 1, ..TarEntry::directory(path(at), mode, EPOCH) }, Vec::new())
}

#[test]
fn later_archives_lie_on_top_and_either_format_has_the_same() {
    let base = vec![directory("", 0o700, 3), directory("etc", 0o755, 0), file("etc/a", "old"), file("etc/b", "kept")];
    let top = vec![file("etc/a", "new")];
    let expected = ["/ 700 3:4", "/etc 755 0:1", "/etc/a 640 0:0 new", "/etc/b 640 0:0 kept", "/lost+found 700 0:0"]
        .map(str::to_owned);
    for format in [DiskFormat::Raw, DiskFormat::Qcow2] {
        let layers = [base.clone(), top.clone()];
        assert_eq!(made(format.name(), &spec(format, &[]), &layers).unwrap(), std::slice::from_ref(&expected));
    }
    assert_eq!(
        made("empty", &spec(DiskFormat::Raw, &[]), &[Vec::new()]).unwrap()[0],
        ["/ 755 0:0", "/lost+found 700 0:0"]
    );
}

#[test]
fn a_partition_has_the_owner_and_the_mode_of_its_mount_point() {
    let tree = vec![directory("", 0o755, 0), directory("srv", 0o2770, 7), file("srv/a", "1")];
    let found = made("partition", &spec(DiskFormat::Raw, &["/srv"]), &[tree]).unwrap();
    assert_eq!(found[0], ["/ 755 0:1", "/lost+found 700 0:0", "/srv 2770 7:8"]);
    assert_eq!(found[1], ["/ 2770 7:8", "/a 640 0:0 1", "/lost+found 700 0:0"]);
}

#[test]
fn a_swap_file_is_private_and_counts_for_what_fits() {
    let swap = |bytes| Some(SwapSpec { path: "/swapfile".to_owned(), bytes, id: file_system(0, 3).id });
    let with = DiskSpec { swap: swap(16 << 20), ..spec(DiskFormat::Qcow2, &[]) };
    assert_eq!(made("swap", &with, &[vec![directory("", 0o755, 0)]]).unwrap()[0][2], "/swapfile 600 0:0");
    let with = DiskSpec { swap: swap(60 << 20), ..with };
    let failure = made("swap-full", &with, &[vec![directory("", 0o755, 0)]]).unwrap_err();
    assert_eq!(failure.about, [Statement::Size]);
    let said = "the files of this image and its swap file take 60 MiB, and a file system of 64MiB has room for 58 MiB";
    assert_eq!((failure.message.as_str(), failure.help.as_deref()), (said, Some("write `size = 128MiB` or more")));
}

#[test]
fn what_ext4_cannot_have_is_said_with_its_name() {
    let mut late = file("x", "1");
    late.0.mtime = 1 << 40;
    let failure = made("late", &spec(DiskFormat::Raw, &[]), &[vec![directory("", 0o755, 0), late]]).unwrap_err();
    assert!(failure.message.starts_with("/x has a time that ext4 cannot store"), "{}", failure.message);
    let mut heavy = file("y", "1");
    heavy.0.xattrs = [(b"user.much".to_vec(), vec![1; 5000])].into();
    let failure = made("heavy", &spec(DiskFormat::Raw, &[]), &[vec![heavy]]).unwrap_err();
    assert!(failure.message.starts_with("/y has extended attributes that ext4 cannot store"), "{}", failure.message);
    let failure = made("lost", &spec(DiskFormat::Raw, &[]), &[vec![file("lost+found", "1")]]).unwrap_err();
    assert!(failure.message.starts_with("/lost+found is no directory"), "{}", failure.message);
}

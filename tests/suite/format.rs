//! Archives against arbitrary bytes, and (live) against GNU tar, mke2fs and debugfs as judges.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::format::tar::{Device, TarEntry, TarEntryKind, TarPath, TarReader, TarWriter};
use proptest::prelude::*;

fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

fn archive(entries: &BTreeMap<TarPath, (TarEntry, Vec<u8>)>) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in entries.values() {
        writer.append(entry, content.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

fn list(bytes: &[u8]) -> Result<Vec<(TarEntry, Vec<u8>)>, kiln::format::tar::TarError> {
    let mut reader = TarReader::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        found.push((entry, content));
    }
    Ok(found)
}

fn kinds() -> impl Strategy<Value = TarEntryKind> {
    let device = (0_u32..0x1000, 0_u32..0x10_0000).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        4 => Just(TarEntryKind::File),
        2 => Just(TarEntryKind::Directory),
        2 => "[a-z/.é]{1,150}".prop_map(|target| TarEntryKind::Symlink(target.into_bytes())),
        1 => device.clone().prop_map(TarEntryKind::CharDevice),
        1 => device.prop_map(TarEntryKind::BlockDevice),
        1 => Just(TarEntryKind::Fifo),
    ]
}

prop_compose! {
    fn entries()(
        parts in prop::collection::vec(
            ("[a-zA-Z0-9é._-]{1,40}(/[a-z]{1,120}){0,3}", kinds(), 0_u32..0o10000, any::<(u32, u32)>(), any::<i32>(),
             prop::collection::vec(any::<u8>(), 0..1500),
             prop::collection::btree_map("[a-z]{1,9}\\.[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..40), 0..3)),
            0..12,
        ),
    ) -> BTreeMap<TarPath, (TarEntry, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        for (name, kind, mode, (uid, gid), mtime, content, xattrs) in parts {
            let Ok(path) = TarPath::new(name) else { continue };
            if path.is_root() {
                continue;
            }
            let content = if kind == TarEntryKind::File { content } else { Vec::new() };
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            let size = content.len() as u64;
            let entry = TarEntry { path: path.clone(), kind, mode, uid, gid, mtime: mtime.into(), size, xattrs };
            tree.insert(path, (entry, content));
        }
        tree
    }
}

/// What a reader accepts is no more than what is there, and an archive of it reads back.
fn is_an_archive(found: &[(TarEntry, Vec<u8>)], bytes: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(found.iter().map(|(_, content)| content.len()).sum::<usize>() <= bytes.len());
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in found {
        prop_assert_eq!(entry.size, content.len() as u64);
        if let Err(error) = writer.append(entry, content.as_slice()) {
            // One rule is the writer's alone: names ascend.
            prop_assert!(error.to_string().contains("order"), "{error}: {entry:?}");
            return Ok(());
        }
    }
    prop_assert_eq!(&list(&writer.finish().unwrap()).unwrap(), found);
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in entries()) {
        let bytes = archive(&tree);
        let expected: Vec<(TarEntry, Vec<u8>)> = tree.values().cloned().collect();
        prop_assert_eq!(list(&bytes).unwrap(), expected);
        for _ in 0..10 {
            prop_assert_eq!(&archive(&tree), &bytes);
        }
    }

    #[test]
    fn damage_is_an_error_or_another_archive_never_a_panic(
        tree in entries(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = archive(&tree);
        let part = &bytes[..cut.index(bytes.len())];
        if let Ok(found) = list(part) {
            // Only zeros behind the last entry may be missing.
            prop_assert_eq!(&found, &tree.values().cloned().collect::<Vec<_>>());
        }
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if let Ok(found) = list(&bytes) {
            is_an_archive(&found, &bytes)?;
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(list(&bytes).is_err() || bytes[..512] == [0; 512]);
    }

    #[test]
    fn a_header_of_noise_with_a_right_checksum_never_panics(mut block in prop::collection::vec(any::<u8>(), 512)) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        block.resize(4096, 0);
        if let Ok(found) = list(&block) {
            is_an_archive(&found, &block)?;
        }
    }
}

/// `cap_net_raw=ep` as the kernel stores it (`struct vfs_cap_data`, revision 2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn root_file_system() -> BTreeMap<TarPath, (TarEntry, Vec<u8>)> {
    let mut ping = TarEntry::file(path("usr/bin/ping"), 0o755, 1_700_000_000, 5);
    ping.xattrs.insert(b"security.capability".to_vec(), CAPABILITY.to_vec());
    let console = TarEntryKind::CharDevice(Device { major: 5, minor: 1 });
    let long = format!("usr/share/{}", "l".repeat(200));
    let mut list = vec![
        (TarEntry::directory(TarPath::root(), 0o755, 7), vec![]),
        (TarEntry { kind: console, ..TarEntry::file(path("dev/console"), 0o600, 0, 0) }, vec![]),
        (TarEntry::symlink(path("lib"), "usr/lib", 8), vec![]),
        (ping, b"ping\n".to_vec()),
        (
            TarEntry {
                kind: TarEntryKind::Hardlink(path("usr/bin/ping")),
                ..TarEntry::file(path("usr/bin/ping4"), 0o755, 9, 0)
            },
            vec![],
        ),
        (
            TarEntry { uid: 65_534, gid: 42, ..TarEntry::file(path("usr/lib/Főtanúsítvány"), 0o4711, 1, 2) },
            b"x\n".to_vec(),
        ),
        (TarEntry::file(path(&long), 0o644, 1, 70_000), vec![b'z'; 70_000]),
        (TarEntry::symlink(path("usr/lib/link"), format!("/{long}"), 1), vec![]),
    ];
    for directory in ["dev", "usr", "usr/bin", "usr/lib", "usr/share"] {
        list.push((TarEntry::directory(path(directory), 0o755, 7), vec![]));
    }
    list.into_iter().map(|(entry, content)| (entry.path.clone(), (entry, content))).collect()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn gnu_tar_sees_what_was_written() {
    if !super::live("GNU tar as a judge of archives") {
        return;
    }
    let at = std::env::temp_dir().join(format!("kiln-format-{}.tar", std::process::id()));
    fs::write(&at, archive(&root_file_system())).unwrap();
    let seen = output(
        Command::new("tar").args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--utc", "-tvvf"]).arg(&at),
    );
    for line in [
        "-rwxr-xr-x* 0/0               5 2023-11-14 22:13 usr/bin/ping\n",
        "hrwxr-xr-x  0/0               0 1970-01-01 00:00 usr/bin/ping4 link to usr/bin/ping",
        "crw-------  0/0             5,1 1970-01-01 00:00 dev/console",
        "-rws--x--x  65534/42",
    ] {
        assert!(seen.contains(line), "{line}\n{seen}");
    }
    fs::remove_file(at).unwrap();
}

/// With `KILN_BOOT_DIR`, whose `qemu` also has Debian 13's e2fsprogs and libarchive.
#[test]
fn mke2fs_makes_the_file_system_that_the_archive_says() {
    let directory = std::env::var_os("KILN_BOOT_DIR").map(PathBuf::from);
    let Some(tools) = directory.filter(|_| super::live("mke2fs as a judge of archives")) else { return };
    let tools = fs::canonicalize(tools.join("qemu")).unwrap();
    let place = tools.join("mke2fs-test");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("root.tar"), archive(&root_file_system())).unwrap();
    let image = place.join("disk.raw");
    fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
    let inside = |program: &str, arguments: &[&str]| {
        output(
            Command::new("chroot")
                .arg(&tools)
                .arg(program)
                .args(arguments)
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin")
                .env("LC_ALL", "C.UTF-8"),
        )
    };
    inside("/usr/sbin/mke2fs", &["-q", "-t", "ext4", "-d", "/mke2fs-test/root.tar", "/mke2fs-test/disk.raw"]);
    inside("/usr/sbin/e2fsck", &["-fn", "/mke2fs-test/disk.raw"]);
    let ask = |request: &str| inside("/usr/sbin/debugfs", &["-R", request, "/mke2fs-test/disk.raw"]);
    let stat = ask("stat /usr/bin/ping");
    assert!(stat.contains("security.capability (20)") && stat.contains("Links: 2"), "{stat}");
    assert!(ask("stat /dev/console").contains("Device major/minor number: 05:01"));
    assert!(ask("stat /usr/lib/Főtanúsítvány").contains("User: 65534   Group:    42"));
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&image).unwrap());
    assert!(blocks * 512 < 64 << 20, "the raw disk is sparse: {blocks} sectors");
    remove(&place);
}

fn remove(place: &Path) {
    fs::remove_dir_all(place).unwrap();
}

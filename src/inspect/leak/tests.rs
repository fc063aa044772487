//! The meta-test: each kind of trace is planted and found, through every container; its harmless twin is not.

use std::io::{Cursor, Write};

use super::*;
use crate::base::Timestamp;
use crate::format::tar::{TarEntry, TarPath, TarWriter};

/// The time of what the build made; packaged files are from the first second of 1970.
const MADE: i64 = 7;

fn machine() -> BuildHost {
    BuildHost {
        store: "/home/carol/.cache/kiln".to_owned(),
        home: Some("/home/carol".to_owned()),
        user: Some("carol".to_owned()),
        host: "lab-machine7".to_owned(),
        kernel: "6.18.44-custom".to_owned(),
        now: Timestamp::from_civil(2026, 11, 23, (12, 0, 0)).unwrap(),
    }
}

fn scanner() -> Scanner {
    let known = vec![b"fs c0ffee00-d9cb-469f-a165-70867728950e".to_vec()];
    Scanner::new(needles(&machine(), Timestamp(0), &[b"recipe".as_slice()]), Identities { epoch: MADE, known })
}

fn hits(bytes: &[u8]) -> Vec<String> {
    let found = scanner().scan("disk", bytes).unwrap();
    let path = std::env::temp_dir().join(format!("kiln-leak-{}-{:p}", std::process::id(), bytes));
    crate::world::fs::write_atomically(&path, bytes).unwrap();
    let in_file = scanner().scan_file("disk", &crate::world::fs::open(&path).unwrap()).unwrap();
    crate::world::fs::remove_file(&path).unwrap();
    assert_eq!(in_file, found, "a file is searched like a stream");
    found.iter().map(|hit| format!("{} {} {}", hit.place, hit.offset, hit.text)).collect()
}

fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    dated(name, content, 1)
}

fn dated(name: &str, content: &[u8], mtime: i64) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let entry = TarEntry::file(TarPath::new(name).unwrap(), 0o644, mtime, content.len() as u64);
    tar.append(&entry, content).unwrap();
    tar.finish().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn each_kind_is_found_and_its_harmless_twin_is_not() {
    let planted = [
        ("open(/home/carol/.cache/kiln/tmp/1-0/3-root)", "/home/carol/.cache/kiln", "/home/carol/.cache/kiln-other"),
        ("dir=/home/carol/src\n", "/home/carol", "/home/caroline/src /home/carol-2"),
        ("(carol@lab-machine7) #1", "carol@lab-machine7", "carol@lab-machine72 xcarol@lab"),
        ("HOST lab-machine7.lan", "lab-machine7", "lab-machine77 my-lab-machine7"),
        ("Linux 6.18.44-custom x86", "6.18.44-custom", "16.18.44-custom 6.18.44-custom1"),
        ("built 2026-11-23T10:00", "2026-11-23", "2026-11-230 12026-11-23 2026-11-22"),
        ("stamp=20261123T101010Z", "20261123", "120261123 202611230 a20261123 20261123f"),
        ("on Nov 23 2026.", "Nov 23 2026", "Nov 23 2025 Nov 23 20261"),
        ("Date: 23 Nov 2026 10:00", "23 Nov 2026", "123 Nov 2026"),
        ("SMP Mon Nov 23 10:00:00 UTC 2026", "Mon Nov 23", "Mon Nov 23 10:00:00 UTC 2020 Mon Nov 231 2026"),
    ];
    for (text, needle, twin) in planted {
        assert!(hits(text.as_bytes()).iter().any(|hit| hit.ends_with(needle)), "{text}: {:?}", hits(text.as_bytes()));
        assert!(!hits(twin.as_bytes()).iter().any(|hit| hit.ends_with(&format!(" {needle}"))), "{twin}");
    }
    // A checker that reads nothing must fail, and so must one that always fires.
    assert!(hits(b"nothing of the kind, kiln 2026").is_empty());
}

#[test]
fn a_uuid_that_a_script_made_is_found_and_one_of_a_package_or_of_the_lock_is_not() {
    const RANDOM: &[u8] = b"id=0f8fad5b-d9cb-469f-a165-70867728950e\n";
    let leak = "disk > /etc/x 3 0f8fad5b-d9cb-469f-a165-70867728950e";
    assert_eq!(hits(&dated("etc/x", RANDOM, MADE)), [leak]);
    assert_eq!(hits(&dated("etc/x", &gz(RANDOM), MADE)), [leak]);
    assert!(hits(&tar("etc/x", RANDOM)).is_empty(), "packaged files are full of them");
    assert!(hits(&dated("etc/x", b"/dev/disk/by-uuid/C0FFEE00-D9CB-469F-A165-70867728950E", MADE)).is_empty());
    // A script that copied it from a package left no trace of this machine.
    let found = scanner().scan("disk", dated("etc/x", RANDOM, MADE).as_slice()).unwrap();
    let mut excuses = Excuses::new(&found).unwrap();
    excuses.read(tar("usr/share/template", b"other words, 0f8fad5b-d9cb-469f-a165-70867728950e").as_slice()).unwrap();
    assert!(excuses.left(found).is_empty());
}

#[test]
fn containers_are_opened_and_places_are_named() {
    let plain = b"0123 lab-machine7 ";
    assert_eq!(hits(plain), ["disk 5 lab-machine7"]);
    assert_eq!(hits(&gz(plain)), ["disk 5 lab-machine7"]);
    assert_eq!(hits(&tar("etc/x", plain)), ["disk > /etc/x 5 lab-machine7"]);
    assert_eq!(hits(&gz(&tar("usr/share/doc/x.gz", &gz(plain)))), ["disk > /usr/share/doc/x.gz 5 lab-machine7"]);
    assert_eq!(hits(&zstd::encode_all(Cursor::new(plain), 1).unwrap()), ["disk 5 lab-machine7"]);
    let mut xz = xz2::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(plain).unwrap();
    assert_eq!(hits(&xz.finish().unwrap()), ["disk 5 lab-machine7"]);
    assert_eq!(hits(&tar("etc/lab-machine7", b"")), ["disk > /etc/lab-machine7 (its header) 4 lab-machine7"]);
    let mut kernel = vec![0; 2560];
    kernel[0x1f1] = 1;
    kernel[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    let payload = [zstd::encode_all(Cursor::new(plain), 1).unwrap(), vec![18, 0, 0, 0]].concat();
    kernel[0x248..0x24c].copy_from_slice(&1536u32.to_le_bytes());
    kernel[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    kernel.extend(payload);
    assert_eq!(hits(&kernel), ["disk > payload 5 lab-machine7"]);
    // Damage inside hides only what is damaged.
    let mut two = tar("a.gz", &gz(plain)[..12]);
    two.truncate(1024);
    two.extend(tar("b", plain));
    assert_eq!(hits(&two), ["disk > /b 5 lab-machine7"]);
}

#[test]
fn needles_across_the_borders_of_pieces_are_found_once() {
    for at in 262_100..262_180usize {
        let mut bytes = vec![b'.'; 300_000];
        bytes[at..at + 12].copy_from_slice(b"lab-machine7");
        assert_eq!(hits(&bytes), [format!("disk {at} lab-machine7")]);
    }
}

#[test]
fn what_an_input_says_itself_is_no_leak_and_the_same_words_elsewhere_are() {
    let package = tar("usr/share/doc/changelog.gz", &gz(b"released on 2026-11-23 by somebody"));
    let found = scanner().scan("disk", package.as_slice()).unwrap();
    assert_eq!(found.len(), 1);
    let mut excuses = Excuses::new(&found).unwrap();
    excuses.read(package.as_slice()).unwrap();
    assert!(excuses.complete());
    assert!(excuses.left(found).is_empty());
    let leak = scanner().scan("disk", b"installed: 2026-11-23".as_slice()).unwrap();
    let mut excuses = Excuses::new(&leak).unwrap();
    excuses.read(package.as_slice()).unwrap();
    assert_eq!(excuses.left(leak.clone()), leak);
}

#[test]
fn the_name_that_packages_are_configured_under_is_a_leak_wherever_it_is() {
    use crate::plan::root::{PLACEHOLDER, PLACEHOLDER_LABELS};
    for text in [format!("host={PLACEHOLDER}\n"), PLACEHOLDER_LABELS[0].to_uppercase(), format!("x{PLACEHOLDER}x")] {
        let found = scanner().scan("disk", tar("etc/x.gz", &gz(text.as_bytes())).as_slice()).unwrap();
        assert!(found.iter().any(|hit| hit.kind == TraceKind::Placeholder), "{text}");
        assert!(found.iter().all(|hit| hit.to_string().contains("etc/x.gz")), "{found:?}");
    }
}

#[test]
fn what_is_common_or_known_is_not_looked_for() {
    let kinds = |machine: &BuildHost, epoch, known: &str| -> Vec<TraceKind> {
        let mut kinds: Vec<TraceKind> = needles(machine, epoch, &[known.as_bytes()]).iter().map(|n| n.kind).collect();
        kinds.dedup();
        // Nobody's machine has this name.
        assert_eq!(kinds.pop(), Some(TraceKind::Placeholder));
        kinds
    };
    let today = machine().now;
    assert_eq!(
        kinds(&machine(), today, ""),
        [TraceKind::Store, TraceKind::Home, TraceKind::Account, TraceKind::Host, TraceKind::Kernel]
    );
    let plain = BuildHost {
        store: "/kiln".to_owned(),
        home: Some("/root".to_owned()),
        user: Some("root".to_owned()),
        host: "localhost".to_owned(),
        kernel: "6.12.0".to_owned(),
        now: today,
    };
    assert_eq!(kinds(&plain, today, ""), []);
    for host in ["debian", "ubuntu-2", "runner-17", "vm", "zeus", "localhost.localdomain"] {
        let named = BuildHost { host: host.to_owned(), ..plain.clone() };
        assert!(!kinds(&named, today, "").contains(&TraceKind::Host), "{host}");
    }
    // The image's own host name, user and kernel.
    let known = "hostname = lab-machine7, user carol, linux-image-6.18.44-custom";
    assert_eq!(kinds(&machine(), today, known), [TraceKind::Store, TraceKind::Account]);
}

#[test]
fn an_archive_that_cannot_be_read_to_its_end_is_not_clean() {
    let path = std::env::temp_dir().join(format!("kiln-leak-short-{}", std::process::id()));
    crate::world::fs::write_atomically(&path, &tar("etc/motd", &[b'x'; 100_000])).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let files = walk::files(&file).unwrap().unwrap();
    let search = |name| walk::walk_files(name, &file, &files, &mut scanner().finder());
    assert!(search("whole").is_ok());
    file.set_len(50_000).unwrap();
    assert_eq!(search("short").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    crate::world::fs::remove_file(&path).unwrap();
}

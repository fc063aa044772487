//! The package reader against packages that are honest, damaged or hostile. They are put together here, byte by byte.

use std::io::Read;

use kiln::debian::deb::{self, DebEntry, DebEntryKind, DebError};
use proptest::prelude::*;

const CONTROL: &str = "Package: hello\nVersion: 1.0-1\nArchitecture: amd64\nDescription: x\n y\n";

/// An `ar` archive of members.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes());
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A tar archive; paths and targets go into the header as they are, for the `tar` crate would refuse the bad ones.
fn tar(entries: &[(&str, tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, target, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(42);
        header.set_mtime(7);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn control() -> Vec<u8> {
    let file = tar::EntryType::Regular;
    tar(&[
        ("./", tar::EntryType::Directory, "", b""),
        ("./control", file, "", CONTROL.as_bytes()),
        ("./conffiles", file, "", b"/etc/hello\n"),
        ("./postinst", file, "", b"#!/bin/sh\n"),
    ])
}

fn package(data: &[u8]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control()), ("data.tar", data)])
}

/// Every entry with its content.
fn entries(bytes: &[u8]) -> Result<Vec<(DebEntry, Vec<u8>)>, DebError> {
    let (_, mut data) = deb::open(bytes)?;
    let mut all = Vec::new();
    while let Some(entry) = data.next()? {
        let mut content = Vec::new();
        data.read_to_end(&mut content).map_err(|source| DebError::Io { member: "data.tar", source })?;
        all.push((entry, content));
    }
    Ok(all)
}

fn refusal(bytes: &[u8]) -> String {
    entries(bytes).expect_err("it was accepted").to_string()
}

#[test]
fn an_honest_package_is_read_whole() {
    let data = tar(&[
        ("./", tar::EntryType::Directory, "", b""),
        ("./usr/", tar::EntryType::Directory, "", b""),
        ("./usr/hello", tar::EntryType::Regular, "", b"text"),
        ("./usr/again", tar::EntryType::Link, "./usr/hello", b""),
        ("./usr/link", tar::EntryType::Symlink, "/etc/hello", b""),
    ]);
    let bytes = package(&data);
    let control = deb::control(bytes.as_slice()).unwrap();
    assert_eq!((control.package(), control.version(), control.architecture()), ("hello", "1.0-1", "amd64"));
    assert_eq!(control.stanza.get("description"), Some("x\n y"));
    assert_eq!(control.lines("conffiles"), ["/etc/hello"]);
    assert!(control.files["postinst"].executable);
    let entries = entries(&bytes).unwrap();
    let kinds: Vec<(&str, &DebEntryKind)> =
        entries.iter().map(|(entry, _)| (entry.path.as_str(), &entry.kind)).collect();
    let (hard, link) = (DebEntryKind::Hard("usr/hello".to_owned()), DebEntryKind::Link("/etc/hello".to_owned()));
    let expected = [
        ("", &DebEntryKind::Directory),
        ("usr", &DebEntryKind::Directory),
        ("usr/hello", &DebEntryKind::File(4)),
        ("usr/again", &hard),
        ("usr/link", &link),
    ];
    assert_eq!(kinds, expected);
    assert_eq!((entries[2].0.mode, entries[2].0.gid, entries[2].0.mtime), (0o755, 42, 7));
    assert_eq!(entries[2].1, b"text");
}

#[test]
fn every_compression_that_dpkg_writes_is_read() {
    let data = tar(&[("./a", tar::EntryType::Regular, "", b"text")]);
    let gz = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &data).unwrap();
        encoder.finish().unwrap()
    };
    let xz = {
        let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 1);
        std::io::Write::write_all(&mut encoder, &data).unwrap();
        encoder.finish().unwrap()
    };
    let zst = zstd::encode_all(data.as_slice(), 1).unwrap();
    for (name, data) in [("data.tar.gz", &gz), ("data.tar.xz", &xz), ("data.tar.zst", &zst)] {
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control()), (name, data)]);
        assert_eq!(entries(&bytes).unwrap()[0].1, b"text", "{name}");
        let cut = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control()), (name, &data[..data.len() / 2])]);
        assert!(entries(&cut).is_err(), "{name} cut in half was accepted");
    }
}

#[test]
fn paths_that_climb_out_are_refused() {
    let file = tar::EntryType::Regular;
    for (path, reason) in [
        ("../etc/shadow", "its name contains `..`"),
        ("./usr/../../x", "its name contains `..`"),
        ("/etc/shadow", "its name is absolute"),
        ("./a\nb", "its name has a control character"),
    ] {
        let text = refusal(&package(&tar(&[(path, file, "", b"")])));
        assert!(text.ends_with(reason), "{path}: {text}");
    }
    let hard = refusal(&package(&tar(&[("./a", tar::EntryType::Link, "/etc/shadow", b"")])));
    assert!(hard.ends_with("its name is absolute"), "{hard}");
}

#[test]
fn odd_types_are_refused() {
    for (kind, reason) in [
        (tar::EntryType::Char, "device nodes are not allowed in packages"),
        (tar::EntryType::Block, "device nodes are not allowed in packages"),
        (tar::EntryType::Fifo, "named pipes are not allowed in packages"),
        (tar::EntryType::XHeader, "its type is not allowed in packages"),
        (tar::EntryType::GNUSparse, "its type is not allowed in packages"),
    ] {
        let text = refusal(&package(&tar(&[("./x", kind, "", b"")])));
        assert!(text.ends_with(reason), "{kind:?}: {text}");
    }
    let text = refusal(&package(&tar(&[("./x", tar::EntryType::Directory, "", b"content")])));
    assert!(text.ends_with("only regular files may have content"), "{text}");
}

#[test]
fn sizes_are_checked_before_anything_is_read() {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..3].copy_from_slice(b"./x");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(1 << 40);
    header.set_cksum();
    assert_eq!(refusal(&package(header.as_bytes())), "data.tar: more than 17179869184 bytes");
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let text = refusal(&package(header.as_bytes()));
    assert!(text.ends_with("its name is too long"), "{text}");
    let huge = format!("!<arch>\n{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "debian-binary", 0, 0, 0, 0, 9_999_999_999_u64);
    assert_eq!(refusal(huge.as_bytes()), "ar: more than 4294967296 bytes in a member");
}

#[test]
fn a_bomb_of_zeros_in_the_control_part_is_bounded() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..9].copy_from_slice(b"./control");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(64 << 20);
    header.set_cksum();
    std::io::Write::write_all(&mut encoder, header.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(64 << 20), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar.zst", &bomb), ("data.tar", b"")]);
    assert_eq!(refusal(&bytes), "control.tar: more than 33554432 bytes");
}

#[test]
fn what_is_no_package_is_called_so() {
    let no_data = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control())]);
    let version = ar(&[("debian-binary", b"3.0\n")]);
    let lzma = ar(&[("debian-binary", b"2.0\n"), ("control.tar.lzma", b"")]);
    for (bytes, reason) in [
        (b"!<arch>\n".to_vec(), "not a valid .deb package: it is empty"),
        (b"PK\x03\x04 zip...".to_vec(), "not a valid .deb package: it is not an ar archive"),
        (no_data, "not a valid .deb package: it has no data.tar"),
        (version, "not a valid .deb package: its format version is not 2.0"),
        (lzma, "not a valid .deb package: members `*.tar.lzma` are not supported"),
    ] {
        assert_eq!(refusal(&bytes), reason);
    }
}

proptest! {
    #[test]
    fn no_damage_makes_the_reader_panic(at in 0_usize..8192, byte: u8, cut in 0_usize..8192) {
        let data = tar(&[
            ("./usr/hello", tar::EntryType::Regular, "", b"text"),
            ("./usr/link", tar::EntryType::Symlink, "/etc/hello", b""),
        ]);
        let mut bytes = package(&data);
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        let Ok(found) = entries(&bytes) else { return Ok(()) };
        // What is accepted is bounded by what is there, stays below the root, and is the same when it is read again.
        prop_assert!(found.iter().map(|(_, content)| content.len()).sum::<usize>() <= bytes.len());
        for (entry, _) in &found {
            prop_assert!(!entry.path.starts_with('/') && entry.path.split('/').all(|part| part != ".."), "{entry:?}");
        }
        prop_assert_eq!(entries(&bytes).ok(), Some(found));
    }

    #[test]
    fn a_part_of_a_package_is_no_package(cut in 0_usize..8192) {
        let data = tar(&[("./usr/hello", tar::EntryType::Regular, "", b"text")]);
        let bytes = package(&data);
        // The last two blocks and their padding are zeros: a reader may do without them.
        prop_assert!(entries(&bytes[..cut % (bytes.len() - data.len() + 1024)]).is_err());
    }
}

/// Versions with every mark that the grammar has, and some that look alike.
const VERSIONS: [&str; 24] = [
    "0",
    "1",
    "1.0",
    "1.0-1",
    "1.0-1~bpo1",
    "1.0~beta1",
    "1.0~beta1~svn1",
    "1.0a",
    "1.0+b1",
    "1.00001.5",
    "1.2",
    "1.10",
    "0:1-0",
    "1:0.1",
    "2.0~rc1-1",
    "2.0-1+deb13u2",
    "1:1.1a-3.1",
    "9~9",
    "1.2.3+ds1-2~bpo13+1",
    "20250101",
    "0~git.a",
    "1-1-1",
    "99999999999999999999999",
    "1.0.",
];

#[test]
fn dpkg_orders_versions_as_kiln_does() {
    if !super::live::judge("dpkg") {
        return;
    }
    for a in VERSIONS {
        for b in VERSIONS {
            let order = kiln::debian::version::compare(a, b);
            let relation = match order {
                std::cmp::Ordering::Less => "lt",
                std::cmp::Ordering::Equal => "eq",
                std::cmp::Ordering::Greater => "gt",
            };
            let agrees = std::process::Command::new("dpkg").args(["--compare-versions", a, relation, b]).status();
            assert!(agrees.unwrap().success(), "{a} {order:?} {b}");
        }
    }
}

//! What one writes the other reads; what is hostile is refused.

use std::io::Read;

use super::*;

fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

fn archive(entries: &[(TarEntry, &[u8])]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, *content).unwrap();
    }
    writer.finish().unwrap()
}

fn list(bytes: &[u8]) -> Result<Vec<(TarEntry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        found.push((entry, content));
    }
    Ok(found)
}

#[test]
fn everything_that_an_entry_can_say_survives() {
    let mut ping = TarEntry::file(path("usr/bin/ping"), 0o755, 1_700_000_000, 4);
    ping.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, b'\n', b'=', 0, 0xff]);
    ping.uid = 4_000_000_000;
    let long = format!("usr/share/{}/{}", "d".repeat(200), "é".repeat(100));
    let mut raw = b"var/\xff".repeat(30);
    raw.insert(0, b'z');
    let device = TarEntry {
        kind: TarEntryKind::CharDevice(Device { major: 1, minor: 3 }),
        ..TarEntry::file(path("dev/null"), 0o666, 0, 0)
    };
    let link = TarEntry {
        kind: TarEntryKind::Hardlink(path("usr/bin/ping")),
        ..TarEntry::file(path("usr/bin/ping6"), 0o755, 7, 0)
    };
    let entries = [
        (TarEntry::directory(TarPath::root(), 0o755, 5), b"".as_slice()),
        (device, b""),
        (TarEntry::symlink(path("lib"), "usr/lib", -5), b""),
        (ping, b"ELF!"),
        (link, b""),
        (TarEntry::file(path(&long), 0o4755, 1 << 40, 1), b"x"),
        (TarEntry::file(TarPath::new(raw).unwrap(), 0o600, 1, 0), b""),
    ];
    let bytes = archive(&entries);
    let found = list(&bytes).unwrap();
    let expected: Vec<(TarEntry, Vec<u8>)> = entries.iter().map(|(e, c)| (e.clone(), c.to_vec())).collect();
    assert_eq!(found, expected);
    assert!((0..10).all(|_| archive(&entries) == bytes));
}

#[test]
fn a_plain_file_needs_no_pax_header() {
    let bytes = archive(&[(TarEntry::file(path("etc/hostname"), 0o644, 1, 5), b"kiln\n")]);
    assert_eq!(bytes.len(), 512 + 512 + 1024);
    assert_eq!(&bytes[..12], b"etc/hostname");
}

#[test]
fn order_size_and_kind_are_checked() {
    let mut writer = TarWriter::new(Vec::new());
    writer.append(&TarEntry::file(path("b"), 0o644, 0, 1), b"1".as_slice()).unwrap();
    for (entry, content, expected) in [
        (TarEntry::file(path("b"), 0o644, 0, 0), b"".as_slice(), "order"),
        (TarEntry::file(path("a"), 0o644, 0, 0), b"", "order"),
        (TarEntry::file(path("c"), 0o10644, 0, 0), b"", "permissions"),
        (TarEntry { kind: TarEntryKind::Hardlink(path("d")), ..TarEntry::file(path("c"), 0, 0, 0) }, b"", "later"),
        (TarEntry::symlink(path("c"), "", 0), b"", "target"),
        (TarEntry::file(path("c"), 0o644, 0, 2), b"1", "ended after 1"),
        (TarEntry::file(path("d"), 0o644, 0, 2), b"123", "goes on"),
    ] {
        let error = writer.append(&entry, content).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn gnu_long_names_and_big_numbers_are_read() {
    let long = format!("opt/{}/file", "x".repeat(180));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o100_644);
    header.set_uid(u64::from(u32::MAX));
    header.set_gid(0);
    header.set_mtime(9);
    builder.append_data(&mut header, &long, b"abc".as_slice()).unwrap();
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    link.set_mtime(9);
    link.set_uid(0);
    link.set_gid(0);
    builder.append_link(&mut link, "opt/link", format!("/{long}")).unwrap();
    let found = list(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(found[0].0.path.as_bytes(), long.as_bytes());
    assert_eq!((found[0].0.uid, found[0].0.mode, found[0].1.as_slice()), (u32::MAX, 0o644, b"abc".as_slice()));
    assert_eq!(found[1].0.kind, TarEntryKind::Symlink(format!("/{long}").into_bytes()));
}

#[test]
fn paths_that_climb_are_refused() {
    for text in ["/etc/passwd", "../x", "a/../../b", "a\0b", &"n".repeat(256), &"n/".repeat(2500)] {
        assert!(TarPath::new(text).is_err(), "{text}");
    }
    assert_eq!(path("./usr//bin/./x/").as_bytes(), b"usr/bin/x");
    assert!(path(".").is_root());
}

#[test]
fn archives_that_lie_are_refused() {
    let good = archive(&[(TarEntry::file(path("f"), 0o644, 0, 600), &[7; 600])]);
    for cut in [1, 511, 512, 700, 1500, 1536] {
        assert!(list(&good[..cut]).is_err(), "cut at {cut}");
    }
    let with = |change: &dyn Fn(&mut tar::Header)| {
        let mut header = tar::Header::new_gnu();
        for set in [tar::Header::set_uid, tar::Header::set_gid, tar::Header::set_mtime, tar::Header::set_size] {
            set(&mut header, 0);
        }
        header.set_mode(0o644);
        change(&mut header);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&[0; 2048]);
        list(&bytes)
    };
    let typed = |flag: u8| with(&move |header: &mut tar::Header| header.set_entry_type(tar::EntryType::new(flag)));
    assert!(typed(b'S').unwrap_err().to_string().contains("type 'S'"));
    assert!(typed(b'V').is_err() && typed(b'M').is_err() && typed(b'2').is_err());
    let huge = with(&|header| {
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(10 << 30);
    });
    assert!(huge.unwrap_err().to_string().contains("more than 1 MiB"));
    let mut broken = good;
    broken[0] ^= 1;
    assert!(list(&broken).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn contents_can_be_passed_over() {
    let long = vec![7; 3000];
    let entries = [("a", long.as_slice()), ("b", b""), ("c", b"1"), ("d", &long[..512])];
    let entries = entries.map(|(name, content)| (TarEntry::file(path(name), 0o644, 1, content.len() as u64), content));
    let bytes = archive(&entries);
    for capacity in [1, 512, 700, 1 << 16] {
        let file = std::io::Cursor::new(bytes.as_slice());
        let mut reader = TarReader::new(std::io::BufReader::with_capacity(capacity, file));
        for (expected, content) in &entries {
            let entry = reader.next_entry().unwrap().unwrap();
            assert_eq!(&entry, expected);
            assert_eq!(&bytes[reader.offset() as usize..][..content.len()], *content);
            // Also where a part of it was read.
            reader.read_exact(&mut vec![0; content.len() / 3]).unwrap();
            reader.pass_content().unwrap();
        }
        assert_eq!(reader.next_entry().unwrap(), None);
    }
    for end in [512, 600, 3000, 4000, bytes.len() - 1024] {
        let cut = std::io::Cursor::new(&bytes[..end]);
        let mut reader = TarReader::new(std::io::BufReader::new(cut));
        let found = std::iter::from_fn(|| match reader.next_entry() {
            Ok(Some(_)) => Some(reader.pass_content()),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        });
        assert!(found.take(10).any(|entry| entry.is_err()), "{end}");
    }
}

#[test]
fn every_byte_of_a_canonical_archive_counts() {
    let mut odd = TarEntry::file(path(&"long/".repeat(30)), 0o644, -1, 5);
    odd.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
    let link = TarEntry { kind: TarEntryKind::Symlink(b"a".to_vec()), ..TarEntry::file(path("z"), 0o777, 7, 0) };
    let bytes = archive(&[(TarEntry::file(path("a"), 0o644, 7, 3), b"abc"), (odd, b"12345"), (link, b"")]);
    let read = |bytes: &[u8]| -> Result<_, TarError> {
        let mut reader = TarReader::canonical(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            entries.push((entry, content));
        }
        Ok((entries, reader.into_input().to_vec()))
    };
    let whole = read(&bytes).unwrap();
    assert_eq!((whole.0.len(), whole.1.as_slice()), (3, &[0; 512][..]));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(other) = read(&changed) {
                assert!(other != whole, "nobody sees bit {bit} of byte {at}");
            }
        }
    }
    // Read by others, and not as kiln writes it.
    let mut gnu = tar::Header::new_gnu();
    gnu.set_path("a").unwrap();
    gnu.set_size(0);
    gnu.set_mode(0o644);
    gnu.set_uid(0);
    gnu.set_gid(0);
    gnu.set_mtime(7);
    gnu.set_cksum();
    let gnu = [gnu.as_bytes().as_slice(), &[0; 1024]].concat();
    assert!(list(&gnu).is_ok() && matches!(read(&gnu), Err(TarError::Malformed { .. })));
}

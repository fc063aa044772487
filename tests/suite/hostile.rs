//! Files that somebody changed or made up: what a build delivered, manifests, and numbers far larger than the file.

use kiln::base::Digest;
use kiln::debian::deb;
use kiln::deliver::manifest::Manifest;
use kiln::format::tar::TarReader;
use kiln::ops::Session;
use kiln::world::RealWorld;
use proptest::prelude::*;

use super::directory::{deliver, files, manifest};
use super::live::{Scratch, fail_with, kiln, succeed};

#[test]
fn a_changed_byte_of_anything_delivered_is_found_and_named() {
    let scratch = Scratch::new("delivered");
    let world = RealWorld::default();
    let session = Session::silent(&world);
    let at = scratch.path("result");
    let verify = || {
        let mut command = kiln(&scratch.path("store"));
        command.arg("verify").arg(&at);
        command
    };
    let files = deliver(&at);
    succeed(&mut verify());
    for (name, bytes) in &files {
        for changed in (0..bytes.len()).step_by(bytes.len().div_ceil(100)) {
            let mut other = bytes.clone();
            other[changed] ^= 1;
            std::fs::write(at.join(name), &other).unwrap();
            let report = kiln::ops::directory(&session, &at).unwrap_or_else(|_| panic!("no report"));
            let words = format!("{name}: has digest {}, expected {}", Digest::of(&other), Digest::of(bytes));
            assert_eq!(report.wrong, [words]);
        }
        let said = fail_with(&mut verify(), 3);
        assert!(said.contains("1 difference in 5 files") && said.contains(name), "{said}");
        std::fs::write(at.join(name), &bytes[1..]).unwrap();
        let said = fail_with(&mut verify(), 3);
        assert!(said.contains(&format!("{name}: has {} bytes, expected {}", bytes.len() - 1, bytes.len())), "{said}");
        std::fs::remove_file(at.join(name)).unwrap();
        let said = fail_with(&mut verify(), 3);
        assert!(said.contains(name) && said.contains("it is missing"), "{said}");
        std::fs::write(at.join(name), bytes).unwrap();
    }
    succeed(&mut verify());
}

#[test]
fn a_changed_size_or_digest_in_a_manifest_is_found() {
    let scratch = Scratch::new("manifest");
    let world = RealWorld::default();
    let session = Session::silent(&world);
    let at = scratch.path("result");
    let files = deliver(&at);
    let good = manifest(&files).write();
    let artifacts = good.find("\"artifacts\"").unwrap()..good.find("\"steps\"").unwrap();
    let mut tried = 0;
    for place in artifacts {
        if !good.as_bytes()[place].is_ascii_hexdigit() {
            continue;
        }
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
        std::fs::write(at.join("manifest.json"), &bytes).unwrap();
        let found = kiln::ops::directory(&session, &at);
        assert!(found.map_or(true, |report| !report.wrong.is_empty()), "{}", String::from_utf8_lossy(&bytes));
        tried += 1;
    }
    assert!(tried > 3 * 64, "{tried}");
}

#[test]
fn a_manifest_that_leads_out_of_its_directory_is_refused() {
    for name in ["../passwd", "/etc/passwd", "tiny/../../passwd", ".", "", "-x", ".x/y", "a/b/c", "manifest.json"] {
        let text = manifest(&[(name.to_owned(), b"x".to_vec())]).write();
        let error = Manifest::read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, format!("`{name}` is not a valid name of a file or a machine"));
    }
}

proptest! {
    #[test]
    fn no_damage_makes_the_manifest_reader_panic(at in 0_usize..4096, bytes in prop::collection::vec(any::<u8>(), 1..9), cut in 0_usize..64) {
        let mut text = manifest(&files()).write().into_bytes();
        let at = at % text.len();
        let end = text.len().min(at + bytes.len());
        text[at..end].copy_from_slice(&bytes[..end - at]);
        text.truncate(text.len() - cut);
        if let Ok(read) = Manifest::read(&text) {
            prop_assert_eq!(Manifest::read(read.write().as_bytes()).unwrap(), read);
        }
    }
}

/// A header of any tar, with its checksum.
fn header(kind: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..1].copy_from_slice(b"x");
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    (0..2).for_each(|_| header.set_size(size));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A pax header with one record, and the entry that it speaks of.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length =
        (1..).map(|digits| rest.len() + digits).find(|length| length.to_string().len() + rest.len() == *length);
    let mut body = format!("{}{rest}", length.unwrap()).into_bytes();
    let mut bytes = header(b'x', body.len() as u64);
    body.resize(512, 0);
    bytes.extend(body);
    bytes.extend(header(b'0', 0));
    bytes
}

/// The first refusal of the tar reader, reading everything.
fn tar_refusal(bytes: &[u8]) -> String {
    let mut reader = TarReader::new(bytes);
    loop {
        match reader.next_entry() {
            Err(error) => return error.to_string(),
            Ok(None) => return "accepted".to_owned(),
            Ok(Some(_)) => {
                if let Err(error) = std::io::copy(&mut reader, &mut std::io::sink()) {
                    return error.to_string();
                }
            }
        }
    }
}

#[test]
fn headers_of_ten_gigabytes_take_no_memory_and_end_with_the_file() {
    const TEN: u64 = 10 << 30;
    for (bytes, words) in [
        (header(b'0', TEN), "the archive is truncated in a file"),
        (header(b'L', TEN), "an extended header of more than 1 MiB"),
        (header(b'K', TEN), "an extended header of more than 1 MiB"),
        (header(b'x', TEN), "an extended header of more than 1 MiB"),
        (header(b'g', TEN), "an extended header of more than 1 MiB"),
        (header(b'5', TEN), "content on something that is not a regular file"),
        (pax("size", &TEN.to_string()), "the archive is truncated in a file"),
        (pax("size", "99999999999999999999"), "a pax size that is not a number"),
        (pax("size", "9999999999999999999"), "a size of more than 8 EiB"),
        (pax("path", "/etc/passwd"), "absolute"),
        (pax("path", "../x"), ".."),
        (pax("uid", "4294967296"), "an owner out of range"),
    ] {
        let refusal = tar_refusal(&bytes);
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
}

/// An `ar` archive; sizes are what they are said to be.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 0, content.len()).bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// The refusal of a package, its files read to the end.
fn deb_refusal(bytes: &[u8]) -> String {
    let read = || -> Result<(), String> {
        let (_, mut data) = deb::open(bytes).map_err(|error| error.to_string())?;
        while data.next().map_err(|error| error.to_string())?.is_some() {
            std::io::copy(&mut data, &mut std::io::sink()).map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    read().map_or_else(|error| error, |()| "accepted".to_owned())
}

/// A control archive in which `size` is said of the file `control`, and zeros follow.
fn control(size: u64, zeros: u64) -> impl std::io::Read {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..9].copy_from_slice(b"./control");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    std::io::Read::chain(
        std::io::Cursor::new(header.as_bytes().to_vec()),
        std::io::Read::take(std::io::repeat(0), zeros),
    )
}

#[test]
fn bombs_are_bounded_whatever_they_are_packed_with() {
    const BOMB: u64 = 64 << 20;
    let gz = {
        let mut packed = Vec::new();
        let mut encoder = flate2::read::GzEncoder::new(control(BOMB, BOMB), flate2::Compression::fast());
        std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
        packed
    };
    let xz = {
        let mut packed = Vec::new();
        let mut encoder = xz2::read::XzEncoder::new(control(BOMB, BOMB), 0);
        std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
        packed
    };
    let zst = zstd::encode_all(control(BOMB, BOMB), 1).unwrap();
    for (suffix, packed) in [(".gz", gz), (".xz", xz), (".zst", zst)] {
        assert!(packed.len() < 1 << 20, "{suffix}: {} bytes are no bomb", packed.len());
        let member = format!("control.tar{suffix}");
        let bytes = ar(&[("debian-binary", b"2.0\n"), (&member, &packed), ("data.tar", b"")]);
        assert_eq!(deb_refusal(&bytes), "control.tar: more than 33554432 bytes", "{suffix}");
    }
    // The same in many small files, none of which says that it is large.
    let mut many = Vec::new();
    for index in 0..40 {
        let mut part = header(b'0', 1 << 20);
        let name = format!("file{index}");
        part[..name.len()].copy_from_slice(name.as_bytes());
        let sum: u32 = part[..148].iter().chain(&part[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 256;
        part[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        many.extend(part);
        many.resize(many.len() + (1 << 20), 0);
    }
    let packed = zstd::encode_all(many.as_slice(), 1).unwrap();
    let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar.zst", &packed), ("data.tar", b"")]);
    assert_eq!(deb_refusal(&bytes), "control.tar: more than 33554432 bytes");
}

#[test]
fn a_control_file_of_ten_gigabytes_is_refused_unread() {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut control(10 << 30, 0), &mut bytes).unwrap();
    let package = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &bytes), ("data.tar", b"")]);
    assert_eq!(deb_refusal(&package), "control.tar: more than 33554432 bytes");
    let mut huge = b"!<arch>\n".to_vec();
    huge.extend(format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n2.0\n", "debian-binary", 0, 0, 0, 0, 4).bytes());
    huge.extend(format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "control.tar", 0, 0, 0, 0, 9_999_999_999_u64).bytes());
    assert_eq!(deb_refusal(&huge), "ar: more than 4294967296 bytes in a member");
}

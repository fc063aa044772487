//! Files that scripts wrote and that look random: secrets and identities that no rule knows, most likely.
//!
//! Input: the files of a configured tree that no package ships. Output: a warning for each that looks random. What is
//! compressed, or in a format whose bytes are never even, is none; neither are caches and dpkg's own books.

use std::path::Path;

use crate::exec::debian::maker::Makers;
use crate::exec::tree::{Go, Place, RootError, Stat, Tree};
use crate::plan::root::Finding;

/// Where nothing is looked at: caches, dpkg's and ucf's checksums, Java's certificates, names made of hashes.
const ELSEWHERE: [&str; 8] = [
    "etc/ca-certificates",
    "etc/ssl/certs",
    "usr/share/mime",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/systemd/catalog",
    "var/lib/ucf",
];

/// Bytes that are looked at, and the fewest that can look like anything.
const SAMPLE: u64 = 1 << 16;
const LEAST: usize = 16;
/// So many are told.
const FINDINGS: usize = 100;

/// Beginnings of formats that are compressed or hold compressed, hashed or public data.
const FORMATS: [&[u8]; 18] = [
    b"\x1f\x8b\x08",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"\x04\x22\x4d\x18",
    b"PK\x03\x04",
    b"7z\xbc\xaf",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x7fELF",
    b"!<arch>",
    b"SQLite format 3",
    b"%PDF",
    b"wOF",
    b"\xfe\xed\xfe\xed",
    b"\xca\xfe\xba\xbe",
    b"hsqs",
];

/// Everything that looks random, in the order of the tree.
pub(super) fn find(tree: &Tree, makers: &Makers) -> Result<Vec<Finding>, RootError> {
    let mut found = Vec::new();
    for place in ["boot", "etc", "home", "opt", "root", "srv", "usr", "var"] {
        tree.visit(place, &mut |place, stat| {
            if ELSEWHERE.iter().any(|directory| place.path() == Path::new(directory)) {
                return Ok(Go::On);
            }
            let path = format!("/{}", place.path().display());
            if found.len() < FINDINGS && stat.file() && !makers.ships(&path) && looks_random(&sample(place, stat)) {
                let message = format!(
                    "{path} was written by a script and looks random; a secret in it is the same in every machine of the image"
                );
                found.push(Finding { package: makers.of(&path).map(package), path: Some(path), message });
            }
            Ok::<Go, RootError>(Go::Down)
        })?;
    }
    Ok(found)
}

fn package(stem: &str) -> String {
    crate::exec::debian::maker::package(stem).to_owned()
}

fn sample(place: &Place, stat: &Stat) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    if stat.size >= LEAST as u64
        && let Ok((file, _)) = place.read()
    {
        // What cannot be read is none of a build's secrets.
        let _ = file.take(SAMPLE).read_to_end(&mut bytes);
    }
    bytes
}

/// Whether the bytes, or a word of a text, seem to be drawn at random.
fn looks_random(bytes: &[u8]) -> bool {
    let known = FORMATS.iter().any(|format| bytes.starts_with(format));
    if bytes.len() < LEAST || known || is_published(bytes) {
        return false;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|byte| byte >= b' ' || matches!(byte, b'\n' | b'\r' | b'\t')) => has_token(text),
        _ => is_even(bytes),
    }
}

/// OpenPGP public keys of version 4 (RFC 9580, 4.2 and 5.5.2), and certificates in DER; private keys have a rule of their
/// own.
fn is_published(bytes: &[u8]) -> bool {
    matches!(bytes, [0x98, _, 4, ..] | [0x99, _, _, 4, ..] | [0xc6, _, 4, ..] | [0xc6, 192..=223, _, 4, ..])
        || matches!(bytes, [0x30, 0x82, _, _, 0x30, 0x82, ..])
}

/// Pearson's test against even frequencies: 255 is expected of random bytes, give or take 23, whatever their number; text
/// and tables have thousands.
fn is_even(bytes: &[u8]) -> bool {
    let mut counts = [0_u64; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    // 256/n * sum(c^2) - n, in whole numbers.
    let n = bytes.len() as u64;
    (squares * 256).saturating_sub(n * n) < 400 * n
}

/// A word of a key, a token or a UUID. What is published looks the same, and is left out by what stands around it.
fn has_token(text: &str) -> bool {
    let mut published = false;
    text.lines().any(|line| {
        let line = line.trim();
        if line.starts_with("-----BEGIN ") || line.starts_with("-----END ") {
            published = line.starts_with("-----BEGIN ");
            return false;
        }
        let known = ["DNSKEY", "ssh-", "ecdsa-", " DS ", "sha256", "sha512", "md5", "http"];
        if published || known.iter().any(|word| line.contains(word)) {
            return false;
        }
        // Beside the path of a file, hexadecimal digits are its checksum.
        let path = line.contains('/');
        line.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=-".contains(c)))
            .any(|word| is_base64(word) || (!path && is_hexadecimal(word)))
    })
}

/// At least 128 bits: capitals, small letters and digits in quick change. Names of things change rarely.
fn is_base64(word: &str) -> bool {
    let class = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let classes: Vec<usize> = word.bytes().map(class).collect();
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let others = classes.iter().filter(|class| **class == 3).count();
    let all = (0..3).all(|wanted| classes.iter().filter(|class| **class == wanted).count() >= 2);
    word.len() >= 22 && all && others * 8 <= word.len() && changes * 20 >= word.len() * 9
}

/// At least 128 bits in hexadecimal digits, as UUIDs have them, too.
fn is_hexadecimal(word: &str) -> bool {
    let digits = word.bytes().filter(|byte| *byte != b'-');
    let kinds: std::collections::BTreeSet<u8> = digits.clone().collect();
    let letters = digits.clone().filter(u8::is_ascii_alphabetic).count();
    let number = digits.clone().count();
    number >= 32
        && number * 10 >= word.len() * 8
        && digits.clone().all(|byte| byte.is_ascii_hexdigit())
        && kinds.len() >= 10
        && (number / 8..=number * 3 / 4).contains(&letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// Bytes that are as good as random, and the same in every run.
    fn noise(seed: u8, length: usize) -> Vec<u8> {
        let blocks = (0_u32..).flat_map(|at| {
            let digest: [u8; 32] = Sha256::new().chain_update([seed]).chain_update(at.to_be_bytes()).finalize().into();
            digest
        });
        blocks.take(length).collect()
    }

    #[test]
    fn random_bytes_are_seen_whatever_their_number() {
        for length in [16, 32, 300, 1024, 60_000] {
            let seen = (0..100).filter(|seed| looks_random(&noise(*seed, length))).count();
            assert!(seen >= 99, "{seen} of 100 of {length} bytes");
        }
    }

    #[test]
    fn what_is_structured_or_compressed_is_not_random() {
        let table: Vec<u8> = (0_u32..4000).flat_map(|at| (at * 12).to_le_bytes()).collect();
        let text = "The quick brown fox jumps over the lazy dog.\n".repeat(40);
        let wide: Vec<u8> = text.bytes().flat_map(|byte| [byte, 0]).collect();
        let zipped = [b"\x1f\x8b\x08".to_vec(), noise(1, 500)].concat();
        let header = [vec![0; 200], noise(1, 100)].concat();
        for (name, bytes) in
            [("table", table), ("text", text.into_bytes()), ("wide", wide), ("zipped", zipped), ("header", header)]
        {
            assert!(!looks_random(&bytes), "{name}");
        }
    }

    #[test]
    fn words_of_keys_are_told_from_names_and_from_what_is_published() {
        for (text, expected) in [
            ("secret = \"q3Zk9/8VbX2mTt0PLw7yHg==\"\n", true),
            ("$cfg['key'] = 'aB3dE5fG7hJ9kL1mN3pQ5rS7';\n", true),
            ("4f9c1b7ae2d0836c5f1e7a9b3d8c2046\n", true),
            ("entryUUID: 7f3c9a52-1b4e-4d0a-9c8e-2a6b5d7f1e03\n", true),
            ("d41d8cd98f00b204e9800998ecf8427e  /etc/default/x\n", false),
            ("org.freedesktop.DBus.ObjectManagerInterface\n", false),
            (
                "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa\n-----END CERTIFICATE-----\n",
                false,
            ),
            ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDIf4tS0p1vJb8E9eVX\n", false),
            (". 172800 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTO\n", false),
            ("0000000000000000000000000000000000000000\n", false),
            ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\n", false),
            ("x86_64-pc-linux-gnu-thread-multi-ld MODULE_LICENSE_GPLv2_OR_LATER\n", false),
        ] {
            assert_eq!(looks_random(text.as_bytes()), expected, "{text}");
        }
    }
}

//! What a secret looks like, whatever package it is of: by the name of its file, or by its format.
//!
//! Input: the files of a configured tree that no package ships. Output: the paths of secrets among them.

use crate::exec::debian::maker::Makers;
use crate::exec::tree::{Go, Place, RootError, Stat, Tree};
use crate::plan::root::Finding;

/// Where scripts leave what belongs to a machine. Below /usr there are only examples, which packages ship.
const PLACES: [&str; 6] = ["etc", "home", "opt", "root", "srv", "var"];
/// dpkg's and debconf's own books hold scripts and templates of packages; `ssh_host_*` has a rule of its own.
const ELSEWHERE: [&str; 4] = ["var/lib/dpkg/", "var/cache/debconf/", "var/lib/ucf/", "etc/ssh/ssh_host_"];

/// Host keys and Kerberos keys; key stores of Java and PKCS #12.
const NAMES: [&str; 6] = ["_host_key", ".keytab", ".p12", ".pfx", ".jks", ".keystore"];
/// Whole names: corosync's key, Erlang's shared secret.
const WHOLE: [&str; 2] = ["authkey", ".erlang.cookie"];
/// Public keys have this name, too: only what is not known to be public counts.
const KEY: &str = ".key";
/// In what is published: PEM of keys and certificates, DNS records, OpenPGP keys.
const PUBLIC: [&str; 5] = ["PUBLIC KEY", "-----BEGIN CERTIFICATE", "DNSKEY", "\tDS\t", " DS "];

/// PEM (RFC 7468) and OpenSSH spell private keys like this, of whatever kind.
const MARKS: [&str; 2] = ["-----BEGIN ", "PRIVATE KEY-----"];
/// An RSA key of 16384 bits takes 13 KB.
const LARGEST: u64 = 1 << 16;

/// Absolute paths of secrets that scripts made.
pub(super) fn find(tree: &Tree, makers: &Makers) -> Result<Vec<String>, RootError> {
    let mut found = Vec::new();
    for place in PLACES {
        tree.visit(place, &mut |place, stat| {
            let path = format!("/{}", place.path().display());
            let elsewhere = ELSEWHERE.iter().any(|start| path[1..].starts_with(start));
            if stat.file() && stat.size > 0 && !elsewhere && !makers.ships(&path) && is_secret(place, stat) {
                found.push(path);
            }
            Ok::<Go, RootError>(Go::Down)
        })?;
    }
    Ok(found)
}

/// Private keys that packages ship for use: whoever has the package has the key.
pub(super) fn shipped(tree: &Tree, makers: &Makers) -> Result<Vec<Finding>, RootError> {
    let mut found = Vec::new();
    for place in PLACES {
        tree.visit(place, &mut |place, stat| {
            let path = format!("/{}", place.path().display());
            let small = stat.file() && stat.size <= LARGEST && makers.ships(&path);
            let bytes = if small { place.bytes(LARGEST).ok().flatten().unwrap_or_default() } else { Vec::new() };
            if is_private_key(&bytes) {
                let message = format!("{path} is a private key that the package ships, which everybody has");
                let package = makers.owner(&path).map(str::to_owned);
                found.push(Finding { package, path: Some(path), message });
            }
            Ok::<Go, RootError>(Go::Down)
        })?;
    }
    Ok(found)
}

fn is_secret(place: &Place, stat: &Stat) -> bool {
    let name = place.path().file_name().unwrap_or_default().to_string_lossy();
    if NAMES.iter().any(|end| name.ends_with(end)) || WHOLE.contains(&name.as_ref()) {
        return true;
    }
    let bytes = if stat.size <= LARGEST { place.bytes(LARGEST).ok().flatten() } else { None };
    let Some(bytes) = bytes else { return false };
    is_private_key(&bytes) || (name.ends_with(KEY) && !is_public(&bytes))
}

/// A private key in one of the formats that OpenSSL, OpenSSH and dropbear write.
pub(super) fn is_private_key(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let pem = text.lines().any(|line| line.starts_with(MARKS[0]) && line.trim_end().ends_with(MARKS[1]));
    pem || is_der(bytes) || is_dropbear(bytes)
}

/// DER: one SEQUENCE that is the whole file and begins with a version, as PKCS #1 (RFC 8017), PKCS #8 (RFC 5958) and
/// SEC 1 (RFC 5915) have it, and with what follows the version there.
fn is_der(bytes: &[u8]) -> bool {
    let Some((body, [])) = value(bytes, 0x30) else { return false };
    let Some((&[version], rest)) = value(body, 0x02) else { return false };
    // A modulus, an algorithm, or the key itself; a certificate has no version there, a public key a number of many bytes.
    version <= 1 && matches!(rest.first(), Some(0x02 | 0x04 | 0x30)) && rest.len() > 30
}

/// The content of the first value, if it has this tag, and what follows it (X.690, 8.1).
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    let long = usize::from(first & 0x7f);
    let (length, rest) = match first {
        0..0x80 => (long, rest),
        _ if (1..=4).contains(&long) => {
            let (length, rest) = rest.split_at_checked(long)?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

/// Dropbear's own format: the name of the algorithm as SSH writes it (RFC 4251), then numbers.
fn is_dropbear(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let name = rest.get(..u32::from_be_bytes(*length) as usize).unwrap_or_default();
    [&b"ssh-"[..], b"ecdsa-"].iter().any(|start| name.starts_with(start)) && name.len() < 64
}

fn is_public(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    // An OpenPGP key: tag 6 in the old or the new format (RFC 9580, 4.2).
    let packet = matches!(bytes.first(), Some(0x98 | 0x99 | 0xc6));
    packet || PUBLIC.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;

    #[test]
    fn keys_are_known_by_their_format() {
        let der = |version: u8, next: u8| [&[0x30, 0x26, 2, 1, version, next, 0x21][..], &[7; 33]].concat();
        let dropbear = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 64], &[9; 64]].concat();
        for (bytes, expected) in [
            (b"-----BEGIN PRIVATE KEY-----\nMIIE\n".to_vec(), true),
            (b"x\n-----BEGIN OPENSSH PRIVATE KEY-----\n".to_vec(), true),
            (b"-----BEGIN CERTIFICATE-----\n".to_vec(), false),
            (b"# -----BEGIN PRIVATE KEY-----\n".to_vec(), false),
            (der(0, 2), true),
            (der(1, 4), true),
            (der(0, 0x30), true),
            (der(2, 2), false),
            (der(0, 0xa0), false),
            ([der(0, 2), vec![0]].concat(), false),
            (dropbear.clone(), true),
            (dropbear[..9].to_vec(), false),
            (vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], false),
        ] {
            assert_eq!(is_private_key(&bytes), expected, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn what_no_package_ships_is_known_by_its_name() {
        let scratch = Scratch::new("kinds");
        let tree = scratch.tree();
        let lists = "/etc/shipped.key\n/etc/dropbear\n";
        for directory in ["etc/dropbear", "etc/apt", "var/lib/dpkg/info", "var/lib/unbound"] {
            tree.directory(directory).unwrap();
        }
        for (path, content) in [
            ("var/lib/dpkg/info/a.list", lists),
            ("etc/shipped.key", "0123456789abcdef"),
            ("etc/made.key", "key \"rndc-key\" { secret \"x\"; };"),
            ("etc/dropbear/dropbear_rsa_host_key", "\0\0binary"),
            ("etc/krb5.keytab", "\x05\x02"),
            ("etc/apt/vendor.key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"),
            ("var/lib/unbound/root.key", ".\t172800\tIN\tDNSKEY\t257 3 8 AwEA\n"),
            ("etc/dropbear/empty.key", ""),
        ] {
            tree.put(path, content.as_bytes(), 0o600).unwrap();
        }
        let found = find(&tree, &Makers::read(&tree).unwrap()).unwrap();
        assert_eq!(found, ["/etc/dropbear/dropbear_rsa_host_key", "/etc/krb5.keytab", "/etc/made.key"]);
    }
}

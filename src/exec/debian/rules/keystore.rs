//! Java's bundle of certificates: each entry holds the moment at which it was added.
//!
//! Format: "JKS", as `sun.security.provider.JavaKeyStore` of OpenJDK writes it: magic, version and count as 32-bit
//! numbers; of each certificate a tag (2), its alias, milliseconds since 1970, the type `X.509` and the certificate;
//! last a SHA-1 over the password, a constant and everything before.

use sha1::{Digest, Sha1};

use super::RuleInput;
use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree};

/// `ca-certificates-java` writes it there, with this password, which is Java's own default.
const PATH: &str = "etc/ssl/certs/java/cacerts";
const PASSWORD: &str = "changeit";
const WHITENER: &[u8] = b"Mighty Aphrodite";
const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const CERTIFICATE: u32 = 2;
const SUM: usize = 20;
/// Debian's whole bundle takes 170 KB.
const LIMIT: u64 = 16 << 20;

/// Sorts the certificates by alias and dates them to the epoch.
pub(super) fn date(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    if !tree.stat(PATH)?.is_some_and(|stat| stat.file()) {
        return Ok(());
    }
    let Some(bytes) = tree.bytes(PATH, LIMIT)? else { return Ok(()) };
    let millis = terms.epoch.0.saturating_mul(1000);
    let odd = || RootError::from(StepFailure::input(format!("/{PATH} is not a supported Java keystore")));
    Ok(tree.put(PATH, &rewrite(&bytes, millis).ok_or_else(odd)?, 0o644)?)
}

/// The keystore with other dates; `None` when it is damaged, has another password, or holds private keys.
fn rewrite(bytes: &[u8], millis: i64) -> Option<Vec<u8>> {
    let (body, found) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    if sum(body) != *found {
        return None;
    }
    let mut rest = body;
    if number(&mut rest)? != MAGIC || number(&mut rest)? != VERSION {
        return None;
    }
    let count = number(&mut rest)?;
    let mut entries: Vec<(&[u8], &[u8])> = Vec::new();
    for _ in 0..count {
        if number(&mut rest)? != CERTIFICATE {
            return None;
        }
        let alias = text(&mut rest)?;
        take(&mut rest, 8)?;
        let start = rest;
        text(&mut rest)?;
        let length = number(&mut rest)? as usize;
        take(&mut rest, length)?;
        entries.push((alias, &start[..start.len() - rest.len()]));
    }
    entries.sort_unstable();
    let mut out: Vec<u8> = [MAGIC, VERSION, count].iter().flat_map(|number| number.to_be_bytes()).collect();
    for (alias, certificate) in entries {
        out.extend(CERTIFICATE.to_be_bytes());
        out.extend(u16::try_from(alias.len()).ok()?.to_be_bytes());
        out.extend_from_slice(alias);
        out.extend(millis.to_be_bytes());
        out.extend_from_slice(certificate);
    }
    out.extend(sum(&out));
    rest.is_empty().then_some(out)
}

fn sum(body: &[u8]) -> [u8; SUM] {
    let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    Sha1::new().chain_update(password).chain_update(WHITENER).chain_update(body).finalize().into()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

/// A string with its length before it, in 16 bits.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    take(rest, usize::from(length))
}

#[cfg(test)]
pub(in crate::exec::debian) mod tests {
    use super::*;

    pub(in crate::exec::debian) fn store(entries: &[(&str, i64)]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let mut bytes: Vec<u8> = [MAGIC, VERSION, count].iter().flat_map(|number| number.to_be_bytes()).collect();
        for (alias, millis) in entries {
            bytes.extend([0, 0, 0, 2, 0, u8::try_from(alias.len()).unwrap()]);
            bytes.extend(alias.bytes());
            bytes.extend(millis.to_be_bytes());
            bytes.extend(b"\0\x05X.509\0\0\0\x03der");
        }
        bytes.extend(sum(&bytes));
        bytes
    }

    #[test]
    fn order_and_dates_are_forgotten() {
        let expected = store(&[("a", 7), ("b", 7)]);
        assert_eq!(rewrite(&store(&[("b", 1), ("a", 2)]), 7), Some(expected.clone()));
        assert_eq!(rewrite(&expected, 7), Some(expected));
    }

    #[test]
    fn damage_is_noticed() {
        let good = store(&[("a", 7)]);
        for cut in 0..good.len() {
            assert_eq!(rewrite(&good[..cut], 7), None);
        }
        let mut bad = good;
        bad[20] ^= 1;
        assert_eq!(rewrite(&bad, 7), None);
    }
}

//! A rule about keys that no rule knows: refused, since nobody can say who else has them.

use super::RuleInput;
use crate::exec::failure::StepFailure;
use crate::exec::tree::{Go, Place, RootError, Stat, Tree};

/// Where scripts leave what belongs to a machine. Below /usr there are only examples, which packages ship.
const PLACES: [&str; 4] = ["etc", "root", "srv", "var"];
/// PEM (RFC 7468) and OpenSSH spell private keys like this, of whatever kind.
const MARKS: [&str; 2] = ["-----BEGIN ", "PRIVATE KEY-----"];
/// An RSA key of 16384 bits takes 13 KB.
const LARGEST: u64 = 1 << 16;

/// A private key that the recipe did not bring was made by a script during this build, or is the same in every Debian.
pub(super) fn private(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    let mut found = Vec::new();
    for place in PLACES {
        tree.visit(place, &mut |place, stat| {
            if is_key(place, stat) {
                found.push(format!("/{}", place.path().display()));
            }
            Ok::<Go, RootError>(Go::Down)
        })?;
    }
    found.retain(|path| terms.files.iter().all(|file| file.path != *path));
    match found.first() {
        None => Ok(()),
        Some(path) => Err(StepFailure::input(format!(
            "{path} is a private key that a package made: every machine of this image would have it, and every build another"
        ))
        .help("leave the package out, or give the key as a `file` of the recipe")
        .into()),
    }
}

fn is_key(place: &Place, stat: &Stat) -> bool {
    let small = stat.file() && stat.size <= LARGEST;
    // What is not text is no PEM.
    let text = if small { place.text().ok().flatten().unwrap_or_default() } else { String::new() };
    text.lines().any(|line| line.starts_with(MARKS[0]) && line.trim_end().ends_with(MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;

    #[test]
    fn keys_are_known_by_their_first_line() {
        let scratch = Scratch::new("keys");
        let tree = scratch.tree();
        for (text, expected) in [
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n", true),
            ("x\n-----BEGIN OPENSSH PRIVATE KEY-----\n", true),
            ("-----BEGIN CERTIFICATE-----\n", false),
            ("# -----BEGIN PRIVATE KEY-----\n", false),
        ] {
            tree.put("key", text.as_bytes(), 0o600).unwrap();
            let place = tree.at("key").unwrap();
            assert_eq!(is_key(&place, &place.stat().unwrap()), expected, "{text}");
        }
    }
}

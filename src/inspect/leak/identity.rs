//! UUIDs in files that the build made: one that neither the lock, the recipe nor an input knows was made at random.
//!
//! Packages are full of UUIDs (partition types, journal messages), so only what was made or changed here is searched: such
//! files bear the epoch's time in the tree's archive.

/// Characters of a UUID as text: five groups of hexadecimal digits (RFC 9562).
pub(super) const LENGTH: usize = 36;
const GROUPS: [u8; 5] = [8, 4, 4, 4, 12];

/// Which UUIDs are there on purpose, and which files to search.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// The time of everything that the build made.
    pub epoch: i64,
    /// Texts that may name UUIDs: recipe, lock, what the plan derives from the seed.
    pub known: Vec<Vec<u8>>,
}

impl Identities {
    /// Whether a UUID was made by nobody knows whom. All zeros and all ones are placeholders.
    pub(super) fn unknown(&self, uuid: &[u8; LENGTH]) -> bool {
        let placeholder =
            |digit: u8| uuid.iter().all(|byte| matches!(*byte, b'-') || byte.eq_ignore_ascii_case(&digit));
        let named = |text: &Vec<u8>| text.windows(LENGTH).any(|window| window.eq_ignore_ascii_case(uuid));
        !placeholder(b'0') && !placeholder(b'f') && !self.known.iter().any(named)
    }
}

/// Finds UUIDs in a stream that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Uuids {
    offset: u64,
    text: Vec<u8>,
    /// Inside a word that is none.
    word: bool,
}

impl Uuids {
    /// The next piece; `found` hears each UUID and its offset.
    pub(super) fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(&[u8; LENGTH], u64)) {
        for &byte in bytes {
            let part = byte.is_ascii_alphanumeric() || byte == b'-';
            if !part {
                self.end(found);
            } else if !self.word {
                self.text.push(byte);
                if !expected(self.text.len() - 1, byte) {
                    self.word = true;
                }
            }
            self.offset += 1;
        }
    }

    /// The end of a word, or of the stream.
    pub(super) fn end(&mut self, found: &mut dyn FnMut(&[u8; LENGTH], u64)) {
        if !self.word
            && let Ok(uuid) = <&[u8; LENGTH]>::try_from(self.text.as_slice())
        {
            found(uuid, self.offset - LENGTH as u64);
        }
        self.text.clear();
        self.word = false;
    }
}

/// Whether a UUID may have this byte at this place; none goes on behind its end.
fn expected(at: usize, byte: u8) -> bool {
    let mut start = 0;
    for group in GROUPS {
        let end = start + usize::from(group);
        match at {
            _ if at < end => return byte.is_ascii_hexdigit(),
            _ if at == end && end < LENGTH => return byte == b'-',
            _ => start = end + 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pieces: &[&str]) -> Vec<(String, u64)> {
        let mut uuids = Uuids::default();
        let mut all = Vec::new();
        let mut hear = |uuid: &[u8; LENGTH], at| all.push((String::from_utf8_lossy(uuid).into_owned(), at));
        pieces.iter().for_each(|piece| uuids.feed(piece.as_bytes(), &mut hear));
        uuids.end(&mut hear);
        all
    }

    const ONE: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    #[test]
    fn uuids_stand_alone_and_may_come_in_pieces() {
        assert_eq!(found(&[ONE]), [(ONE.to_owned(), 0)]);
        assert_eq!(found(&["UUID=0f8fad5b-d9", "cb-469f-a165-70867728950e /"]), [(ONE.to_owned(), 5)]);
        let upper = ONE.to_uppercase();
        assert_eq!(found(&["a ", &upper, "\n"]), [(upper.clone(), 2)]);
        for none in [
            format!("x{ONE}"),
            format!("{ONE}0"),
            format!("{ONE}-"),
            ONE.replace("-a165", "a165-"),
            ONE[1..].to_owned(),
        ] {
            assert_eq!(found(&[&none]), [], "{none}");
        }
    }

    #[test]
    fn what_is_known_or_a_placeholder_is_no_trace() {
        let uuid = |text: &str| <[u8; LENGTH]>::try_from(text.as_bytes()).unwrap();
        let identities = Identities { epoch: 0, known: vec![format!("fs = \"{}\"", ONE.to_uppercase()).into_bytes()] };
        assert!(!identities.unknown(&uuid(ONE)));
        assert!(!identities.unknown(&uuid("00000000-0000-0000-0000-000000000000")));
        assert!(identities.unknown(&uuid(&ONE.replace("0f8f", "0f80"))));
    }
}

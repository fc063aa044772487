//! Secret keys of minisign, as files with or without a passphrase.
//!
//! minisign hides key number, key and checksum behind bytes that scrypt makes of the passphrase. How much work that is, the file says in
//! the numbers that libsodium's `crypto_pwhash_scryptsalsa208sha256` takes; they are bounded here, for a file may come from anybody.

use blake2::Digest as _;

use super::SignatureError;
use super::minisign::{HASHED, MinisignPublic, PLAIN, TRUSTED, UNTRUSTED, hash, split};
use crate::base::base64;

const PRIVATE: &str = "a minisign secret key";
/// Bytes of a secret key's file: algorithms, salt and costs of a passphrase, key number, key, checksum.
const PRIVATE_SIZE: usize = 158;
/// Those that a passphrase hides.
const HIDDEN: usize = 104;
/// minisign's own keys need 1 GiB and one round of it.
const MOST_MEMORY: u64 = 1 << 30;
const MOST_ROUNDS: u64 = 16;
/// What libsodium never changes: blocks of 1 KiB.
const BLOCKS: u64 = 8;

/// scrypt's parameters.
#[derive(Debug, PartialEq, Eq)]
struct Costs {
    log_n: u8,
    rounds: u32,
}

impl Costs {
    /// libsodium's rule: as much memory as may be used, or less where that would be more work than wanted.
    fn of(operations: u64, memory: u64) -> Result<Costs, SignatureError> {
        let operations = operations.max(32_768);
        let few = operations < memory / 32;
        let most = if few { operations / (BLOCKS * 4) } else { memory / (BLOCKS * 128) };
        let log_n = (1..63).find(|log_n| 1_u64 << log_n > most / 2).unwrap_or(63);
        let rounds = if few { 1 } else { (operations / 4 / (1 << log_n)).min(0x3fff_ffff) / BLOCKS };
        let memory = (1_u64 << log_n).saturating_mul(BLOCKS * 128);
        if memory > MOST_MEMORY || !(1..=MOST_ROUNDS).contains(&rounds) {
            return Err(SignatureError::MinisignCosts);
        }
        Ok(Costs { log_n: log_n as u8, rounds: rounds as u32 })
    }

    fn stream(&self, passphrase: &[u8], salt: &[u8]) -> Result<[u8; HIDDEN], SignatureError> {
        let mut stream = [0; HIDDEN];
        let costs = scrypt::Params::new(self.log_n, BLOCKS as u32, self.rounds);
        let costs = costs.map_err(|_| SignatureError::MinisignCosts)?;
        scrypt::scrypt(passphrase, salt, &costs, &mut stream).map_err(|_| SignatureError::MinisignCosts)?;
        Ok(stream)
    }
}

/// A secret key, which no message shows.
pub struct MinisignKey {
    seed: [u8; 32],
    number: [u8; 8],
}

impl MinisignKey {
    /// Whether a text is meant to be one.
    pub fn is_one(text: &str) -> bool {
        let mut lines = text.lines();
        let second = |lines: &mut std::str::Lines<'_>| lines.next().and_then(base64::decode);
        lines.next().is_some_and(|line| line.starts_with(UNTRUSTED))
            && second(&mut lines).is_some_and(|bytes| bytes.len() == PRIVATE_SIZE)
    }

    /// Reads a file of a key, with its passphrase if it has one: [`SignatureError::MinisignPassphrase`] asks for that.
    pub fn read(text: &str, passphrase: Option<&[u8]>) -> Result<MinisignKey, SignatureError> {
        let wrong = SignatureError::Syntax(PRIVATE);
        let bytes = text.lines().nth(1).and_then(base64::decode).filter(|bytes| bytes.len() == PRIVATE_SIZE);
        let bytes = bytes.ok_or(wrong)?;
        let (algorithm, rest) = split::<2>(&bytes);
        let (kdf, rest) = split::<2>(rest);
        let (checksum, rest) = split::<2>(rest);
        if (&algorithm, &checksum) != (PLAIN, b"B2") {
            return Err(SignatureError::Algorithm);
        }
        let (salt, rest) = split::<32>(rest);
        let (operations, rest) = split::<8>(rest);
        let (memory, rest) = split::<8>(rest);
        let (mut hidden, _) = split::<HIDDEN>(rest);
        match (&kdf, passphrase) {
            ([0, 0], _) => {}
            (b"Sc", None) => return Err(SignatureError::MinisignPassphrase),
            (b"Sc", Some(passphrase)) => {
                let costs = Costs::of(u64::from_le_bytes(operations), u64::from_le_bytes(memory))?;
                let stream = costs.stream(passphrase, &salt)?;
                hidden.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
                let (key, sum) = hidden.split_at(HIDDEN - 32);
                let found = blake2::Blake2b::<blake2::digest::consts::U32>::new().chain_update(PLAIN).chain_update(key);
                if found.finalize().as_slice() != sum {
                    return Err(SignatureError::WrongPassphrase);
                }
            }
            _ => return Err(SignatureError::Algorithm),
        }
        let (number, rest) = split::<8>(&hidden);
        let (seed, _public) = split::<32>(rest);
        Ok(MinisignKey { seed, number })
    }

    /// The other half.
    pub fn public(&self) -> MinisignPublic {
        let key = ed25519_dalek::SigningKey::from_bytes(&self.seed).verifying_key().to_bytes();
        MinisignPublic { number: self.number, key }
    }

    /// The plain signature over bytes, which is no signature of minisign's.
    pub fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        super::sign(&self.seed, message)
    }

    /// The text of a signature over a message. The trusted comment, which is signed as well, is one line.
    pub fn sign(&self, message: &[u8], comment: &str) -> String {
        let signature = super::sign(&self.seed, &hash(message));
        let global = super::sign(&self.seed, &[signature.as_slice(), comment.as_bytes()].concat());
        let line = base64::encode(&[HASHED.as_slice(), &self.number, &signature].concat());
        let global = base64::encode(&global);
        format!("{UNTRUSTED}signature of kiln\n{line}\n{TRUSTED}{comment}\n{global}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_libsodium_and_bounded() {
        // Sensitive, as minisign asks for; interactive; less work than memory; and rounds.
        let good =
            [(1 << 25, 1 << 30, 20, 1), (1 << 19, 1 << 24, 14, 1), (32_768, 1 << 24, 10, 1), (1 << 22, 1 << 24, 14, 8)];
        for (operations, memory, log_n, rounds) in good {
            assert_eq!(Costs::of(operations, memory), Ok(Costs { log_n, rounds }), "{operations} {memory}");
        }
        for (operations, memory) in
            [(u64::MAX, u64::MAX), (1 << 26, 1 << 31), (u64::MAX, 1 << 20), (0, 0), (1 << 25, 0)]
        {
            assert_eq!(Costs::of(operations, memory), Err(SignatureError::MinisignCosts), "{operations} {memory}");
        }
    }
}

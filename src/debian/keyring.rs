//! Who may sign an `InRelease`: OpenPGP certificates, and the rules under which a signature of theirs counts.
//!
//! The mathematics is rPGP's; the policy is ours: the signature is by a listed certificate's primary key or by one of its
//! signing subkeys (bound both ways), that key is neither expired nor revoked, every digest involved is SHA-256 or stronger,
//! and only the text that was signed is handed on.

use pgp::composed::{CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

use crate::base::Timestamp;

/// Larger signed documents are refused unread; today's largest are a few hundred kilobytes.
pub const MAX_SIGNED: u64 = 16 << 20;
/// Archives sign with the keys of two or three releases; each signature costs a digest of the whole text.
const MAX_SIGNATURES: usize = 64;
/// A signature may be this much younger than our clock says: clocks differ.
const MAX_CLOCK_SKEW_SECONDS: i64 = 86_400;

/// The certificates that a recipe lists for an archive.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// A document whose signature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text, with LF line ends, and nothing that stood outside the signature.
    pub text: String,
    /// Fingerprints of the certificates that signed it, upper-case hexadecimal, sorted.
    pub signers: Vec<String>,
}

/// Why a keyring or a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file holds no certificate that can be read.
    #[error("{file} is not an OpenPGP certificate: {reason}")]
    NotACertificate { file: String, reason: String },
    /// The document is not a clear-signed text.
    #[error("not a clearsigned document: {0}")]
    NotSigned(String),
    /// Signed, but not by anybody listed.
    #[error("signed by {signers}, but the archive lists only {listed}")]
    Unlisted {
        /// Key ids or fingerprints that the signatures name.
        signers: String,
        /// Fingerprints of the listed certificates.
        listed: String,
    },
    /// Signed by a listed key, but the signature does not count.
    #[error("invalid signature by {signer}: {reason}")]
    Refused {
        /// Fingerprint of the certificate.
        signer: String,
        reason: String,
    },
}

impl Keyring {
    /// Reads certificates, armored or binary; `file` is what errors call it.
    pub fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), KeyError> {
        let bad = |reason: String| KeyError::NotACertificate { file: file.to_owned(), reason };
        let (found, _) =
            SignedPublicKey::from_reader_many(bytes).map_err(|error| bad(shortened(&error.to_string())))?;
        let before = self.certificates.len();
        for certificate in found {
            self.certificates.push(certificate.map_err(|error| bad(shortened(&error.to_string())))?);
        }
        if self.certificates.len() == before { Err(bad("it contains no certificate".to_owned())) } else { Ok(()) }
    }

    /// Fingerprints of the certificates, sorted.
    pub fn fingerprints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.certificates.iter().map(fingerprint).collect();
        all.sort_unstable();
        all
    }

    /// The signed text of a document that at least one listed certificate signed.
    ///
    /// As apt has it: signatures of others say nothing, since archives sign with the keys of several releases, and
    /// neither does one that is worthless by itself (expired, weak, of a revoked key) beside a good one. But a signature of
    /// a listed key that does not fit the text means that the text is not what its signer saw, whoever else signed it.
    /// As gpgv has it: a signature counts only with a digest that the header `Hash` names, where there is one.
    pub fn verify(&self, document: &[u8], now: Timestamp) -> Result<Verified, KeyError> {
        let document = std::str::from_utf8(document).map_err(|_| KeyError::NotSigned("not UTF-8".to_owned()))?;
        // What the parser cannot read it repeats in its error, byte by byte.
        let unsigned = |error: pgp::errors::Error| KeyError::NotSigned(shortened(&error.to_string()));
        let (message, _) = CleartextSignedMessage::from_string(document).map_err(unsigned)?;
        if message.signatures().len() > MAX_SIGNATURES {
            return Err(KeyError::NotSigned(format!("it has more than {MAX_SIGNATURES} signatures")));
        }
        let text = message.signed_text();
        let signed =
            SignedText { text: text.as_bytes(), announced: announced(document), signatures: message.signatures() };
        let signers = self.signers(&signed, now)?;
        Ok(Verified { text: text.replace("\r\n", "\n"), signers })
    }

    /// The same for a document whose signatures are a file of their own: `Release` with `Release.gpg`.
    pub fn verify_detached(&self, document: &[u8], signatures: &[u8], now: Timestamp) -> Result<Verified, KeyError> {
        let text = std::str::from_utf8(document).map_err(|_| KeyError::NotSigned("not UTF-8".to_owned()))?;
        let unsigned = |error: pgp::errors::Error| KeyError::NotSigned(shortened(&error.to_string()));
        let (found, _) = DetachedSignature::from_reader_many(signatures).map_err(unsigned)?;
        let mut signatures = Vec::new();
        for signature in found.take(MAX_SIGNATURES + 1) {
            signatures.push(signature.map_err(unsigned)?.signature);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(KeyError::NotSigned(format!("it has more than {MAX_SIGNATURES} signatures")));
        }
        let signed = SignedText { text: document, announced: Vec::new(), signatures: &signatures };
        let signers = self.signers(&signed, now)?;
        Ok(Verified { text: text.replace("\r\n", "\n"), signers })
    }

    /// Fingerprints of the certificates whose signature counts, sorted; there is at least one.
    fn signers(&self, signed: &SignedText<'_>, now: Timestamp) -> Result<Vec<String>, KeyError> {
        let (mut signers, mut refused) = (Vec::new(), None);
        for signature in signed.signatures {
            for certificate in &self.certificates {
                let signer = fingerprint(certificate);
                match by_certificate(certificate, signature, signed.text, now) {
                    None => {}
                    Some(Ok(())) if !signed.announces(signature) => {
                        let reason = "its digest algorithm is not listed in the `Hash` header".to_owned();
                        refused.get_or_insert(KeyError::Refused { signer, reason });
                    }
                    Some(Ok(())) => signers.push(signer),
                    Some(Err(Flaw::Changed)) => {
                        return Err(KeyError::Refused { signer, reason: BAD_SIGNATURE.to_owned() });
                    }
                    Some(Err(Flaw::Worthless(reason))) => {
                        refused.get_or_insert(KeyError::Refused { signer, reason });
                    }
                }
            }
        }
        signers.sort_unstable();
        signers.dedup();
        match (signers.is_empty(), refused) {
            (false, _) => Ok(signers),
            (true, Some(refused)) => Err(refused),
            (true, None) => Err(self.unlisted(signed.signatures)),
        }
    }

    fn unlisted(&self, signatures: &[Signature]) -> KeyError {
        let names = signatures.iter().map(|signature| match signature.issuer_fingerprint().first() {
            Some(fingerprint) => format!("{fingerprint:X}"),
            None => {
                signature.issuer_key_id().first().map_or("nobody named".to_owned(), |id| id.to_string().to_uppercase())
            }
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        let signers = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        KeyError::Unlisted { signers, listed: self.fingerprints().join(", ") }
    }
}

/// A text, and the signatures that are said to be of it.
struct SignedText<'a> {
    text: &'a [u8],
    /// Digests that its header names; none: any that is strong enough.
    announced: Vec<HashAlgorithm>,
    signatures: &'a [Signature],
}

impl SignedText<'_> {
    fn announces(&self, signature: &Signature) -> bool {
        self.announced.is_empty() || self.announced.iter().any(|hash| signature.hash_alg() == Some(*hash))
    }
}

/// What makes a signature by a listed key no good.
enum Flaw {
    /// The text, or the signature, is not what it was.
    Changed,
    /// It would not count if it fitted.
    Worthless(String),
}

impl From<String> for Flaw {
    fn from(reason: String) -> Flaw {
        Flaw::Worthless(reason)
    }
}

const BAD_SIGNATURE: &str = "it does not match the text; the text or the signature was changed";

/// Bytes of an error of the parser's that are handed on.
const MAX_PARSER_ERROR_BYTES: usize = 200;

fn shortened(text: &str) -> String {
    match text.get(..text.floor_char_boundary(MAX_PARSER_ERROR_BYTES)) {
        Some(beginning) if beginning.len() < text.len() => format!("{beginning}..."),
        _ => text.to_owned(),
    }
}

/// Digests that the header of a clear-signed document names, which is not signed itself. Documents of today may lack it
/// (RFC 9580, section 7.1).
fn announced(document: &str) -> Vec<HashAlgorithm> {
    let header = document.lines().skip(1).take_while(|line| !line.trim().is_empty());
    let values = header.filter_map(|line| line.split_once(':')).flat_map(|(_, values)| values.split(','));
    values.filter_map(|value| value.trim().parse().ok()).collect()
}

fn fingerprint(certificate: &SignedPublicKey) -> String {
    format!("{:X}", certificate.fingerprint())
}

/// `None`: the signature names another key. Otherwise whether it counts, or why not.
fn by_certificate(
    certificate: &SignedPublicKey,
    signature: &Signature,
    text: &[u8],
    now: Timestamp,
) -> Option<Result<(), Flaw>> {
    if issued_by(signature, &certificate.primary_key) {
        let valid = primary_is_valid(certificate, now).map_err(Flaw::from);
        return Some(valid.and_then(|()| counts(signature, &certificate.primary_key, text, now)));
    }
    let subkey = certificate.public_subkeys.iter().find(|subkey| issued_by(signature, &subkey.key))?;
    let valid = primary_is_valid(certificate, now).and_then(|()| subkey_is_valid(certificate, subkey, now));
    Some(valid.map_err(Flaw::from).and_then(|()| counts(signature, &subkey.key, text, now)))
}

/// Only a signature that names its issuer is looked at: one that does not could be tried against every key.
fn issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    signature.issuer_fingerprint().into_iter().any(|issuer| *issuer == key.fingerprint())
        || (signature.issuer_fingerprint().is_empty()
            && signature.issuer_key_id().into_iter().any(|issuer| *issuer == key.legacy_key_id()))
}

fn counts(signature: &Signature, key: &impl VerifyingKey, text: &[u8], now: Timestamp) -> Result<(), Flaw> {
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("it is not a signature of a document".to_owned().into());
    }
    strong(signature)?;
    let created = created(signature)?;
    if created > now.0 + MAX_CLOCK_SKEW_SECONDS {
        return Err(format!("it is dated in the future ({})", Timestamp(created)).into());
    }
    if signature.signature_expiration_time().is_some_and(|lifetime| over(created, lifetime.as_secs(), now)) {
        return Err("it has expired".to_owned().into());
    }
    if created < i64::from(key.created_at().as_secs()) {
        return Err("it is older than its key".to_owned().into());
    }
    signature.verify(key, text).map_err(|_| Flaw::Changed)
}

fn created(signature: &Signature) -> Result<i64, String> {
    signature.created().map(|time| i64::from(time.as_secs())).ok_or_else(|| "it has no date".to_owned())
}

fn strong(signature: &Signature) -> Result<(), String> {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    match signature.hash_alg() {
        Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512) => Ok(()),
        Some(weak) => Err(format!("it uses {weak}, which is weaker than SHA-256")),
        None => Err("it uses an unknown digest algorithm".to_owned()),
    }
}

/// Zero seconds mean for ever (RFC 9580, section 5.2.3.13).
fn over(start: i64, lifetime: u32, now: Timestamp) -> bool {
    lifetime != 0 && start + i64::from(lifetime) <= now.0
}

/// The newest self-signature that holds decides the lifetime; any revocation that holds ends it.
fn primary_is_valid(certificate: &SignedPublicKey, now: Timestamp) -> Result<(), String> {
    let key = &certificate.primary_key;
    let details = &certificate.details;
    if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(key).is_ok()) {
        return Err("its key was revoked".to_owned());
    }
    let direct = details.direct_signatures.iter().filter(|own| own.verify_key(key).is_ok());
    let by_user = details.users.iter().flat_map(|user| {
        let holds =
            |own: &&Signature| own.is_certification() && own.verify_certification(key, Tag::UserId, &user.id).is_ok();
        user.signatures.iter().filter(holds)
    });
    let newest = direct
        .chain(by_user)
        .filter(|own| is_sound(own, now))
        .max_by_key(|own| own.created().map(|time| time.as_secs()));
    let newest = newest.ok_or("its key has no valid self-signature")?;
    let lifetime = newest.key_expiration_time().map_or(0, |lifetime| lifetime.as_secs());
    let start = i64::from(key.created_at().as_secs());
    if over(start, lifetime, now) {
        return Err(format!("its key expired on {}", Timestamp(start + i64::from(lifetime))));
    }
    Ok(())
}

fn is_sound(own: &Signature, now: Timestamp) -> bool {
    let Ok(created) = created(own) else { return false };
    let expired = own.signature_expiration_time().is_some_and(|lifetime| over(created, lifetime.as_secs(), now));
    strong(own).is_ok() && created <= now.0 + MAX_CLOCK_SKEW_SECONDS && !expired
}

/// A signing subkey is bound by its primary key and answers for it (RFC 9580, section 5.2.1.9).
fn subkey_is_valid(certificate: &SignedPublicKey, subkey: &SignedPublicSubKey, now: Timestamp) -> Result<(), String> {
    let (primary, key) = (&certificate.primary_key, &subkey.key);
    let of_type = |wanted: SignatureType| {
        subkey
            .signatures
            .iter()
            .filter(move |own| own.typ() == Some(wanted) && own.verify_subkey_binding(primary, key).is_ok())
    };
    if of_type(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("its subkey was revoked".to_owned());
    }
    let newest = of_type(SignatureType::SubkeyBinding)
        .filter(|own| is_sound(own, now))
        .max_by_key(|own| own.created().map(|time| time.as_secs()))
        .ok_or("its subkey is not bound to the certificate")?;
    let answers = newest.embedded_signature().is_some_and(|own| own.verify_primary_key_binding(key, primary).is_ok());
    if !newest.key_flags().sign() || !answers {
        return Err("its subkey is not for signing".to_owned());
    }
    let lifetime = newest.key_expiration_time().map_or(0, |lifetime| lifetime.as_secs());
    let start = i64::from(key.created_at().as_secs());
    if over(start, lifetime, now) {
        return Err(format!("its subkey expired on {}", Timestamp(start + i64::from(lifetime))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "\\PC{0,40}") {
            let mut keyring = Keyring::default();
            let _ = keyring.add("key", &bytes);
            let _ = keyring.verify(&bytes, Timestamp(0));
            let framed = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n\n{text}\n-----END PGP SIGNATURE-----\n");
            let _ = keyring.verify(framed.as_bytes(), Timestamp(0));
        }
    }
}

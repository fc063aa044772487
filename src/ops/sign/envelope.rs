//! Whose attestation an envelope is: the trusted key that signed it, and what it says of a build.
//!
//! The signature is looked at first: of an envelope that nobody who is trusted has signed, only whom it names is read. Since anybody may
//! send envelopes, the keys that are tried are those that it names, and not all that are listed.

use serde::Deserialize;

use super::trust::{Key, Trust};
use crate::base::{Foreign, Timestamp};
use crate::deliver::attestation::{BuildClaim, ClaimError, PAYLOAD_TYPE};
use crate::format::dsse::{Envelope, EnvelopeError, EnvelopeSignature};
use crate::format::signature;
use crate::ops::error::SignerProblem;

/// Clocks differ.
const DAY: i64 = 86_400;

/// An attestation of somebody who is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct Attestation {
    /// The key itself, in whichever format it is listed.
    pub(in crate::ops) key: [u8; 32],
    /// As the list of trusted keys calls who has it.
    pub(in crate::ops) signer: String,
    /// As `ssh-keygen -l` shows the key.
    pub(in crate::ops) fingerprint: String,
    pub(in crate::ops) claim: BuildClaim,
    /// The signature that counts; the envelope may have others.
    pub(in crate::ops) signature: EnvelopeSignature,
}

/// Why an envelope does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::ops) enum EnvelopeProblem {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("its payload is of type `{}`, not `{PAYLOAD_TYPE}`", Foreign(.0))]
    PayloadType(String),
    /// By nobody, or by others.
    #[error("no signature of it is by a trusted key{}", named(.0))]
    Unknown(Vec<String>),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Signed by one, said to be built by another.
    #[error("signed by {}, but it says that another key built it", Foreign(.0))]
    Builder(String),
    #[error(transparent)]
    Signer(#[from] SignerProblem),
}

impl EnvelopeProblem {
    /// Whether somebody who is listed has signed it.
    pub(in crate::ops) fn is_of_listed_key(&self) -> bool {
        matches!(self, EnvelopeProblem::Claim(_) | EnvelopeProblem::Builder(_) | EnvelopeProblem::Signer(_))
    }
}

fn named(keys: &[String]) -> String {
    let keys: Vec<String> = keys.iter().filter(|key| !key.is_empty()).map(|key| Foreign(key).to_string()).collect();
    if keys.is_empty() { String::new() } else { format!(" (it names {})", keys.join(", ")) }
}

/// Reads the text of an envelope.
pub(in crate::ops) fn attested(text: &[u8], trust: &Trust, now: Timestamp) -> Result<Attestation, EnvelopeProblem> {
    of(&Envelope::read(text)?, trust, now)
}

/// The attestation that an envelope is.
pub(in crate::ops) fn of(envelope: &Envelope, trust: &Trust, now: Timestamp) -> Result<Attestation, EnvelopeProblem> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(EnvelopeProblem::PayloadType(envelope.payload_type.clone()));
    }
    let Some((key, signature)) = signer(envelope, trust) else {
        return Err(EnvelopeProblem::Unknown(envelope.signatures.iter().map(|one| one.key_id.clone()).collect()));
    };
    let claim = BuildClaim::read(&envelope.payload)?;
    // Somebody may sign what another has built; that is no second build.
    if key.builder_id() != claim.builder {
        return Err(EnvelopeProblem::Builder(key.ssh_fingerprint()));
    }
    let signer = trust.signer(&key, &claim.build.recipe, now)?;
    if claim.time.attested.0 > now.0.saturating_add(DAY) {
        return Err(SignerProblem::Future(claim.time.attested).into());
    }
    let fingerprint = key.ssh_fingerprint();
    let signature = EnvelopeSignature { key_id: fingerprint.clone(), signature };
    Ok(Attestation { key: key.ed25519(), signer, fingerprint, claim, signature })
}

/// Of a payload, whom it names as the builder.
#[derive(Deserialize)]
struct NamedBuilder {
    predicate: NamedPredicate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedPredicate {
    run_details: NamedRun,
}

#[derive(Deserialize)]
struct NamedRun {
    builder: NamedId,
}

#[derive(Deserialize)]
struct NamedId {
    id: String,
}

/// The listed key that has signed it, and its signature: that of the builder whom the payload names, if it has signed; else one that
/// the envelope names beside its signature, so that it can be told who vouches for what is not theirs.
fn signer(envelope: &Envelope, trust: &Trust) -> Option<(Key, Vec<u8>)> {
    let bytes = envelope.signed_bytes();
    let has_signed =
        |key: &Key, one: &EnvelopeSignature| signature::verify_bytes(&key.ed25519(), &bytes, &one.signature).is_ok();
    let named = serde_json::from_slice::<NamedBuilder>(&envelope.payload).ok();
    let builder = named.and_then(|named| trust.builder(&named.predicate.run_details.builder.id));
    let of_builder = builder.and_then(|key| {
        let signature = envelope.signatures.iter().find(|one| has_signed(&key, one))?;
        Some((key, signature.signature.clone()))
    });
    of_builder.or_else(|| {
        envelope.signatures.iter().find_map(|one| {
            let key = trust.fingerprint(&one.key_id).filter(|key| has_signed(key, one))?;
            Some((key, one.signature.clone()))
        })
    })
}

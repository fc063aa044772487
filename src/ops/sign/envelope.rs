//! Whose attestation an envelope is: the trusted key that signed it, and what it says of a build.
//!
//! The signature is looked at first: of an envelope that nobody who is trusted has signed, only what it calls its keys is read.

use super::trust::{Key, Trust};
use crate::base::{Foreign, Timestamp};
use crate::deliver::attestation::{BuildClaim, ClaimError, PAYLOAD_TYPE};
use crate::format::dsse::{Envelope, EnvelopeError};
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
    let signers = signers(envelope, trust);
    if signers.is_empty() {
        return Err(EnvelopeProblem::Unknown(envelope.signatures.iter().map(|one| one.key_id.clone()).collect()));
    }
    let claim = BuildClaim::read(&envelope.payload)?;
    // Somebody may sign what another has built; that is no second build.
    let Some(key) = signers.iter().find(|key| key.builder_id() == claim.builder) else {
        return Err(EnvelopeProblem::Builder(signers[0].ssh_fingerprint()));
    };
    let signer = trust.signer(key, &claim.build.recipe, now)?;
    if claim.attested.0 > now.0.saturating_add(DAY) {
        return Err(SignerProblem::Future(claim.attested).into());
    }
    Ok(Attestation { key: key.ed25519(), signer, fingerprint: key.ssh_fingerprint(), claim })
}

/// The listed keys that have signed it. What the envelope calls its keys is not asked.
fn signers(envelope: &Envelope, trust: &Trust) -> Vec<Key> {
    let bytes = envelope.signed_bytes();
    let has_signed = |key: &Key| {
        let of = |signature: &[u8]| signature::verify_bytes(&key.ed25519(), &bytes, signature).is_ok();
        envelope.signatures.iter().any(|one| of(&one.signature))
    };
    trust.listed().into_iter().filter(has_signed).collect()
}

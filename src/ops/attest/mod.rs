//! Attestations: what was built here is signed, and a build is accepted if enough others have built the same.
//!
//! Input: a recipe or a result directory, keys, places with attestations. Output: an attestation, or a verdict with everybody's
//! results. An attestation is never believed to be about what it was found beside: it names its recipe, lock and files itself.

mod collect;
mod make;
mod quorum;
mod seen;
mod tally;
mod web;

pub use make::{AttestRequest, Attested, attest};
pub(super) use quorum::verify_known;
pub use quorum::{QuorumReport, QuorumRequest, verify};
pub use seen::Older;
pub use tally::{Attester, OtherResult};

//! The attestations that come with a build which is pulled, and those that lie beside it already.
//!
//! Input: texts from anybody who may push, and envelopes of the directory. Output: the lines of the file beside the build: all by trusted
//! keys, whichever files they say the build has, each once and with nothing but the signature that counts; and some by others, who
//! may be trusted later. Strangers' copies and additions take no room from what a trusted key has signed.

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::{Digest, Timestamp};
use crate::deliver::attestation::{self, BuildClaim, BuildIdentity, FILE_LIMIT};
use crate::deliver::manifest::Manifest;
use crate::format::dsse::Envelope;
use crate::ops::error::OpsError;
use crate::ops::sign::{Trust, envelope};

/// Attestations by others than trusted keys that are pulled with a build.
const MAX_OTHERS: usize = 32;

/// What will lie beside a build.
pub(super) struct PulledAttestations {
    build: BuildIdentity,
    trust: Trust,
    now: Timestamp,
    /// By trusted keys.
    known: Vec<Envelope>,
    /// By others, in the directory already.
    there: Vec<Envelope>,
    /// By others.
    others: Vec<Envelope>,
    /// Payloads of trusted keys that were taken, and the key.
    seen: BTreeSet<(Digest, [u8; 32])>,
    /// How many were not read.
    unread: usize,
}

impl PulledAttestations {
    pub(super) fn new(manifest: &Manifest, trust: Trust, now: Timestamp) -> PulledAttestations {
        let (known, there, others) = (Vec::new(), Vec::new(), Vec::new());
        let build = BuildIdentity::of(manifest);
        PulledAttestations { build, trust, now, known, there, others, seen: BTreeSet::new(), unread: 0 }
    }

    /// Takes the text of an attestation; what is none of this build is passed over.
    pub(super) fn take(&mut self, text: &[u8]) {
        if let Some(other) = Envelope::read(text).ok().and_then(|envelope| self.add(envelope)) {
            let is_there = self.others.contains(&other);
            self.others.extend(Some(other).filter(|_| !is_there));
        }
    }

    /// Notes that a place has more, which were not read.
    pub(super) fn left_out(&mut self, count: usize) {
        self.unread += count;
    }

    /// Takes those that lie beside the same build already.
    pub(super) fn take_beside(&mut self, directory: &Path, manifest: &Manifest) -> Result<(), OpsError> {
        for envelope in attestation::all_beside(directory, manifest)? {
            if let Some(other) = self.add(envelope) {
                self.others.retain(|one| *one != other);
                self.there.push(other);
            }
        }
        Ok(())
    }

    /// Keeps an envelope by a trusted key; hands back one by somebody else.
    fn add(&mut self, envelope: Envelope) -> Option<Envelope> {
        match envelope::of(&envelope, &self.trust, self.now) {
            Ok(one) if one.claim.build == self.build => {
                if self.seen.insert((Digest::of(&envelope.payload), one.key)) {
                    self.known.push(Envelope { signatures: vec![one.signature], ..envelope });
                }
                None
            }
            Ok(_) => None,
            Err(_) => BuildClaim::read(&envelope.payload).is_ok_and(|it| it.build == self.build).then_some(envelope),
        }
    }

    /// The lines of the file, which is never too large to be read: what is huge takes nothing from what is not.
    pub(super) fn lines(&self) -> Vec<String> {
        let sorted = |envelopes: &[Envelope]| {
            let mut lines: Vec<String> = envelopes.iter().map(Envelope::write).collect();
            lines.sort_by_key(String::len);
            lines
        };
        let others = sorted(&self.others).into_iter().take(MAX_OTHERS);
        let mut room = FILE_LIMIT;
        let fits = |line: &String| match room.checked_sub(line.len() as u64) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        sorted(&self.known).into_iter().chain(sorted(&self.there)).chain(others).filter(fits).collect()
    }

    /// How many the file does not have.
    pub(super) fn left(&self) -> usize {
        self.unread + self.known.len() + self.there.len() + self.others.len() - self.lines().len()
    }
}

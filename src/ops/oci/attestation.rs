//! Attestations as artifacts that refer to a build: pushed from beside it, listed for whoever counts them, and pulled with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::ATTESTATION;
use super::place::{Place, Reach, telling};
use super::referrer::{ReadReferrers, Referrer, ReferrerKind, ReferrerReader};
use crate::deliver::attestation::{self, BuildClaim, LIMIT, PREDICATE_TYPE};
use crate::deliver::manifest::Manifest;
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::format::dsse::Envelope;
use crate::oci::{ArtifactManifest, Descriptor, Reference, Rights};
use crate::ops::error::OpsError;
use crate::ops::session::Session;
use crate::ops::sign::{Trust, envelope};
use crate::world::OutputDirectory;

/// The name of the file in each.
const TITLE: &str = "attestation.intoto.json";
/// What other tools look for.
const PREDICATE: &str = "in-toto.io/predicate-type";
/// Attestations by others than trusted keys that are pulled with a build.
const MAX_OTHERS: usize = 32;

/// The attestations beside a build, as they are pushed.
pub(super) fn of_directory(directory: &Path, manifest: &Manifest) -> Result<Vec<Referrer>, OpsError> {
    let referrer = |envelope: Envelope| {
        let annotations = BTreeMap::from([(PREDICATE.to_owned(), PREDICATE_TYPE.to_owned())]);
        Referrer { annotations, ..Referrer::file(ReferrerKind::Attestation, (TITLE, envelope.write().into_bytes())) }
    };
    Ok(attestation::all_beside(directory, manifest)?.into_iter().map(referrer).collect())
}

/// Hands on the texts of all attestations that refer to an artifact, whatever they say; how many were left out.
pub(in crate::ops) fn all(
    session: &Session<'_>,
    (reference, plain_http): (&Reference, bool),
    take: &mut dyn FnMut(Vec<u8>),
) -> Result<usize, OpsError> {
    let _running = Interruptible::start(RunningWork::Steps);
    let told = telling(session);
    let place = Place::open(session, (reference, Rights::Pull), &Reach { plain_http, mount_from: None }, &told)?;
    let (subject, _) = place.manifest(reference)?;
    let read = referring(&place, &subject, take)?;
    match read.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(read.left),
    }
}

fn referring(
    place: &Place<'_>,
    subject: &Descriptor,
    take: &mut dyn FnMut(Vec<u8>),
) -> Result<ReadReferrers, OpsError> {
    ReferrerReader::all(place, (subject, ReferrerKind::Attestation), &mut |reader, artifact: &ArtifactManifest| {
        for layer in artifact.layers.iter().filter(|layer| layer.media_type == ATTESTATION) {
            take(reader.layer(layer, LIMIT)?);
        }
        Ok(())
    })
}

/// The attestations of a build that are pulled with it: all by trusted keys, and some by others, who may be trusted later.
pub(super) fn pulled(
    session: &Session<'_>,
    (place, subject): (&Place<'_>, &Descriptor),
    (manifest, trusted): (&Manifest, &[PathBuf]),
) -> Result<Vec<Envelope>, OpsError> {
    let (trust, now) = (Trust::any(session.world, trusted)?, session.world.now());
    let (mut known, mut others) = (Vec::new(), Vec::new());
    referring(place, subject, &mut |text| {
        let Ok(envelope) = Envelope::read(&text) else { return };
        if !BuildClaim::read(&envelope.payload).is_ok_and(|claim| claim.is_of(manifest)) {
            return;
        }
        if envelope::of(&envelope, &trust, now).is_ok() {
            known.push(envelope);
        } else if others.len() < MAX_OTHERS {
            others.push(envelope);
        }
    })?;
    known.extend(others);
    Ok(known)
}

/// Adds those that lie beside the same build already.
pub(super) fn merge(envelopes: &mut Vec<Envelope>, directory: &Path, manifest: &Manifest) {
    let there = attestation::all_beside(directory, manifest).unwrap_or_default();
    envelopes.extend(there.into_iter().filter(|one| !envelopes.contains(one)).collect::<Vec<_>>());
}

/// Writes the attestations of a build beside it, in the place of those of an earlier one.
pub(super) fn write(directory: &Path, envelopes: &[Envelope]) -> Result<(), OpsError> {
    let (home, name) = (OutputDirectory::open(directory)?, OsStr::new(attestation::FILE));
    let text: String = envelopes.iter().map(Envelope::write).collect();
    match envelopes.is_empty() {
        true => home.remove(name)?,
        false => home.write(name, text.as_bytes(), 0o644)?,
    }
    Ok(())
}

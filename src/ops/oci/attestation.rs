//! Attestations as artifacts that refer to a build: pushed from beside it, listed for whoever counts them, and pulled with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::ATTESTATION;
use super::place::{Place, Reach, telling};
use super::pulled::PulledAttestations;
use super::referrer::{ReadReferrers, Referrer, ReferrerKind, ReferrerReader};
use crate::deliver::attestation::{self, LIMIT, PREDICATE_TYPE};
use crate::deliver::manifest::Manifest;
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::format::dsse::Envelope;
use crate::oci::{ArtifactManifest, Descriptor, Reference, Rights};
use crate::ops::error::OpsError;
use crate::ops::session::Session;
use crate::ops::sign::Trust;
use crate::world::OutputDirectory;

/// The name of the file in each.
const TITLE: &str = "attestation.intoto.json";
/// What other tools look for.
const PREDICATE: &str = "in-toto.io/predicate-type";

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
    let mut read = BTreeSet::new();
    ReferrerReader::all(place, (subject, ReferrerKind::Attestation), &mut |reader, artifact: &ArtifactManifest| {
        // An attestation has one, and a blob that several name says the same each time.
        let Some(layer) = artifact.layers.iter().find(|layer| layer.media_type == ATTESTATION) else { return Ok(()) };
        if read.insert(layer.digest.0) {
            take(reader.layer(layer, LIMIT)?);
        }
        Ok(())
    })
}

/// The attestations of a build that are pulled with it.
pub(super) fn pulled(
    session: &Session<'_>,
    (place, subject): (&Place<'_>, &Descriptor),
    (manifest, trusted): (&Manifest, &[PathBuf]),
) -> Result<PulledAttestations, OpsError> {
    let trust = Trust::any(session.world, trusted)?;
    let mut pulled = PulledAttestations::new(manifest, trust, session.world.now());
    let read = referring(place, subject, &mut |text| pulled.take(&text))?;
    pulled.left_out(read.left);
    Ok(pulled)
}

/// Writes the attestations of a build beside it, a line each, in the place of those of an earlier one.
pub(super) fn write(directory: &Path, lines: &[String]) -> Result<(), OpsError> {
    let (home, name) = (OutputDirectory::open(directory)?, OsStr::new(attestation::FILE));
    match lines.is_empty() {
        true => home.remove(name)?,
        false => home.write(name, lines.concat().as_bytes(), 0o644)?,
    }
    Ok(())
}

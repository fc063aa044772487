//! `kiln attest`: builds a recipe with nobody else's results, or takes a directory that was built so, and signs what came out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::{Digest, Timestamp};
use crate::deliver::attestation::{self, AttestedTime, BuildClaim, PAYLOAD_TYPE};
use crate::deliver::manifest::Manifest;
use crate::format::dsse::{self, Envelope, EnvelopeSignature};
use crate::format::signature;
use crate::lock::{self, Lock};
use crate::ops::error::{AttestError, OpsError};
use crate::ops::options::{BuildOptions, CacheOptions, CacheUse, Incremental, RecipeOptions};
use crate::ops::session::Session;
use crate::ops::sign::{Key, KeyFile, SigningKey, unchanged};
use crate::ops::target::{ExistingFile, TextTarget, WrittenText};
use crate::ops::{build, load, local, locked, project, witness};
use crate::recipe::local::LocalReader;
use crate::world::{OutputDirectory, WorldError};

const DAY: i64 = 86_400;

/// What is attested, and by whom.
#[derive(Debug, Clone, Default)]
pub struct AttestRequest {
    /// A recipe, or a result directory that was built here; the lock may be named for either.
    pub recipe: RecipeOptions,
    /// How a recipe is built.
    pub build: BuildOptions,
    /// Whose signature it will be.
    pub key: KeyFile,
    /// For how many days it counts; for ever when not given.
    pub days: Option<u32>,
    /// Where the envelope is written to, if not beside the build.
    pub output: Option<PathBuf>,
    /// What happens to a file that is there.
    pub existing: ExistingFile,
}

/// What was attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attested {
    /// The recipe.
    pub recipe: String,
    /// Digest of the lock's inputs.
    pub lock: Digest,
    /// How many files the build has.
    pub artifacts: usize,
    /// The key, as `ssh-keygen -l` shows it.
    pub key: String,
    /// What the attestation calls the builder.
    pub builder: String,
    /// From when on it no longer counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Where the attestation is, unless the caller writes it to standard output.
    pub file: Option<PathBuf>,
    /// That attestation.
    #[serde(skip)]
    pub handed: Option<String>,
}

/// A build whose every step this store has carried out.
struct OwnBuild {
    directory: PathBuf,
    manifest: Manifest,
    lock: Lock,
}

/// Attests.
pub fn attest(session: &Session<'_>, request: &AttestRequest) -> Result<Attested, OpsError> {
    let key = SigningKey::open(session.world, &request.key)?;
    let target = request.output.as_deref().map(|path| TextTarget::open(path, request.existing)).transpose()?;
    let own = match request.recipe.path.is_dir() {
        true => of_directory(session, request)?,
        false => of_recipe(session, request)?,
    };
    let OwnBuild { directory, manifest, lock } = &own;
    let public = key.public();
    let builder = public.builder_id();
    let attested = session.world.now();
    let expires = request.days.map(|days| Timestamp(attested.0 + i64::from(days) * DAY));
    let time = AttestedTime { attested, expires };
    let payload = attestation::statement((manifest, lock), &builder, time).into_bytes();
    let signature = key.sign_bytes(&dsse::signed_bytes(PAYLOAD_TYPE, &payload))?.to_vec();
    let signatures = vec![EnvelopeSignature { key_id: public.ssh_fingerprint(), signature }];
    let envelope = Envelope { payload_type: PAYLOAD_TYPE.to_owned(), payload, signatures };
    let (file, handed) = match &target {
        Some(target) => match target.write(&envelope.write())? {
            WrittenText::There => (request.output.clone(), None),
            WrittenText::Handed => (None, Some(envelope.write())),
        },
        None => (Some(add(directory, manifest, (&envelope, &public))?), None),
    };
    let (recipe, lock, artifacts) = (manifest.recipe.clone(), manifest.lock, manifest.artifacts.len());
    Ok(Attested { recipe, lock, artifacts, key: public.ssh_fingerprint(), builder, expires, file, handed })
}

/// Builds with the results of this store's own steps alone: what was taken from a cache before is built again.
fn of_recipe(session: &Session<'_>, request: &AttestRequest) -> Result<OwnBuild, OpsError> {
    let options = &request.build;
    let CacheOptions { places, trusted, .. } = &options.caches;
    let stated = [
        ("--cache", !places.is_empty()),
        ("--trusted-keys", !trusted.is_empty()),
        ("--incremental", options.incremental != Incremental::None),
    ];
    if let Some((option, _)) = stated.iter().find(|(_, stated)| *stated) {
        return Err(AttestError::Option(option).into());
    }
    let caches = CacheOptions { wanted: CacheUse::Nothing, ..CacheOptions::default() };
    let ready = load::ready(session, &request.recipe)?;
    local::verifiable(&ready.loaded.recipe)?;
    let directory = project::result_path(&request.recipe.path);
    let built = build::build(&ready, &BuildOptions { caches, ..options.clone() }, &directory)?;
    if !witness::is_own(&built.manifest, &built.realized) {
        return Err(AttestError::NotOwn(directory).into());
    }
    // A first build adds to the lock.
    let lock = load::lock_of(&ready.loaded)?;
    if built.manifest.lock != lock::inputs_digest(&lock) {
        return Err(AttestError::OtherLock(directory).into());
    }
    Ok(OwnBuild { directory, manifest: built.manifest, lock })
}

/// Takes a directory that this store has built, with nobody else's results, and that nobody has changed since.
fn of_directory(session: &Session<'_>, request: &AttestRequest) -> Result<OwnBuild, OpsError> {
    let directory = request.recipe.path.clone();
    request.build.without_build(&directory)?;
    RecipeOptions { lock: None, ..request.recipe.clone() }.directory()?;
    let (manifest, _) = unchanged(session, &directory)?;
    if let Some(name) = manifest.local.keys().next() {
        return Err(AttestError::Local { directory, reader: LocalReader::named(name) }.into());
    }
    if !witness::has(&load::open_store(session.world)?, &manifest) {
        return Err(AttestError::NotOwn(directory).into());
    }
    let lock = match &request.recipe.lock {
        Some(path) => locked::at(session.world, path)?,
        None => locked::beside(session.world, &directory, &manifest)
            .ok_or_else(|| AttestError::NoLock(directory.clone()))?,
    };
    match locked::belongs(&lock, &manifest) {
        Ok(()) => Ok(OwnBuild { directory, manifest, lock }),
        Err(_) => Err(AttestError::OtherLock(directory).into()),
    }
}

/// Adds an envelope to those beside a build, in the place of an earlier one by the same key. Those of other locks go.
fn add(directory: &Path, manifest: &Manifest, (envelope, key): (&Envelope, &Key)) -> Result<PathBuf, OpsError> {
    let has_signed = |one: &Envelope| {
        let of = |bytes: &[u8]| signature::verify_bytes(&key.ed25519(), &one.signed_bytes(), bytes).is_ok();
        one.signatures.iter().any(|one| of(&one.signature))
    };
    let others = attestation::all_beside(directory, manifest)?.into_iter().filter(|one| !has_signed(one));
    let text: String = others.chain([envelope.clone()]).map(|one| one.write()).collect();
    if text.len() as u64 > attestation::FILE_LIMIT {
        let path = directory.join(attestation::FILE);
        return Err(WorldError::TooLarge { path, limit: attestation::FILE_LIMIT }.into());
    }
    debug_assert!(BuildClaim::read(&envelope.payload).is_ok_and(|claim| claim.is_of(manifest)));
    OutputDirectory::open(directory)?.write(OsStr::new(attestation::FILE), text.as_bytes(), 0o644)?;
    Ok(directory.join(attestation::FILE))
}

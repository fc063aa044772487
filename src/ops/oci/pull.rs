//! `kiln pull`: an artifact of a registry or an image layout to a result directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::attestation;
use super::chunks::RebuiltDisk;
use super::land::Beside;
use super::layers::Head;
use super::place::{Place, Reach, shown, telling};
use super::pulled::PulledAttestations;
use super::signature::{self, Choice, Found, SignatureNeed, Wanted};
use super::{chunks, fetch, land};
use crate::deliver::manifest::{LOCK_FILE, Manifest};
use crate::deliver::statement;
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::oci::{OciDigest, Reference, Rights};
use crate::ops::error::OpsError;
use crate::ops::event::Notice;
use crate::ops::session::Session;
use crate::ops::sign::Signer;
use crate::ops::{load, project, realize, target, verify};
use crate::world::OutputDirectory;

/// What is pulled, and where it goes.
#[derive(Debug, Clone, Default)]
pub struct PullRequest {
    /// The artifact.
    pub reference: String,
    /// The directory; `result/RECIPE` when not given.
    pub directory: Option<PathBuf>,
    /// Whose signature it must have.
    pub signatures: SignatureNeed,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
    /// Speak HTTP without TLS to a registry that is not on this machine.
    pub plain_http: bool,
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// The artifact.
    pub reference: String,
    /// By which anybody gets exactly this artifact.
    pub digest: OciDigest,
    /// The recipe that it is a build of.
    pub recipe: String,
    /// Where it is now.
    pub directory: PathBuf,
    /// The lock that it was built from, if it has one.
    pub lock: Option<PathBuf>,
    /// The machines that can be run there.
    pub machines: Vec<String>,
    /// Files that were checked.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Disks that were rebuilt from earlier ones, and how much of them was fetched.
    pub rebuilt: Vec<RebuiltDisk>,
    /// Whether it has a signature, whoever made it.
    pub signed: bool,
    /// Whose signature it is, among those who are trusted.
    pub signers: Vec<Signer>,
    /// How many attestations came with it, whoever made them.
    pub attestations: usize,
}

/// Pulls.
pub fn pull(session: &Session<'_>, request: &PullRequest) -> Result<Pulled, OpsError> {
    let reference = Reference::parse(&request.reference)?;
    request.directory.as_deref().map_or(Ok(()), target::directory)?;
    // From here on an interrupt ends the pulling; what has arrived is not fetched again.
    let _running = Interruptible::start(RunningWork::Steps);
    let reach = Reach { plain_http: request.plain_http, mount_from: None };
    let told = telling(session);
    let place = Place::open(session, (&reference, Rights::Pull), &reach, &told)?;
    let what = shown(&reference);
    let (descriptor, text) = place.manifest(&reference)?;
    let head = Head::read(&what, &place, &text)?;
    let directory =
        request.directory.clone().unwrap_or_else(|| Path::new(project::RESULTS).join(&head.manifest.recipe));
    land::allowed(&directory, &head.manifest.recipe)?;
    let store = load::open_store(session.world)?;
    fetch::fits(&store, &what, &head.files)?;
    let rebuilt = chunks::rebuild(session, &store, (&place, &descriptor, &head.disks))?;
    fetch::all(session, &store, (&place, &head.files))?;
    realize::unpacked(session, &store, &head.emulators)?;
    let attestations = attestation::pulled(session, (&place, &descriptor), (&head.manifest, &request.trusted))?;
    let attested = attestations.lines().len();
    if attestations.left() > 0 {
        session.notice(Notice::AttestationsLeft { count: attestations.left() });
    }
    let found = signature::all(&place, &descriptor, &head.manifest)?;
    let wanted = Wanted { need: request.signatures, what: &what, trusted: &request.trusted };
    let lock_text = head.lock.as_ref().map(|(_, text)| text);
    let mut beside = Additions {
        session,
        manifest: &head.manifest,
        lock: lock_text,
        attestations,
        wanted,
        found,
        choice: Choice::default(),
    };
    land::land(session, &store, (&what, &directory, &head.manifest), &mut beside)?;
    let signers = beside.choice.signers;
    verify::notices(session, &head.manifest);
    let lock = head.lock.map(|_| directory.join(LOCK_FILE));
    let machines = head.manifest.qemu.keys().cloned().collect();
    let (files, bytes) = (head.layers, head.bytes);
    let (recipe, digest, signed) =
        (head.manifest.recipe, descriptor.digest, session.world.exists(&directory.join(statement::FILE)));
    Ok(Pulled {
        reference: what,
        digest,
        recipe,
        directory,
        lock,
        machines,
        files,
        bytes,
        rebuilt,
        signed,
        signers,
        attestations: attested,
    })
}

/// The lock and the signature.
struct Additions<'a> {
    session: &'a Session<'a>,
    manifest: &'a Manifest,
    lock: Option<&'a String>,
    attestations: PulledAttestations,
    wanted: Wanted<'a>,
    /// The signatures that came with it, until one is chosen.
    found: Found,
    choice: Choice,
}

impl Beside for Additions<'_> {
    fn decide(&mut self, stage: &Path, directory: &Path) -> Result<(), OpsError> {
        if self.session.world.exists(directory) {
            self.attestations.take_beside(directory, self.manifest)?;
        }
        let found = std::mem::take(&mut self.found);
        self.choice = signature::choose(self.session, (stage, directory, self.manifest), (found, &self.wanted))?;
        Ok(())
    }

    fn write(&self, directory: &Path) -> Result<(), OpsError> {
        write_lock(directory, self.lock)?;
        attestation::write(directory, &self.attestations.lines())?;
        self.choice.write(directory)
    }

    fn remove(&self, directory: &Path) -> Result<(), OpsError> {
        signature::remove(directory)?;
        attestation::write(directory, &[])?;
        write_lock(directory, None)
    }
}

/// Writes the lock beside the manifest, where `kiln push DIR` looks for it; that of an earlier artifact goes.
fn write_lock(directory: &Path, text: Option<&String>) -> Result<(), OpsError> {
    let (home, name) = (OutputDirectory::open(directory)?, OsStr::new(LOCK_FILE));
    match text {
        Some(text) => home.write(name, text.as_bytes(), 0o644)?,
        None => home.remove(name)?,
    }
    Ok(())
}

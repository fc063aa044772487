//! `kiln push`: a recipe or a result directory to a registry or an image layout.

use std::path::PathBuf;

use serde::Serialize;

use super::deltas::Successor;
use super::place::{Place, Reach, Tenths, shown, telling};
use super::{attached, attestation, content, layers, signature};
use crate::base::Foreign;
use crate::exec::event::StepEvent;
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::oci::{Descriptor, EMPTY, EMPTY_TYPE, OciDigest, Reference, Rights, Upload};
use crate::ops::error::{OpsError, RemoteError, TagHolder};
use crate::ops::event::OpsEvent;
use crate::ops::options::{BuildOptions, RecipeOptions};
use crate::ops::session::Session;

/// What is pushed, and where.
#[derive(Debug, Clone, Default)]
pub struct PushRequest {
    /// A recipe, or a result directory; the lock may be named for either.
    pub recipe: RecipeOptions,
    /// How a recipe is built.
    pub build: BuildOptions,
    /// Where it goes.
    pub reference: String,
    /// Speak HTTP without TLS to a registry that is not on this machine.
    pub plain_http: bool,
    /// Another repository of the registry that may have some of the files already.
    pub mount_from: Option<String>,
    /// SBOMs and attestations that are pushed with it.
    pub attached: Vec<PathBuf>,
    /// From what else the tag is taken, besides an earlier build of the recipe.
    pub taken: TakenTag,
}

/// Whether a tag is taken from something that is no earlier build of the recipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TakenTag {
    /// It stays with what has it, and nothing is pushed.
    #[default]
    Refuse,
    /// The build gets it.
    Replace,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Where it is, by its tag.
    pub reference: String,
    /// By which anybody gets exactly this artifact.
    pub digest: OciDigest,
    /// Files in it.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the signature of the directory was pushed with it.
    pub signed: bool,
    /// SBOMs and attestations that refer to it.
    pub attached: usize,
    /// Deltas that make its disks of those that were pushed before.
    pub deltas: usize,
}

/// Pushes.
pub fn push(session: &Session<'_>, request: &PushRequest) -> Result<Pushed, OpsError> {
    let reference = Reference::parse(&request.reference)?;
    if reference.which().digest.is_some() {
        return Err(RemoteError::write_by_digest(&reference).into());
    }
    let attached = attached::all(session.world, &request.attached)?;
    let content = content::of(session, &request.recipe, &request.build)?;
    let signed = signature::of_directory(&content.directory, &content.manifest)?.map(|signed| signed.referrer());
    let attestations = attestation::of_directory(&content.directory, &content.manifest)?;
    // From here on an interrupt ends the pushing; what has arrived is not sent again.
    let _running = Interruptible::start(RunningWork::Steps);
    let reach = Reach { plain_http: request.plain_http, mount_from: request.mount_from.clone() };
    let told = telling(session);
    let place = Place::open(session, (&reference, Rights::Push), &reach, &told)?;
    let before = match request.taken {
        TakenTag::Refuse => Some(may_have_tag(&place, &reference, &content.manifest.recipe)?),
        TakenTag::Replace => None,
    };
    let layers = layers::of(&content)?;
    let empty = (Descriptor::of(EMPTY_TYPE, EMPTY), Upload::Bytes(EMPTY.to_vec()));
    let blobs = once(layers.iter().chain([&empty]));
    let bytes = layers.iter().map(|(layer, _)| layer.size).sum();
    let tenths = Tenths::new(session, blobs.iter().map(|(blob, _)| blob.size).sum());
    place.put(&blobs, &|bytes| tenths.add(bytes))?;
    let files = layers.len();
    let manifest = layers::artifact(&content.manifest, layers.iter().map(|(layer, _)| layer.clone()).collect());
    let successor = Successor { store: &content.store, layers: &layers, reference: &reference };
    let deltas = successor.deltas(before.as_ref().and_then(Option::as_deref));
    if let Some(before) = before {
        still_has_tag(&place, &reference, (before, &manifest.write()))?;
    }
    let descriptor = place.tag(&reference, &manifest)?;
    for referrer in signed.iter().chain(&attestations).chain(&attached) {
        referrer.push(&place, &descriptor)?;
    }
    let deltas = deltas.iter().filter(|delta| is_there(session, delta.push(&place, &descriptor))).count();
    successor.remember();
    let (reference, digest) = (reference.to_string(), descriptor.digest);
    Ok(Pushed {
        reference,
        digest,
        files,
        bytes,
        signed: signed.is_some(),
        attached: attestations.len() + attached.len(),
        deltas,
    })
}

/// Whether a delta was pushed: the build is whole without it.
fn is_there(session: &Session<'_>, pushed: Result<(), OpsError>) -> bool {
    let warn = |error: &OpsError| {
        let message = format!("a delta to an earlier disk was not pushed: {}", Foreign(error));
        session.on(OpsEvent::Step(StepEvent::Warning { message }));
    };
    pushed.inspect_err(warn).is_ok()
}

/// Refuses to take a tag from anything but an earlier build of the recipe; gives the manifest of that, if there is one.
fn may_have_tag(place: &Place<'_>, reference: &Reference, recipe: &str) -> Result<Option<Vec<u8>>, OpsError> {
    let tagged = place.tagged(reference);
    let found = match &tagged {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => layers::recipe_of(text),
        // What cannot be read is nothing that kiln pushed.
        Err(error) if error.is_mismatch() => None,
        Err(_) => return Ok(tagged?),
    };
    let holder = match found {
        Some(found) if found == recipe => return Ok(tagged?),
        Some(found) => TagHolder::OtherRecipe(found),
        None => TagHolder::Stranger,
    };
    let tag = reference.which().tag().to_owned();
    Err(RemoteError::Tagged { reference: shown(reference), tag, holder }.into())
}

/// Refuses to undo what another push has given the tag to while the files of this one were on their way. No registry does both in one, so
/// what comes between this question and the tag is still undone; it is a moment instead of the minutes that files take.
fn still_has_tag(
    place: &Place<'_>,
    reference: &Reference,
    (before, own): (Option<Vec<u8>>, &[u8]),
) -> Result<(), OpsError> {
    let now = place.tagged(reference)?;
    if now == before || now.as_deref() == Some(own) {
        return Ok(());
    }
    let tag = reference.which().tag().to_owned();
    Err(RemoteError::Moved { reference: shown(reference), tag }.into())
}

/// Each blob once, however many layers it is.
fn once<'a>(layers: impl Iterator<Item = &'a (Descriptor, Upload)>) -> Vec<(&'a Descriptor, &'a Upload)> {
    let mut seen = std::collections::BTreeSet::new();
    layers.filter(|(layer, _)| seen.insert(layer.digest)).map(|(layer, upload)| (layer, upload)).collect()
}

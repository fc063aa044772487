//! After a build: nothing that is delivered may tell on which machine, by whom or when it was built.
//!
//! Disks are searched as the tar archives that they were made of. What was searched once is not searched again: a note
//! in the store says so, by the artifact's digest and what was looked for (but for the date, which passes).

use std::collections::{BTreeMap, BTreeSet};

use super::error::{MismatchError, OpsError};
use super::event::Notice;
use super::load::Ready;
use super::options::LeakPolicy;
use super::session::Session;
use crate::base::Digest;
use crate::exec::Realized;
use crate::inspect::leak::{BuildHost, Excuses, Hit, Identities, Needle, Scanner, TraceKind, needles};
use crate::lock;
use crate::plan::step::Work;
use crate::plan::{Artifact, Input, Plan, StepKind};
use crate::recipe::RecipeFile;
use crate::store::Output;
use crate::world::fs;

/// Rises when the scanner learns to find more.
const VERSION: u32 = 2;

/// A search, with what is looked for at this time.
struct Search<'a> {
    ready: &'a Ready<'a>,
    needles: Vec<Needle>,
}

impl<'a> Search<'a> {
    fn new(ready: &'a Ready<'a>) -> Search<'a> {
        Search { ready, needles: wanted(ready) }
    }

    /// What is found in a file; `None` where the store has it no more.
    fn hits(&self, artifact: &str, digest: &Digest) -> Result<Option<Vec<Hit>>, OpsError> {
        let memo = memo(digest, &self.needles);
        if self.ready.store.recall(&memo).is_some() {
            return Ok(Some(Vec::new()));
        }
        let Ok(path) = self.ready.store.path(digest) else { return Ok(None) };
        let scanner = Scanner::new(self.needles.clone(), identities(self.ready));
        let stream = fs::open(&path)?;
        let hits = fs::context("read", &path, scanner.scan_file(artifact, &stream))?;
        let hits = unexplained(self.ready, hits)?;
        if hits.is_empty() {
            self.ready.store.note(&memo, b"clean")?;
        }
        Ok(Some(hits))
    }
}

/// Searches what a step has just left, if it becomes part of an artifact, while other steps run. What is clean is not
/// searched again; whatever else comes of it, [`check`] finds as well, and tells.
pub(super) fn ahead(
    ready: &Ready<'_>,
    step: usize,
    outputs: &BTreeMap<String, Output>,
    stop: &(dyn Fn() -> bool + Sync),
) {
    let mut done = BTreeSet::new();
    for (artifact, input) in all_searched(&ready.plan) {
        let Input::Output { step: made_by, name } = input else { continue };
        if let Some(Output::File { digest, .. }) = outputs.get(name).filter(|_| *made_by == step)
            && !stop()
            && done.insert(digest)
        {
            // The file was made just now: today's date is looked for, not that of the beginning of the build.
            let _ = Search::new(ready).hits(&artifact.file_name(), digest);
        }
    }
}

/// Searches every artifact that was not searched before.
pub(super) fn check(ready: &Ready<'_>, realized: &Realized, policy: LeakPolicy) -> Result<(), OpsError> {
    let session = &ready.loaded.session;
    let search = Search::new(ready);
    let (mut all, mut unsearched) = (Vec::new(), BTreeSet::new());
    for (artifact, input) in all_searched(&ready.plan) {
        let name = artifact.file_name();
        match search.hits(&name, &realized.file(input).sha256)? {
            Some(hits) => all.extend(hits),
            // Made by an earlier build, and swept since.
            None => _ = unsearched.insert(name),
        }
    }
    // A disk is made of several archives, and is one artifact.
    for artifact in &unsearched {
        session.notice(Notice::NotSearched { artifact });
    }
    judge(session, all, policy)
}

/// Every artifact with what is searched for it.
fn all_searched<'a>(plan: &'a Plan) -> impl Iterator<Item = (&'a Artifact, &'a Input)> {
    let one = |artifact: &'a Artifact| searched(plan, &artifact.from).into_iter().map(move |input| (artifact, input));
    plan.artifacts.iter().flat_map(one)
}

fn judge(session: &Session<'_>, hits: Vec<Hit>, policy: LeakPolicy) -> Result<(), OpsError> {
    if hits.is_empty() {
        return Ok(());
    }
    match policy {
        LeakPolicy::Refuse => Err(MismatchError::Leaks(hits).into()),
        LeakPolicy::Report => {
            session.notice(Notice::Leaks(&hits));
            Ok(())
        }
    }
}

/// What is searched for an artifact: of a disk, the archives that it was made of; of one with partitions, that and every
/// other thing that a step put there. Inputs of the build are what they are.
fn searched<'a>(plan: &'a Plan, from: &'a Input) -> Vec<&'a Input> {
    let Input::Output { step, .. } = from else { return Vec::new() };
    let step = &plan.steps[*step];
    match &step.kind {
        StepKind::Disk(_) | StepKind::Boot(_) | StepKind::Convert { .. } => {
            step.inputs.values().flat_map(|input| searched(plan, input)).collect()
        }
        _ => vec![from],
    }
}

fn memo(digest: &Digest, needles: &[Needle]) -> Digest {
    let lasting = needles.iter().filter(|needle| !matches!(needle.kind, TraceKind::Date | TraceKind::Clock));
    let mut text = format!("leaks {VERSION} {digest}");
    for needle in lasting {
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&needle.text));
    }
    Digest::of(text.as_bytes())
}

fn wanted(ready: &Ready<'_>) -> Vec<Needle> {
    let (recipe, world) = (&ready.loaded.recipe, ready.loaded.session.world);
    let system = rustix::system::uname();
    let machine = BuildHost {
        store: ready.store.root().display().to_string(),
        home: world.env("HOME").map(|home| home.trim_end_matches('/').to_owned()),
        user: world.env("USER").or_else(|| world.env("LOGNAME")),
        host: system.nodename().to_string_lossy().into_owned(),
        kernel: system.release().to_string_lossy().into_owned(),
        now: world.now(),
    };
    let lock = lock::write(&ready.lock);
    let mut known: Vec<&[u8]> = vec![lock.as_bytes()];
    known.extend(recipe.files.values().filter_map(RecipeFile::bytes).filter(|bytes| bytes.len() <= KNOWN));
    needles(&machine, ready.lock.epoch, &known)
}

/// UUIDs that are there on purpose: of the recipe and its files, of the lock, and what the plan derives from its seed.
fn identities(ready: &Ready<'_>) -> Identities {
    let mut known: Vec<Vec<u8>> = vec![lock::write(&ready.lock).into_bytes()];
    known.extend(ready.loaded.recipe.files.values().filter_map(|file| file.bytes().map(<[u8]>::to_vec)));
    for step in &ready.plan.steps {
        if let Work::Sandbox { env, argv, .. } = &step.work {
            known.extend(env.values().chain(argv).map(|text| text.clone().into_bytes()));
        }
        let inline = |input: &Input| if let Input::Inline(bytes) = input { Some(bytes.clone()) } else { None };
        known.extend(step.inputs.values().filter_map(inline));
    }
    Identities { epoch: ready.lock.epoch.0, known }
}

/// Larger files that a recipe copies in are searched like everything else.
const KNOWN: usize = 256 << 10;

/// The hits that no input of the build has in it. Only read when there are hits at all.
fn unexplained(ready: &Ready<'_>, hits: Vec<Hit>) -> Result<Vec<Hit>, OpsError> {
    let Some(mut excuses) = Excuses::new(&hits) else { return Ok(hits) };
    for digest in ready.plan.fetches.keys() {
        if excuses.complete() {
            break;
        }
        if let Ok(path) = ready.store.path(digest) {
            // An input that cannot be unpacked explains nothing; its step would have failed.
            let _ = excuses.read(fs::open(&path)?);
        }
    }
    Ok(excuses.left(hits))
}

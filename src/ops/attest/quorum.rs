//! `kiln verify --require N --from PLACE`: a build is accepted if so many trusted keys attest it, each by itself.
//!
//! Of a result directory, every file is compared first, and an attestation counts if it has exactly these files. Of a recipe, which is
//! not built here, those count that say the same among each other, and nothing else than the lock records.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::collect::Collector;
use super::seen::{Older, Seen};
use super::tally::{Attester, Files, Group, OtherResult, Said, Tally, differences, groups};
use crate::base::{Digest, Foreign};
use crate::deliver::attestation::{self, BuildIdentity};
use crate::deliver::manifest::Manifest;
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::lock::{self, Lock};
use crate::ops::error::{AttestError, OpsError};
use crate::ops::options::RecipeOptions;
use crate::ops::session::Session;
use crate::ops::sign::{Trust, envelope, unchanged};
use crate::ops::{load, local};
use crate::plan::root::ROOT;

/// Problems that are told of trusted keys, and of anything else.
const MAX_OF_KEYS: usize = 100;
const MAX_OTHERS: usize = 20;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct QuorumRequest {
    /// A result directory, or a recipe.
    pub recipe: RecipeOptions,
    /// How many builders must agree.
    pub required: usize,
    /// Where attestations are.
    pub from: Vec<String>,
    /// The recipe that a directory is to be of.
    pub recipe_name: Option<String>,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
    /// Speak HTTP without TLS to registries that are not on this machine.
    pub plain_http: bool,
    /// Whether attestations count that are older than what was accepted before.
    pub older: Older,
}

/// Who built what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuorumReport {
    /// Whether enough builders agree, and no others do on something else.
    pub accepted: bool,
    /// The recipe.
    pub recipe: String,
    /// Digest of the lock's inputs.
    pub lock: Digest,
    /// How many builders must agree.
    pub required: usize,
    /// How many do.
    pub agreed: usize,
    /// The files that they agree on.
    pub artifacts: BTreeMap<String, Digest>,
    /// Those who do.
    pub attesters: Vec<Attester>,
    /// Those who built something else.
    pub others: Vec<OtherResult>,
    /// Who has the same files and another `manifest.json`, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// Places that could not be reached, and why: what they have is not known.
    pub unreachable: Vec<String>,
    /// What does not count, and why.
    pub problems: Vec<String>,
}

impl QuorumReport {
    /// Whether nobody contradicts, and there may be enough builders in the places that could not be reached.
    pub fn is_undecided(&self) -> bool {
        !self.accepted && self.agreed < self.required && self.others.is_empty() && !self.unreachable.is_empty()
    }
}

/// What attestations have to be about.
struct Expected {
    build: BuildIdentity,
    /// The files of a directory.
    files: Option<Files>,
    /// The manifest of a directory.
    manifest: Option<Digest>,
    /// What a lock says of files.
    recorded: Files,
}

impl Expected {
    fn of_directory(manifest: &Manifest) -> Expected {
        let files = Some(attestation::digests(manifest));
        let digest = Some(attestation::manifest_digest(manifest));
        Expected { build: BuildIdentity::of(manifest), files, manifest: digest, recorded: Files::new() }
    }
}

/// Problems. Of junk, anybody may cause any number: it hides nothing that is told of trusted keys.
#[derive(Default)]
struct Problems {
    unreached: Vec<String>,
    /// What was left out of places.
    limits: Vec<String>,
    of_keys: Vec<String>,
    others: Vec<String>,
    more: usize,
}

impl Problems {
    /// What is told of a key that is trusted, or was.
    fn of_key(&mut self, problem: String) {
        if self.of_keys.len() < MAX_OF_KEYS { self.of_keys.push(problem) } else { self.more += 1 }
    }

    fn add(&mut self, problem: String) {
        if self.others.len() < MAX_OTHERS { self.others.push(problem) } else { self.more += 1 }
    }

    fn all(self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        self.limits.into_iter().chain(self.of_keys).chain(self.others).chain(more).collect()
    }
}

/// Counts.
pub fn verify(session: &Session<'_>, request: &QuorumRequest) -> Result<QuorumReport, OpsError> {
    // Without any trusted key, nothing is read.
    Trust::read(session.world, &request.trusted)?;
    let expected = expected(session, request)?;
    count(session, request, expected)
}

/// The same of a directory whose files have just been compared with this manifest.
pub(in crate::ops) fn verify_known(
    session: &Session<'_>,
    request: &QuorumRequest,
    manifest: &Manifest,
) -> Result<QuorumReport, OpsError> {
    count(session, request, Expected::of_directory(manifest))
}

fn count(session: &Session<'_>, request: &QuorumRequest, expected: Expected) -> Result<QuorumReport, OpsError> {
    let trust = Trust::read(session.world, &request.trusted)?;
    let _running = Interruptible::start(RunningWork::Steps);
    let problems = std::cell::RefCell::new(Problems::default());
    let mut tally = Tally::default();
    let now = session.world.now();
    let mut take = |place: &str, text: &[u8]| match envelope::attested(text, &trust, now) {
        Ok(one) => match other_build(&one.claim.build, &expected.build) {
            None => tally.add(one, place),
            Some(why) => problems.borrow_mut().of_key(format!("{place}: by {}, {why}", Foreign(&one.signer))),
        },
        Err(why) if why.is_of_listed_key() => problems.borrow_mut().of_key(format!("{place}: {why}")),
        Err(why) => problems.borrow_mut().add(format!("{place}: {why}")),
    };
    let mut problem = |why: String| problems.borrow_mut().add(why);
    let mut limit = |why: String| problems.borrow_mut().limits.push(why);
    let mut unreached = |why: String| problems.borrow_mut().unreached.push(why);
    let plain_http = request.plain_http;
    for place in &request.from {
        let (take, problem, limit, unreached) = (&mut take, &mut problem, &mut limit, &mut unreached);
        Collector { session, plain_http, take, problem, limit, unreached, partial: 0 }.all(place)?;
    }
    let mut of_key = |why| problems.borrow_mut().of_key(why);
    let said = tally.newest(now, &mut of_key);
    let mut seen = Seen::open(session.world, request.older, (&expected.build, expected.files.is_some()))?;
    let said = seen.without_older(said, &mut of_key);
    let report = report((request, expected), said, problems.into_inner());
    if report.accepted {
        seen.remember(&report.attesters)?;
    }
    Ok(report)
}

fn expected(session: &Session<'_>, request: &QuorumRequest) -> Result<Expected, OpsError> {
    let path = &request.recipe.path;
    let expected = if path.is_dir() {
        let (manifest, _) = unchanged(session, request.recipe.directory()?)?;
        Expected::of_directory(&manifest)
    } else {
        let loaded = load::recipe(session, &request.recipe)?;
        local::verifiable(&loaded.recipe)?;
        let lock = load::lock_of(&loaded)?;
        let (name, inputs, output_version) =
            (lock.recipe.name.clone(), lock::inputs_digest(&lock), lock.output_version);
        let build = BuildIdentity { recipe: name, lock: inputs, output_version };
        Expected { build, files: None, manifest: None, recorded: recorded(&lock) }
    };
    match &request.recipe_name {
        Some(name) if *name != expected.build.recipe => {
            let (found, name) = (expected.build.recipe, name.clone());
            Err(AttestError::OtherRecipe { directory: path.clone(), found, expected: name }.into())
        }
        _ => Ok(expected),
    }
}

/// What a lock says of files, by their names in a result directory.
fn recorded(lock: &Lock) -> Files {
    let one = lock.machines.keys().next().filter(|_| lock.machines.len() == 1);
    let prefix = one.map(|machine| format!("{machine}/"));
    // The tree of an image is recorded, and not delivered.
    let files = lock.outputs.iter().filter(|(name, _)| name.rsplit('/').next() != Some(ROOT));
    let name = |name: &String| prefix.as_ref().and_then(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned();
    files.map(|(file, output)| (name(file), output.file.sha256)).collect()
}

/// Why an attestation is not about the build that is asked about.
fn other_build(found: &BuildIdentity, expected: &BuildIdentity) -> Option<String> {
    if found.recipe != expected.recipe {
        return Some(format!("it is of recipe `{}`, not of `{}`", Foreign(&found.recipe), Foreign(&expected.recipe)));
    }
    if found.output_version != expected.output_version {
        let (found, expected) = (found.output_version, expected.output_version);
        return Some(format!("it is of output version {found}, not of {expected}"));
    }
    if found.lock != expected.lock {
        return Some(format!("it is of another lock: {}, not {}", found.lock.short(), expected.lock.short()));
    }
    None
}

fn report((request, expected): (&QuorumRequest, Expected), said: Vec<Said>, mut problems: Problems) -> QuorumReport {
    let Expected { build, files, manifest, recorded } = expected;
    let contradicts = |said: &Said| {
        recorded.iter().any(|(name, digest)| said.files.get(name) != Some(digest))
            || files.as_ref().is_some_and(|files| *files != said.files)
    };
    let (others, agreeing): (Vec<Said>, Vec<Said>) = said.into_iter().partition(contradicts);
    let mut groups = groups(agreeing).into_iter();
    let first = groups.next().unwrap_or(Group { files: files.clone().unwrap_or_default(), attesters: Vec::new() });
    let second: Vec<Group> = groups.collect();
    let (required, agreed) = (request.required, first.builders());
    // Two results that enough builders have each are one too many.
    let disputed = second.iter().any(|group| group.builders() >= required);
    if agreed < first.attesters.len() {
        problems.of_key("keys of one name count as one builder".to_owned());
    }
    let of_lock = |said: Said| {
        let base = files.clone().unwrap_or_else(|| recorded_of(&said.files, &recorded));
        OtherResult { differences: differences(&said.files, &base), attester: said.attester }
    };
    let mut other: Vec<OtherResult> = others.into_iter().map(of_lock).collect();
    for group in second {
        let differences = differences(&group.files, &first.files);
        let result = |attester| OtherResult { attester, differences: differences.clone() };
        other.extend(group.attesters.into_iter().map(result));
    }
    QuorumReport {
        accepted: agreed >= required && !disputed,
        recipe: build.recipe,
        lock: build.lock,
        required,
        agreed,
        manifests: manifests(&first.attesters, manifest),
        artifacts: first.files,
        attesters: first.attesters,
        others: other,
        unreachable: std::mem::take(&mut problems.unreached),
        problems: problems.all(),
    }
}

/// Who names another manifest than that of the directory, or than the first of them does.
fn manifests(attesters: &[Attester], own: Option<Digest>) -> Vec<String> {
    let Some(base) = own.or_else(|| attesters.iter().find_map(|one| one.manifest)) else { return Vec::new() };
    let other = |one: &Attester| {
        let found = one.manifest.filter(|found| *found != base)?;
        Some(format!("{} ({}): manifest.json: {found}, not {base}", Foreign(&one.name), one.key))
    };
    attesters.iter().filter_map(other).collect()
}

/// Files as the lock has them, which knows only some.
fn recorded_of(files: &Files, recorded: &Files) -> Files {
    files.iter().chain(recorded).map(|(name, digest)| (name.clone(), *digest)).collect()
}

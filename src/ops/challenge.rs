//! Compares what caches, and this store, say of the steps of a recipe: who built what, and where they disagree.
//!
//! Input: a recipe with its lock, caches. Output: one verdict for each step. Nothing is built, and nothing is taken. Everybody is
//! asked for the action that their own results of earlier steps lead to, so that one difference hides no later one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use super::cache::config::{self, CacheOptions, CachePlace, PlaceKind};
use super::cache::place::{Part, ReadProblem, Reader, told};
use super::cache::statement::{Judge, ResultProblem, SignedResult};
use super::cache::{RESULT_LIMIT, layout, remember, result_name};
use super::error::{CacheError, OpsError, SignerProblem};
use super::load;
use super::options::RecipeOptions;
use super::session::Session;
use super::sign::{Key, Trust};
use crate::base::{Digest, Foreign};
use crate::exec::sharing::{self, Sharing};
use crate::exec::{ActionTrail, interrupt};
use crate::plan::Plan;
use crate::store::{Output, Store};
use crate::world::World;
use crate::world::dir::Dir;

/// Keys whose results are looked at in one directory.
const MAX_SIGNERS: usize = 64;
/// What a result's tag in a layout begins with: an action's digest.
const ACTION_DIGITS: usize = 64;
/// Files that are told of.
const MAX_PROBLEMS: usize = 100;

/// What is compared.
#[derive(Debug, Clone)]
pub struct ChallengeRequest {
    /// The recipe.
    pub recipe: RecipeOptions,
    /// Caches; the configured ones where none is named.
    pub caches: Vec<String>,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
}

/// One result of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChallengeAnswer {
    /// The cache; none for this store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Who signed it, as the list of trusted keys calls them; none for this store, and for keys that are not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Their key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why nobody need believe that key, in a word; its results are shown, and agree with nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_counted: Option<&'static str>,
    /// The action that it is a result of.
    pub action: Digest,
    /// Digests of the outputs.
    pub outputs: BTreeMap<String, Digest>,
}

/// What is known of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepVerdict {
    /// At least two built it who are trusted, or one of them and this store, and all have the same bits.
    Agree,
    /// Two have different bits.
    Differ,
    /// One alone of them has a result.
    One,
    /// There are results by keys alone that are not trusted: whoever can write to a cache can make any number of those.
    Untrusted,
    /// Nobody has.
    Missing,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChallengedStep {
    /// Its name.
    pub step: String,
    /// What is known of it.
    pub verdict: StepVerdict,
    /// Every result.
    pub answers: Vec<ChallengeAnswer>,
}

impl ChallengedStep {
    /// Whether there is a result that does not count.
    pub fn has_others(&self) -> bool {
        self.answers.iter().any(|answer| answer.not_counted.is_some())
    }
}

/// Every step that can be shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChallengeReport {
    /// The recipe.
    pub recipe: String,
    /// In the order of the plan.
    pub steps: Vec<ChallengedStep>,
    /// What could not be read of caches.
    pub problems: Vec<String>,
}

impl ChallengeReport {
    /// How many steps have this verdict.
    pub fn count(&self, verdict: StepVerdict) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }
}

/// Compares caches with each other and with this store.
pub fn challenge(session: &Session<'_>, request: &ChallengeRequest) -> Result<ChallengeReport, OpsError> {
    let ready = load::ready(session, &request.recipe)?;
    let places = match request.caches.is_empty() {
        true => config::places(session.world, &CacheOptions::default())?,
        false => request.caches.iter().map(|word| config::named(session.world, word)).collect::<Result<_, _>>()?,
    };
    if places.is_empty() {
        return Err(CacheError::NoCaches.into());
    }
    let trust = Trust::any(session.world, &request.trusted)?;
    let judge = Judge { trust: &trust, recipe: &ready.loaded.recipe.name, now: session.world.now() };
    let (mut problems, mut down) = (BTreeSet::new(), BTreeSet::new());
    let mut builders = vec![Builder::new(&ready.plan, Source::Store(&ready.store))];
    for place in &places {
        let names = signers(place, &trust, (&mut problems, &mut down));
        builders.extend(names.into_iter().map(|signer| Builder::new(&ready.plan, Source::Cache { place, signer })));
    }
    let mut asked = Asked { world: session.world, judge, problems, down };
    let mut steps = Vec::new();
    for (at, sharing) in sharing::of(&ready.plan).into_iter().enumerate() {
        let answers = one_step(&mut builders, &mut asked)?;
        if matches!(sharing, Sharing::Public | Sharing::Private) {
            let step = ready.plan.steps[at].name();
            steps.push(ChallengedStep { step, verdict: verdict(&answers, &ready.store), answers });
        }
    }
    let problems = asked.problems.into_iter().collect();
    Ok(ChallengeReport { recipe: ready.loaded.recipe.name.clone(), steps, problems })
}

/// Whoever may have built something.
enum Source<'a> {
    Store(&'a Store),
    /// What files of a cache call a key.
    Cache {
        place: &'a CachePlace,
        signer: String,
    },
}

/// A source, and the way of its own results through the plan.
struct Builder<'a> {
    source: Source<'a>,
    trail: ActionTrail<'a>,
}

impl<'a> Builder<'a> {
    fn new(plan: &'a Plan, source: Source<'a>) -> Builder<'a> {
        Builder { source, trail: ActionTrail::new(plan) }
    }
}

/// Who is asked, and what is wrong with what they say.
struct Asked<'a> {
    world: &'a dyn World,
    judge: Judge<'a>,
    problems: BTreeSet<String>,
    /// Caches that do not answer: they are asked once.
    down: BTreeSet<String>,
}

/// Outputs by declared path.
type Outputs = BTreeMap<String, Output>;

/// What everybody has of the next step. Whoever has no result goes on along that of the first who has: results of later steps are
/// found although an earlier one is missing.
fn one_step(builders: &mut [Builder<'_>], asked: &mut Asked<'_>) -> Result<Vec<ChallengeAnswer>, OpsError> {
    let mut found: Vec<Option<(ChallengeAnswer, Outputs)>> = Vec::new();
    for builder in builders.iter() {
        if interrupt::stopped() {
            return Err(OpsError::Interrupted);
        }
        found.push(builder.trail.action().and_then(|action| asked.answer(&builder.source, action)));
    }
    let first = found.iter().flatten().next().map(|(_, outputs)| outputs.clone());
    for (builder, found) in builders.iter_mut().zip(&found) {
        let own = found.as_ref().map(|(_, outputs)| outputs.clone());
        builder.trail.add(own.or_else(|| first.clone()));
    }
    Ok(found.into_iter().flatten().map(|(answer, _)| answer).collect())
}

impl Asked<'_> {
    fn answer(&mut self, source: &Source<'_>, action: Digest) -> Option<(ChallengeAnswer, Outputs)> {
        let (cache, signed, outputs) = match source {
            Source::Store(store) => (None, None, store.peek_result(&action)?),
            Source::Cache { place, signer } => {
                if self.down.contains(&place.name) {
                    return None;
                }
                let name = result_name(&action, signer);
                let reader = Reader { world: self.world, stop: &interrupt::stopped };
                let read = reader.small(place, (Part::Results, &name), RESULT_LIMIT);
                let signed = match read.map(|bytes| self.signed(&bytes, &action)) {
                    Err(ReadProblem::Down(why)) => {
                        self.down.insert(place.name.clone());
                        self.problem(place, &name, &why);
                        return None;
                    }
                    Err(ReadProblem::Bad(why)) | Ok(Err(why)) => {
                        self.problem(place, &name, &why);
                        return None;
                    }
                    Err(ReadProblem::Missing | ReadProblem::Stopped | ReadProblem::Store(_)) => return None,
                    Ok(Ok(signed)) => signed,
                };
                if signed.key.file_name() != *signer {
                    self.problem(place, &name, "it is signed by another key than its name says");
                    return None;
                }
                let outputs = signed.outputs.clone();
                (Some(place.name.clone()), Some(signed), outputs)
            }
        };
        let digests = outputs.iter().map(|(name, output)| (name.clone(), digest(output))).collect();
        let key = signed.as_ref().map(|signed| signed.key.shown());
        let (signer, not_counted) = match signed.map(|signed| signed.signer) {
            Some(Ok(name)) => (Some(name), None),
            Some(Err(problem)) => (None, Some(word(&problem))),
            None => (None, None),
        };
        Some((ChallengeAnswer { cache, signer, key, not_counted, action, outputs: digests }, outputs))
    }

    /// What is signed, by whomever; the signature must be good.
    fn signed(&self, bytes: &[u8], action: &Digest) -> Result<Signed, String> {
        let read = || {
            let signed = SignedResult::read(bytes)?;
            let key = signed.key(Some(self.judge.trust))?;
            let outputs = signed.statement(action)?.outputs();
            let signer = self.judge.trust.signer(&key, self.judge.recipe, self.judge.now);
            Ok(Signed { signer, key, outputs })
        };
        read().map_err(|problem: ResultProblem| problem.to_string())
    }

    fn problem(&mut self, place: &CachePlace, name: &str, why: &str) {
        // Whoever writes a cache decides how many there are.
        if self.problems.len() < MAX_PROBLEMS {
            let (cache, text) = (Foreign(&place.name), told(Part::Results, name, why));
            self.problems.insert(format!("cache {cache}: {text}"));
        }
    }
}

/// A result whose signature is good.
struct Signed {
    /// Who signed it, if they are trusted with it.
    signer: Result<String, SignerProblem>,
    key: Key,
    outputs: Outputs,
}

/// Why a key does not count.
fn word(problem: &SignerProblem) -> &'static str {
    match problem {
        SignerProblem::Revoked(_) => "revoked",
        SignerProblem::KeyExpired { .. } => "expired",
        SignerProblem::NotTrustedWith { .. } => "not trusted with this recipe",
        _ => "not trusted",
    }
}

fn digest(output: &Output) -> Digest {
    match output {
        Output::File { digest, .. } => *digest,
        Output::Tree { root, .. } => *root,
    }
}

/// One builder is one trusted key, in however many caches; this store is another one, but for keys that have signed for it. Anybody may
/// contradict.
fn verdict(answers: &[ChallengeAnswer], store: &Store) -> StepVerdict {
    let counted = answers.iter().filter(|answer| answer.not_counted.is_none());
    let keys: BTreeSet<&str> = counted.filter_map(|answer| answer.key.as_deref()).collect();
    let own = answers.iter().filter(|answer| answer.key.is_none());
    let own = own.filter(|own| !keys.iter().any(|key| remember::is_own(store, &own.action, key)));
    let results: BTreeSet<&BTreeMap<String, Digest>> = answers.iter().map(|answer| &answer.outputs).collect();
    match (results.len(), keys.len() + own.count()) {
        (0, _) => StepVerdict::Missing,
        (2.., _) => StepVerdict::Differ,
        (_, 0) => StepVerdict::Untrusted,
        (_, 1) => StepVerdict::One,
        _ => StepVerdict::Agree,
    }
}

/// What a cache's files call the keys that have signed results in it: all of a directory or layout; of a web server, which says nothing of
/// what it has, the trusted ones.
fn signers(
    place: &CachePlace,
    trust: &Trust,
    (problems, down): (&mut BTreeSet<String>, &mut BTreeSet<String>),
) -> Vec<String> {
    let mut names: BTreeSet<String> = trust.keys().iter().map(Key::file_name).collect();
    if let PlaceKind::Directory(path) = &place.kind {
        let results = Dir::open_named(path).map_err(|error| {
            down.insert(place.name.clone());
            error.to_string()
        });
        let results = results.and_then(|root| root.below(Part::Results.name()).map_err(|odd| odd.to_string()));
        let seen = RefCell::new(BTreeSet::new());
        let wanted = |name: &OsString| signer(name).is_some_and(|signer| seen.borrow_mut().insert(signer));
        let listed =
            results.and_then(|results| results.entries(MAX_SIGNERS, &wanted).map_err(|error| error.to_string()));
        match listed {
            Ok(listed) => names.extend(listed.iter().filter_map(signer)),
            Err(why) => _ = problems.insert(format!("cache {}: {}", Foreign(&place.name), Foreign(why))),
        }
    }
    if let PlaceKind::Layout(path) = &place.kind {
        match layout::open(path, place.privacy).tags() {
            // Blobs and trees have tags too, which begin with no action.
            Ok(tags) => {
                let results = tags.iter().filter(|tag| tag.find('-') == Some(ACTION_DIGITS));
                names
                    .extend(results.filter_map(|tag| signer(&OsString::from(format!("{tag}.json")))).take(MAX_SIGNERS));
            }
            Err(why) => {
                down.insert(place.name.clone());
                problems.insert(format!("cache {}: {}", Foreign(&place.name), Foreign(why.to_string())));
            }
        }
    }
    names.into_iter().collect()
}

/// The key in the name of a result.
fn signer(name: &OsString) -> Option<String> {
    let (action, rest) = name.to_str()?.split_once('-')?;
    let signer = rest.strip_suffix(".json")?;
    let plain = |text: &str| text.len() < 80 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (action.parse::<Digest>().is_ok() && plain(signer)).then(|| signer.to_owned())
}

//! Which packages a set consists of.
//!
//! Input: [`Problem`]: what is asked for, and what archives offer, in the recipe's order. Output: [`Solution`] in configure
//! order, or an [`Unsolvable`] that says why not. It must not know locks, files or networks.
//!
//! Two searches. `greedy` makes apt's choices in apt's order (first alternative, then providers by apt's criteria), so that a
//! set means what an administrator expects. Where it runs into a wall, `complete` (a SAT solver) decides: it finds a
//! solution whenever there is one, prefers the same candidates, and explains the conflict when there is none.

mod complete;
mod greedy;
mod order;
mod pool;
mod refusal;
mod unmet;
mod why;

use std::collections::BTreeMap;

pub use refusal::RefusedRequest;
pub use why::{NotAReason, Why};

use crate::base::Span;
use crate::debian::archive::ArchiveRef;
use crate::debian::packages::{Index, IndexStanza, Unusable};
use crate::debian::version;
use crate::recipe::packages::{Base, PackageRequest};
use pool::{Pool, Ver};

/// An archive and what it offers.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    pub archive: &'a ArchiveRef,
    /// Like apt's pin priority.
    pub priority: i32,
    /// Its packages; a set spread over components has one offer for each.
    pub index: &'a Index,
}

pub struct Problem<'a> {
    /// Archives in the recipe's order; the order breaks ties.
    pub offers: Vec<Offer<'a>>,
    pub architecture: &'a str,
    /// What is asked for, in order.
    pub requests: &'a [PackageRequest],
    /// What is there without asking.
    pub base: Base,
    /// Whether `Recommends` are followed.
    pub recommends: bool,
    /// Names that must not be chosen.
    pub exclude: &'a [String],
    /// By name: kept when offered, as a lock wants it.
    pub locked: BTreeMap<&'a str, Pin<'a>>,
}

/// The version of a package that a lock has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin<'a> {
    pub version: &'a str,
    /// The archive that has it.
    pub archive: &'a ArchiveRef,
}

/// One package of a solution.
#[derive(Clone)]
pub struct Chosen<'a> {
    /// What the index says of it.
    pub stanza: IndexStanza<'a>,
    /// The archive it comes from.
    pub archive: &'a ArchiveRef,
    /// Why it is there.
    pub why: Why,
}

/// Packages in configure order.
pub type Solution<'a> = Vec<Chosen<'a>>;

/// No set of packages does what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsolvable {
    /// Requests that cannot be satisfied, each for itself.
    #[error("{}", listed(.0))]
    Requests(Vec<RefusedRequest>),
    /// The requests contradict each other.
    #[error("these packages cannot be installed together:\n{words}")]
    Conflict {
        /// The solver's explanation, a tree.
        words: String,
        /// Where those that take part in it are asked for.
        requests: Vec<Span>,
    },
}

fn listed(requests: &[RefusedRequest]) -> String {
    requests.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One thing that a set must contain.
#[derive(Clone)]
struct Root<'a> {
    version: Ver,
    why: Why,
    request: Option<&'a PackageRequest>,
}

/// A version that a search has chosen, and why.
struct Picked {
    version: Ver,
    why: Why,
}

/// Solves a problem; the same problem always has the same solution.
pub fn solve<'a>(problem: &Problem<'a>) -> Result<Solution<'a>, Unsolvable> {
    let mut pool = Pool::new(problem);
    let roots = roots(problem, &mut pool)?;
    for root in &roots {
        let package = pool.version(root.version).package;
        pool.packages[package].candidate = Some(root.version);
    }
    for root in roots.iter().filter(|root| root.request.is_some_and(|request| request.archive.is_some())) {
        greedy::follow_release(&mut pool, root.version);
    }
    let chosen = match greedy::search(&mut pool, &roots) {
        Some(chosen) => chosen,
        None => {
            refusal::none(unmet::requests(&mut pool, &roots))?;
            complete::search(&mut pool, &roots)?
        }
    };
    Ok(order::configure(&mut pool, chosen))
}

/// The versions that must be in: base packages by name, then requests in order.
fn roots<'a>(problem: &Problem<'a>, pool: &mut Pool<'a>) -> Result<Vec<Root<'a>>, Unsolvable> {
    let mut roots: Vec<Root<'a>> = Vec::new();
    for (name, why) in base_names(problem) {
        if problem.requests.iter().any(|request| request.name == name) {
            continue;
        }
        let package = pool.package(name);
        if let Some(version) = pool.packages[package].candidate {
            roots.push(Root { version, why, request: None });
        }
    }
    // Real names first: a virtual one is met by whatever is there anyway, wherever that stands among the requests.
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for request in problem.requests {
        match real(problem, pool, request) {
            Ok(version) => found.push((request, version)),
            Err(why) => refused.push(why),
        }
    }
    let real = found.iter().filter_map(|(_, version)| *version);
    let mut there: Vec<Ver> = real.chain(roots.iter().map(|root| root.version)).collect();
    for (request, version) in found {
        match version.map_or_else(|| provider(problem, pool, request, &there), Ok) {
            Ok(version) => {
                there.push(version);
                add(&mut roots, pool, (request, version));
            }
            Err(why) => refused.push(why),
        }
    }
    refusal::none(refused).map(|()| roots)
}

/// Adds what a request found; what is there already is there for this request, too.
fn add<'a>(roots: &mut Vec<Root<'a>>, pool: &Pool<'a>, (request, version): (&'a PackageRequest, Ver)) {
    let name = pool.version(version).stanza.name();
    match roots.iter_mut().find(|root| root.version == version) {
        Some(root) => {
            root.why = root.why.and_requested(name, &request.name);
            // The request that pins the version or its archive is the one that counts.
            root.request = root.request.filter(|request| !request.is_unpinned()).or(Some(request));
        }
        None => {
            let why = Why::Essential.and_requested(name, &request.name);
            roots.push(Root { version, why, request: Some(request) });
        }
    }
}

/// Essential and required packages by name. An archive of another priority (backports) does not decide what is essential.
fn base_names<'a>(problem: &Problem<'a>) -> BTreeMap<&'a str, Why> {
    let mut names = BTreeMap::new();
    if problem.base == Base::None {
        return names;
    }
    let highest = problem.offers.iter().map(|offer| offer.priority).max().unwrap_or(0);
    for offer in problem.offers.iter().filter(|offer| offer.priority == highest) {
        for stanza in offer.index.iter() {
            if problem.exclude.iter().any(|excluded| excluded == stanza.name()) {
                continue;
            }
            if stanza.essential() {
                names.insert(stanza.name(), Why::Essential);
            } else if problem.base == Base::Required && stanza.priority() == crate::debian::packages::REQUIRED {
                names.entry(stanza.name()).or_insert(Why::Required);
            }
        }
    }
    names
}

/// The version that a request names; nothing for a virtual name.
fn real<'a>(
    problem: &Problem<'a>,
    pool: &mut Pool<'a>,
    request: &'a PackageRequest,
) -> Result<Option<Ver>, RefusedRequest> {
    let package = pool.package(&request.name);
    let fits = |version: &pool::Version<'a>| {
        request.version.as_deref().is_none_or(|wanted| version.stanza.version() == wanted)
            && request
                .archive
                .as_deref()
                .is_none_or(|wanted| problem.offers[version.offer].archive.is_current_of(wanted))
    };
    // Within one pinned archive the highest version wins, whatever was locked.
    let found = pool.packages[package].versions.iter().copied().find(|version| fits(pool.version(*version)));
    match found {
        // What the recipe means is the newest one; an older one instead would be a downgrade that nobody stated.
        Some(version) if request.is_unpinned() && is_passed_over(problem, pool.version(version)) => {
            Err(refusal::unknown(problem, pool, request))
        }
        Some(version) => Ok(Some(version)),
        None if pool.packages[package].versions.is_empty() && request.is_unpinned() => Ok(None),
        None => Err(refusal::unknown(problem, pool, request)),
    }
}

/// The package that meets a request for a virtual name: one that is `there` in any case, else the only one that provides
/// it. apt-get refuses all names that several packages provide, but then its user can leave the request out; a recipe may
/// have it from a set that it extends.
fn provider<'a>(
    problem: &Problem<'a>,
    pool: &mut Pool<'a>,
    request: &'a PackageRequest,
    there: &[Ver],
) -> Result<Ver, RefusedRequest> {
    let package = pool.package(&request.name);
    let mut providers: Vec<Ver> = pool.providers(package).to_vec();
    if let Some(version) = there.iter().find(|version| providers.contains(version)) {
        return Ok(*version);
    }
    providers.retain(|provider| pool.packages[pool.version(*provider).package].candidate == Some(*provider));
    match providers.as_slice() {
        [] => Err(refusal::unknown(problem, pool, request)),
        [only] => Ok(*only),
        several => Err(refusal::ambiguous(pool, request, several)),
    }
}

/// Whether an archive of at least the same priority has a newer version whose entry cannot be used.
fn is_passed_over(problem: &Problem<'_>, chosen: &pool::Version<'_>) -> bool {
    let (stanza, offer) = (&chosen.stanza, &problem.offers[chosen.offer]);
    let newer = |found: &Unusable<'_>| {
        found.package == stanza.name()
            && version::is_valid(found.version)
            && version::compare(found.version, stanza.version()).is_gt()
    };
    let others = problem.offers.iter().filter(|other| other.priority >= offer.priority);
    others.into_iter().any(|other| other.index.unusable().any(|found| newer(&found)))
}

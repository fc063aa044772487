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
mod why;

use std::collections::BTreeMap;

pub use why::{NotAReason, Why};

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
    /// A request that no archive knows.
    #[error("package {name}{pinned} not found in {archives}{hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// ` from ARCHIVE`, ` with version VERSION`, when the request says so.
        pinned: String,
        /// Where it was looked for.
        archives: String,
        /// Near names, or the versions that exist.
        hint: String,
    },
    /// A request for a name that several packages provide.
    #[error("{name} is a virtual package; request one of its providers instead: {providers}")]
    Virtual {
        /// What was asked for.
        name: String,
        providers: String,
    },
    /// The requests contradict each other, or need what nobody offers.
    #[error("these packages cannot be installed together:\n{0}")]
    Conflict(String),
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
        None => complete::search(&mut pool, &roots)?,
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
    let mut found: Vec<Option<Ver>> = Vec::new();
    for request in problem.requests {
        found.push(real(problem, pool, request)?);
    }
    let mut there: Vec<Ver> = found.iter().flatten().copied().chain(roots.iter().map(|root| root.version)).collect();
    for (request, version) in problem.requests.iter().zip(found) {
        let version = match version {
            Some(version) => version,
            None => provider(problem, pool, request, &there)?,
        };
        there.push(version);
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
    Ok(roots)
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
) -> Result<Option<Ver>, Unsolvable> {
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
            Err(unknown(problem, pool, request))
        }
        Some(version) => Ok(Some(version)),
        None if pool.packages[package].versions.is_empty() && request.is_unpinned() => Ok(None),
        None => Err(unknown(problem, pool, request)),
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
) -> Result<Ver, Unsolvable> {
    let package = pool.package(&request.name);
    let mut providers: Vec<Ver> = pool.providers(package).to_vec();
    if let Some(version) = there.iter().find(|version| providers.contains(version)) {
        return Ok(*version);
    }
    providers.retain(|provider| pool.packages[pool.version(*provider).package].candidate == Some(*provider));
    match providers.as_slice() {
        [] => Err(unknown(problem, pool, request)),
        [only] => Ok(*only),
        several => {
            let names: Vec<&str> = several.iter().map(|version| pool.version(*version).stanza.name()).collect();
            Err(Unsolvable::Virtual { name: request.name.clone(), providers: names.join(", ") })
        }
    }
}

fn unknown(problem: &Problem<'_>, pool: &mut Pool<'_>, request: &PackageRequest) -> Unsolvable {
    let package = pool.package_named(&request.name);
    let versions = package.map(|package| pool.packages[package].versions.clone()).unwrap_or_default();
    let mut archives: Vec<String> = problem.offers.iter().map(|offer| offer.archive.to_string()).collect();
    archives.dedup();
    let mut pinned = String::new();
    request.version.iter().for_each(|version| pinned.push_str(&format!(" with version {version}")));
    request.archive.iter().for_each(|archive| pinned.push_str(&format!(" from {archive}")));
    let hint = if problem.exclude.contains(&request.name) {
        "; the set excludes it".to_owned()
    } else if !versions.is_empty() {
        let offered = versions.iter().map(|version| {
            let version = pool.version(*version);
            format!("{} from {}", version.stanza.version(), problem.offers[version.offer].archive)
        });
        let offered = offered.collect::<Vec<_>>().join(", ");
        format!("; there is {offered}{}", unusable(problem, &request.name).unwrap_or_default())
    } else {
        unusable(problem, &request.name).unwrap_or_else(|| near(problem, &request.name))
    };
    Unsolvable::Unknown { name: request.name.clone(), pinned, archives: archives.join(", "), hint }
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

/// Why the archive's entry of that name cannot be used, where there is one.
fn unusable(problem: &Problem<'_>, name: &str) -> Option<String> {
    problem.offers.iter().find_map(|offer| {
        let found = offer.index.unusable().find(|one| one.package == name)?;
        Some(format!("; the entry of it in {} cannot be used: {}", offer.archive, found.reason))
    })
}

/// Names that differ by one letter or continue the one asked for.
fn near(problem: &Problem<'_>, name: &str) -> String {
    let mut near: Vec<&str> = problem
        .offers
        .iter()
        .flat_map(|offer| offer.index.names())
        .filter(|known| one_edit(known.as_bytes(), name.as_bytes()))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(5);
    if near.is_empty() { String::new() } else { format!("; is it {}?", near.join(" or ")) }
}

/// Whether one insertion, deletion, change or swap of neighbours makes one text of the other.
fn one_edit(a: &[u8], b: &[u8]) -> bool {
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let front = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[front..], &b[front..]);
    match (a, b) {
        ([_, rest_a @ ..], [_, rest_b @ ..]) if rest_a == rest_b || rest_a == b || a == rest_b => true,
        ([a1, a2, rest_a @ ..], [b1, b2, rest_b @ ..]) => a1 == b2 && a2 == b1 && rest_a == rest_b,
        ([_], []) | ([], [_]) => true,
        _ => false,
    }
}

//! Dependencies that nothing can satisfy, with the way that leads to them from what is asked for.
//!
//! Input: a pool and the roots of a search that found nothing. Output: the roots that cannot be had for themselves alone,
//! and why. Where there are none, the roots exclude each other, which only the complete search can explain.

use std::collections::BTreeMap;

use super::Root;
use super::pool::{Pool, Ver};
use super::refusal::RefusedRequest;
use crate::debian::relation::Clause;

/// Deeper chains than any archive has.
const MAX_DEPTH: usize = 1200;

/// The roots that cannot be had, each with the chain of dependencies.
pub(super) fn requests<'a>(pool: &mut Pool<'a>, roots: &[Root<'a>]) -> Vec<RefusedRequest> {
    let mut search = Unmet { pool, known: BTreeMap::new() };
    let mut found = Vec::new();
    for root in roots {
        let package = search.pool.version(root.version).package;
        // A pin allows one version; otherwise another one might do.
        let pinned = root.request.is_some_and(|request| request.archive.is_some() || request.version.is_some());
        let versions = if pinned { vec![root.version] } else { search.pool.packages[package].versions.clone() };
        if versions.iter().all(|version| search.is_impossible(*version, 0)) {
            found.push(refusal(&mut search, root));
        }
    }
    found
}

fn refusal<'a>(search: &mut Unmet<'_, 'a>, root: &Root<'a>) -> RefusedRequest {
    let name = search.pool.version(root.version).stanza.name().to_owned();
    let (links, lacking) = search.chain(root.version);
    let help = lacking.and_then(|name| search.offered(name));
    RefusedRequest {
        span: root.request.map(|request| request.span),
        message: format!("package `{name}` cannot be installed: {}", links.join("; ")),
        help,
        unknown: None,
    }
}

/// Where a version stands in the search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is being looked at: a cycle is no reason against it.
    Open,
    Possible,
    Impossible,
}

struct Unmet<'p, 'a> {
    pool: &'p mut Pool<'a>,
    known: BTreeMap<Ver, Verdict>,
}

impl<'a> Unmet<'_, 'a> {
    /// Whether nothing could ever satisfy what a version depends on, whatever else is chosen.
    fn is_impossible(&mut self, version: Ver, depth: usize) -> bool {
        match self.known.get(&version) {
            Some(verdict) => return *verdict == Verdict::Impossible,
            None if depth > MAX_DEPTH => return false,
            None => _ = self.known.insert(version, Verdict::Open),
        }
        let relations = self.pool.version(version).relations.clone();
        let mut demands = relations.wants.iter().filter(|want| want.must());
        let impossible = demands.any(|want| self.is_unmet(&want.clause, depth));
        self.known.insert(version, if impossible { Verdict::Impossible } else { Verdict::Possible });
        impossible
    }

    fn is_unmet(&mut self, clause: &Clause<'a>, depth: usize) -> bool {
        let matching: Vec<Ver> = clause.iter().flat_map(|atom| self.pool.matching(atom)).collect();
        matching.iter().all(|version| self.is_impossible(*version, depth + 1))
    }

    /// `a 1 depends on b (>= 2)`, one for each package on the way, and the name that nobody offers.
    fn chain(&mut self, version: Ver) -> (Vec<String>, Option<&'a str>) {
        let (mut links, mut at) = (Vec::new(), version);
        loop {
            let relations = self.pool.version(at).relations.clone();
            let mut demands = relations.wants.iter().filter(|want| want.must());
            let Some(unmet) = demands.find(|want| self.is_unmet(&want.clause, 0)) else { return (links, None) };
            let words = unmet.clause.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
            let link = format!("{} depends on {words}", self.pool.describe(at));
            let next = unmet.clause.iter().flat_map(|atom| self.pool.matching(atom)).next();
            match next.filter(|_| links.len() < MAX_DEPTH) {
                Some(next) => {
                    links.push(link);
                    at = next;
                }
                None => {
                    let lacking = unmet.clause.first().map(|atom| atom.name);
                    let excluded = lacking.is_some_and(|name| self.pool.is_excluded(name));
                    let why = if excluded { "the set excludes" } else { "no archive of the set has" };
                    links.push(format!("{link}, which {why}"));
                    return (links, lacking);
                }
            }
        }
    }

    /// The versions of a package that there are, none of which will do.
    fn offered(&mut self, name: &'a str) -> Option<String> {
        let package = self.pool.package(name);
        let versions = self.pool.packages[package].versions.clone();
        let offered: Vec<String> = versions.iter().map(|version| self.pool.origin(*version)).collect();
        (!offered.is_empty()).then(|| format!("of {name} there is {}", offered.join(", ")))
    }
}

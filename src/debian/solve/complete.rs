//! The search that finds a solution whenever there is one: a SAT solver over every version of every package in reach.

use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, DenseIndex, Dependencies, DependencyProvider, HintDependenciesAvailable,
    Interner, KnownDependencies, NameId, Requirement, SolvableId, Solver, SolverCache, StringId, UnsolvableOrCancelled,
    VersionSetId, VersionSetUnionId,
};

use super::pool::{Pkg, Pool, Ver};
use super::{Picked, Root, Unsolvable, Why};
use crate::base::Span;
use crate::debian::relation::Atom;

/// What the solver sees: everything that the roots can reach, numbered.
struct Provider<'p, 'a> {
    pool: &'p Pool<'a>,
    sets: Vec<Set>,
    unions: Vec<Vec<VersionSetId>>,
    dependencies: Vec<KnownDependencies>,
}

/// Versions of one package.
struct Set {
    package: Pkg,
    versions: Vec<Ver>,
    words: String,
}

/// The chosen versions with the reason for each.
pub(super) fn search<'a>(pool: &mut Pool<'a>, roots: &[Root<'a>]) -> Result<Vec<Picked>, Unsolvable> {
    reach(pool, roots);
    pool.reached = pool.version_count();
    let (mut sets, mut unions, mut dependencies) = (Vec::new(), Vec::new(), Vec::new());
    for version in 0..pool.version_count() {
        dependencies.push(known(pool, version, &mut sets, &mut unions));
    }
    let requirements = roots.iter().map(|root| {
        let words = match root.request {
            Some(request) => asked_for(&request.name),
            None => format!("{} ({})", pool.version(root.version).stanza.name(), root.why),
        };
        let package = pool.version(root.version).package;
        // A pin allows one version; otherwise any will do, the best first.
        let pinned = root.request.is_some_and(|request| !request.is_unpinned());
        let mut versions = if pinned { vec![root.version] } else { pool.packages[package].versions.clone() };
        // Another version need not provide the virtual names that this one is asked for by.
        versions.retain(|version| meets(pool, *version, &root.why));
        Requirement::Single(add(&mut sets, Set { package, versions, words })).into()
    });
    let problem = resolvo::Problem::new().requirements(requirements.collect());
    let mut solver = Solver::new(Provider { pool, sets, unions, dependencies });
    let chosen = match solver.solve(problem) {
        Ok(chosen) => chosen,
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let words = conflict.display_user_friendly(&solver).to_string();
            return Err(Unsolvable::Conflict { requests: involved(roots, &words), words: words.trim_end().to_owned() });
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => unreachable!("nothing cancels the search"),
    };
    let mut chosen: Vec<Ver> = chosen.into_iter().map(DenseIndex::to_index).collect();
    chosen.sort_unstable();
    Ok(reasons(pool, roots, &chosen))
}

/// Whether a version answers every request that its package is in the set for.
fn meets(pool: &Pool<'_>, version: Ver, why: &Why) -> bool {
    let name = pool.version(version).stanza.name();
    why.requests(name).into_iter().filter(|request| *request != name).all(|request| {
        let atom = Atom { name: request, qualifier: None, constraint: None };
        pool.satisfies(version, &atom)
    })
}

fn asked_for(name: &str) -> String {
    format!("{name} (requested)")
}

/// Where the requests are that an explanation speaks of.
fn involved(roots: &[Root<'_>], words: &str) -> Vec<Span> {
    let speaks = |name: &str| {
        let found = asked_for(name);
        let mut places = words.match_indices(&found);
        places.any(|(at, _)| !words[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c)))
    };
    let requests = roots.iter().filter_map(|root| root.request);
    requests.filter(|request| speaks(&request.name)).map(|request| request.span).collect()
}

/// Loads everything that can be reached from the roots by wants of any version.
fn reach(pool: &mut Pool<'_>, roots: &[Root<'_>]) {
    let mut seen: Vec<bool> = Vec::new();
    let mut queue: Vec<Pkg> = roots.iter().map(|root| pool.version(root.version).package).collect();
    while let Some(package) = queue.pop() {
        if seen.len() < pool.packages.len() {
            seen.resize(pool.packages.len(), false);
        }
        if std::mem::replace(&mut seen[package], true) {
            continue;
        }
        for version in pool.packages[package].versions.clone() {
            let relations = pool.version(version).relations.clone();
            for atom in relations.wants.iter().flat_map(|want| &want.clause) {
                let matching = pool.matching(atom);
                queue.push(pool.package(atom.name));
                queue.extend(matching.into_iter().map(|version| pool.version(version).package));
            }
        }
    }
}

fn add(sets: &mut Vec<Set>, set: Set) -> VersionSetId {
    sets.push(set);
    VersionSetId(sets.len() as u32 - 1)
}

/// A version's relations in the solver's terms. A clause that only recommends is not a demand here: apt, too, lets those go.
fn known(
    pool: &mut Pool<'_>,
    version: Ver,
    sets: &mut Vec<Set>,
    unions: &mut Vec<Vec<VersionSetId>>,
) -> KnownDependencies {
    let relations = pool.version(version).relations.clone();
    let own = pool.version(version).package;
    let mut known = KnownDependencies::default();
    let reached = pool.reached;
    for clause in relations.wants.iter().filter(|want| want.must()).map(|want| &want.clause) {
        let mut union: Vec<VersionSetId> = Vec::new();
        for atom in clause {
            let matching = pool.matching(atom);
            for (package, versions) in by_package(pool, matching) {
                union.push(add(sets, Set { package, versions, words: atom.to_string() }));
            }
        }
        if union.is_empty() {
            // Nobody offers it: an empty set of the name itself says so.
            let package = pool.package(clause.first().map_or("", |atom| atom.name));
            let words = clause.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
            union.push(add(sets, Set { package, versions: Vec::new(), words }));
        }
        let requirement = match union[..] {
            [only] => Requirement::Single(only),
            _ => {
                unions.push(union);
                Requirement::Union(VersionSetUnionId(unions.len() as u32 - 1))
            }
        };
        known.requirements.push(requirement.into());
    }
    for atom in &relations.refuses {
        // What no root can reach will not be chosen, and refusing it says nothing.
        let mut matching = pool.matching(atom);
        matching.retain(|version| *version < reached);
        for (package, refused) in by_package(pool, matching) {
            if package == own {
                continue;
            }
            let mut versions = pool.packages[package].versions.clone();
            versions.retain(|version| !refused.contains(version));
            let words = format!("other than {atom}");
            known.constrains.push(add(sets, Set { package, versions, words }));
        }
    }
    known
}

/// Groups versions by package, in the order of first occurrence.
fn by_package(pool: &Pool<'_>, versions: Vec<Ver>) -> Vec<(Pkg, Vec<Ver>)> {
    let mut groups: Vec<(Pkg, Vec<Ver>)> = Vec::new();
    for version in versions {
        let package = pool.version(version).package;
        match groups.iter_mut().find(|(known, _)| *known == package) {
            Some((_, group)) => group.push(version),
            None => groups.push((package, vec![version])),
        }
    }
    groups
}

/// Why each version is there: breadth first from the roots.
fn reasons<'a>(pool: &mut Pool<'a>, roots: &[Root<'a>], chosen: &[Ver]) -> Vec<Picked> {
    let mut found: Vec<Picked> = Vec::new();
    for root in roots {
        let package = pool.version(root.version).package;
        let own = chosen.iter().copied().filter(|version| pool.version(*version).package == package);
        found.extend(own.map(|version| Picked { version, why: root.why.clone() }));
    }
    let mut next = 0;
    while next < found.len() {
        let version = found[next].version;
        let name = pool.version(version).stanza.name();
        let relations = pool.version(version).relations.clone();
        for want in &relations.wants {
            for version in want.clause.iter().flat_map(|atom| pool.matching(atom)).collect::<Vec<_>>() {
                if chosen.binary_search(&version).is_ok() && !found.iter().any(|known| known.version == version) {
                    found.push(Picked { version, why: want.why(name) });
                }
            }
        }
        next += 1;
    }
    found
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        self.pool.describe(solvable.to_index())
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        solvables.iter().map(|solvable| self.pool.describe(solvable.to_index())).collect::<Vec<_>>().join(" | ")
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.pool.packages[name.to_index()].name
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        let Set { words, package, .. } = &self.sets[set.0 as usize];
        words.strip_prefix(self.pool.packages[*package].name).unwrap_or(words).trim()
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        ""
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_index(self.sets[set.0 as usize].package)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_index(self.pool.version(solvable.to_index()).package)
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions[union.0 as usize].iter().copied()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("Debian relations have no conditions")
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let versions = &self.sets[set.0 as usize].versions;
        candidates.iter().copied().filter(|candidate| versions.contains(&candidate.to_index()) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let package = &self.pool.packages[name.to_index()];
        let candidates = package.versions.iter().map(|version| SolvableId::from_index(*version)).collect();
        let hint_dependencies_available = HintDependenciesAvailable::All;
        Some(Candidates { candidates, hint_dependencies_available, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // Within a package the pool has the best first.
        solvables.sort_by_key(|solvable| {
            let package = &self.pool.packages[self.pool.version(solvable.to_index()).package];
            package.versions.iter().position(|version| *version == solvable.to_index())
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        Dependencies::Known(self.dependencies[solvable.to_index()].clone())
    }
}

//! apt's way: depth first, dependencies in the order of the fields, the first alternative that can be had.
//!
//! The rules are those that `apt-get install` shows on an empty system: a dependency that something marked already
//! satisfies chooses nothing; otherwise alternatives are tried in their order, and within one alternative its providers:
//! the real package first, then essential, then protected ones, then by `Priority`, then the one that the indexes
//! mention last. Packages without which a request cannot be had are held, so that nothing chosen later removes them.

use super::pool::{Mention, Pkg, Pool, Ver, Want};
use super::{Picked, Root};
use crate::debian::relation::{Atom, Clause};

/// Deeper chains than any archive has; beyond it the complete search decides.
const MAX_DEPTH: usize = 1200;

#[derive(Clone, Copy, Default)]
struct State {
    marked: Option<Ver>,
    held: bool,
}

struct Search<'p, 'a> {
    pool: &'p mut Pool<'a>,
    state: Vec<State>,
    /// Something was tried and given up: what it pulled in may not be needed.
    wasted: bool,
}

/// The chosen versions with the reason for each, in the order in which they were marked; `None` when this way leads nowhere.
pub(super) fn search<'a>(pool: &mut Pool<'a>, roots: &[Root<'a>]) -> Option<Vec<Picked>> {
    let mut search = Search { pool, state: Vec::new(), wasted: false };
    for root in roots {
        let package = search.pool.version(root.version).package;
        *search.state(package) = State { marked: Some(root.version), held: true };
    }
    for root in roots {
        let package = search.pool.version(root.version).package;
        search.install(package, 0);
    }
    let kept = search.reachable(roots)?;
    search.is_consistent(&kept).then_some(kept)
}

impl<'a> Search<'_, 'a> {
    fn state(&mut self, package: Pkg) -> &mut State {
        if self.state.len() <= package {
            self.state.resize(package + 1, State::default());
        }
        &mut self.state[package]
    }

    /// Marks a package and what it needs. False when it cannot be had; what was marked on the way stays.
    fn install(&mut self, package: Pkg, depth: usize) -> bool {
        let State { marked, held } = *self.state(package);
        let Some(version) = self.pool.packages[package].candidate else { return false };
        if depth > MAX_DEPTH || (held && marked.is_none()) {
            return false;
        }
        let relations = self.pool.version(version).relations.clone();
        if !held
            && marked.is_some()
            && relations.wants.iter().all(|want| !want.must() || self.is_satisfied(&want.clause))
        {
            return true;
        }
        if !held && !relations.wants.iter().all(|want| !want.must() || self.is_possible(&want.clause)) {
            // Nothing will ever make it installable: do not try again.
            self.pool.packages[package].candidate = None;
            self.state(package).marked = None;
            self.wasted = true;
            return false;
        }
        let open: Vec<usize> =
            (0..relations.wants.len()).filter(|i| held || !self.is_satisfied(&relations.wants[*i].clause)).collect();
        if !self.refuse(package, &relations.refuses, held) && !held {
            return false;
        }
        *self.state(package) = State { marked: Some(version), held: true };
        let mut good = true;
        for i in open {
            let want = &relations.wants[i];
            if !self.want(want, held, depth) && want.must() {
                good = false;
                if !held {
                    break;
                }
            }
        }
        self.state(package).held = held;
        if !good && !held {
            self.pool.packages[package].candidate = None;
            self.state(package).marked = None;
            self.wasted = true;
        }
        good
    }

    /// Makes one clause hold. `held`: the package that wants it is needed itself.
    fn want(&mut self, want: &Want<'a>, held: bool, depth: usize) -> bool {
        let (clause, must) = (&want.clause, want.must());
        let satisfied = self.is_satisfied(clause);
        if satisfied && (!held || !must) {
            return true;
        }
        let solutions = self.solutions(clause);
        if satisfied {
            let [only] = solutions[..] else { return true };
            let package = self.pool.version(only).package;
            if self.state(package).held {
                return true;
            }
            self.state(package).held = true;
            return self.install(package, depth + 1);
        }
        for version in solutions.iter().copied() {
            let package = self.pool.version(version).package;
            if self.pool.packages[package].candidate != Some(version) {
                continue;
            }
            if held && must && solutions.len() == 1 {
                *self.state(package) = State { marked: Some(version), held: true };
            }
            if self.install(package, depth + 1) {
                return true;
            }
        }
        self.wasted = true;
        false
    }

    /// Puts away what a package cannot live with. False when that is needed.
    fn refuse(&mut self, package: Pkg, atoms: &[Atom<'a>], held: bool) -> bool {
        let mut good = true;
        for atom in atoms {
            let conflicts = self.pool.matching(atom);
            let marked = |search: &mut Self, version: Ver| {
                let other = search.pool.version(version).package;
                search.state(other).marked == Some(version)
            };
            for version in conflicts.iter().copied() {
                let other = self.pool.version(version).package;
                if other == package || self.pool.packages[other].candidate != Some(version) {
                    continue;
                }
                if marked(self, version) {
                    self.wasted = true;
                    if self.state(other).held {
                        good = false;
                        continue;
                    }
                    self.state(other).marked = None;
                }
                if held {
                    self.pool.packages[other].candidate = None;
                    self.state(other).held = true;
                }
            }
        }
        good
    }

    fn is_satisfied(&mut self, clause: &Clause<'a>) -> bool {
        clause.iter().any(|atom| {
            let matching = self.pool.matching(atom);
            matching.iter().any(|version| {
                let package = self.pool.version(*version).package;
                self.state(package).marked == Some(*version)
            })
        })
    }

    fn is_possible(&mut self, clause: &Clause<'a>) -> bool {
        self.is_satisfied(clause) || clause.iter().any(|atom| !self.candidates(atom).is_empty())
    }

    fn candidates(&mut self, atom: &Atom<'a>) -> Vec<Ver> {
        let mut matching = self.pool.matching(atom);
        matching.retain(|version| self.pool.packages[self.pool.version(*version).package].candidate == Some(*version));
        matching
    }

    /// Candidates that satisfy a clause, in the order in which they are tried.
    fn solutions(&mut self, clause: &Clause<'a>) -> Vec<Ver> {
        let mut solutions: Vec<Ver> = Vec::new();
        for atom in clause {
            let mut candidates = self.candidates(atom);
            candidates.sort_by_key(|version| self.rank(*version, atom));
            for version in candidates {
                let state = *self.state(self.pool.version(version).package);
                let put_away = state.held && state.marked.is_none();
                if !put_away && !solutions.contains(&version) {
                    solutions.push(version);
                }
            }
        }
        solutions
    }

    /// apt's order of providers; lower is tried first.
    fn rank(&mut self, version: Ver, atom: &Atom<'a>) -> impl Ord + use<> {
        let package = self.pool.version(version).package;
        let held = self.state(package).held;
        let (stanza, known) = (self.pool.version(version).stanza, &self.pool.packages[package]);
        let last_first = std::cmp::Reverse::<Mention>(known.mention);
        (!held, known.name != atom.name, !stanza.essential(), !stanza.protected(), stanza.priority(), last_first)
    }

    /// The marked packages that the roots need, each with its reason. After a detour, what only the detour wanted goes.
    fn reachable(&mut self, roots: &[Root<'a>]) -> Option<Vec<Picked>> {
        let mut found: Vec<Picked> = Vec::new();
        let mut seen = vec![false; self.pool.packages.len()];
        let mut queue = std::collections::VecDeque::new();
        for root in roots {
            seen[self.pool.version(root.version).package] = true;
            queue.push_back(Picked { version: root.version, why: root.why.clone() });
        }
        while let Some(picked) = queue.pop_front() {
            let name = self.pool.version(picked.version).stanza.name();
            let relations = self.pool.version(picked.version).relations.clone();
            found.push(picked);
            for want in &relations.wants {
                for version in want.clause.iter().flat_map(|atom| self.pool.matching(atom)).collect::<Vec<_>>() {
                    let package = self.pool.version(version).package;
                    if self.state(package).marked != Some(version) {
                        continue;
                    }
                    if seen.len() <= package {
                        seen.resize(self.pool.packages.len(), false);
                    }
                    if !std::mem::replace(&mut seen[package], true) {
                        queue.push_back(Picked { version, why: want.why(name) });
                    }
                }
            }
        }
        let marked = self.state.iter().filter(|state| state.marked.is_some()).count();
        (self.wasted || marked == found.len()).then_some(found)
    }

    /// Whether everything that must hold holds.
    fn is_consistent(&mut self, chosen: &[Picked]) -> bool {
        let mut state = vec![State::default(); self.state.len()];
        for Picked { version, .. } in chosen {
            state[self.pool.version(*version).package].marked = Some(*version);
        }
        self.state = state;
        chosen.iter().all(|Picked { version, .. }| {
            let package = self.pool.version(*version).package;
            let relations = self.pool.version(*version).relations.clone();
            relations.wants.iter().all(|want| !want.must() || self.is_satisfied(&want.clause))
                && relations.refuses.iter().all(|atom| {
                    self.pool.matching(atom).iter().all(|other| {
                        let owner = self.pool.version(*other).package;
                        owner == package || self.state(owner).marked != Some(*other)
                    })
                })
        })
    }
}

/// Where a package is asked for from one archive, its dependencies come from there too when no candidate satisfies them:
/// what apt does for `NAME/RELEASE`.
pub(super) fn follow_release<'a>(pool: &mut Pool<'a>, version: Ver) {
    let mut search = Search { pool, state: Vec::new(), wasted: false };
    let mut queue = vec![version];
    while let Some(version) = queue.pop() {
        let archive = search.pool.offers[search.pool.version(version).offer].archive;
        let relations = search.pool.version(version).relations.clone();
        for clause in relations.wants.iter().map(|want| &want.clause) {
            if search.has_installable(clause) {
                continue;
            }
            let switch = clause.iter().filter(|atom| atom.constraint.is_some()).find_map(|atom| {
                search.pool.matching(atom).into_iter().find(|version| {
                    let found = search.pool.version(*version);
                    search.pool.packages[found.package].name == atom.name
                        && search.pool.offers[found.offer].archive == archive
                })
            });
            if let Some(switch) = switch {
                let package = search.pool.version(switch).package;
                search.pool.packages[package].candidate = Some(switch);
                queue.push(switch);
            }
        }
    }
}

impl<'a> Search<'_, 'a> {
    /// Whether some candidate satisfies the clause and its own dependencies have candidates.
    fn has_installable(&mut self, clause: &Clause<'a>) -> bool {
        clause.iter().any(|atom| {
            self.candidates(atom).into_iter().any(|version| {
                let relations = self.pool.version(version).relations.clone();
                relations
                    .wants
                    .iter()
                    .all(|want| !want.must() || want.clause.iter().any(|atom| !self.candidates(atom).is_empty()))
            })
        })
    }
}

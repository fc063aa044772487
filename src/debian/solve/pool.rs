//! The packages that a search has met so far, loaded from the indexes when first named.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Offer, Pin, Problem, Why};
use crate::debian::packages::IndexStanza;
use crate::debian::relation::{self, Atom, Clause};
use crate::debian::version;

/// Position in [`Pool::packages`].
pub(super) type Pkg = usize;
/// Position of a version in the pool.
pub(super) type Ver = usize;

/// Everything under one name.
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    /// Best first: locked, then by priority, version and the archives' order.
    pub(super) versions: Vec<Ver>,
    /// The version that is taken unless something forces another.
    pub(super) candidate: Option<Ver>,
    /// Where the name is first met: apt numbers packages by it and breaks ties with the number.
    pub(super) mention: Mention,
    providers: Option<Rc<[Ver]>>,
}

/// A place in the indexes; earlier ones are less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mention {
    /// Position among the offers.
    pub(super) offer: usize,
    /// Position among the names of its index.
    pub(super) name: u32,
}

impl Mention {
    /// Later than every other.
    const NEVER: Mention = Mention { offer: usize::MAX, name: u32::MAX };
}

/// One version in one archive.
pub(super) struct Version<'a> {
    pub(super) package: Pkg,
    pub(super) offer: usize,
    pub(super) stanza: IndexStanza<'a>,
    pub(super) relations: Rc<Relations<'a>>,
}

/// The relations of a version, parsed. The index builder has refused stanzas in which they are malformed.
pub(super) struct Relations<'a> {
    /// Pre-Depends, Depends and (when followed) Recommends, in apt's order.
    pub(super) wants: Vec<Want<'a>>,
    /// Conflicts, then Breaks.
    pub(super) refuses: Vec<Atom<'a>>,
    pub(super) provides: Vec<Atom<'a>>,
}

/// One clause that a version wants to hold.
pub(super) struct Want<'a> {
    pub(super) clause: Clause<'a>,
    pub(super) strength: Strength,
}

/// What follows where a clause does not hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// The version cannot be had.
    Demand,
    /// Nothing.
    Recommendation,
}

impl Want<'_> {
    /// Whether the version cannot be had without it.
    pub(super) fn must(&self) -> bool {
        self.strength == Strength::Demand
    }

    /// Why a package is there that makes the clause of this package hold.
    pub(super) fn why(&self, of: &str) -> Why {
        match self.strength {
            Strength::Demand => Why::DependencyOf(of.to_owned()),
            Strength::Recommendation => Why::RecommendationOf(of.to_owned()),
        }
    }
}

pub(super) struct Pool<'a> {
    pub(super) packages: Vec<Package<'a>>,
    pub(super) offers: Vec<Offer<'a>>,
    /// How many versions the complete search looks at; later ones are only named in conflicts.
    pub(super) reached: usize,
    versions: Vec<Version<'a>>,
    names: BTreeMap<&'a str, Pkg>,
    architecture: &'a str,
    recommends: bool,
    exclude: &'a [String],
    locked: BTreeMap<&'a str, Pin<'a>>,
}

impl<'a> Pool<'a> {
    pub(super) fn new(problem: &Problem<'a>) -> Self {
        Pool {
            packages: Vec::new(),
            offers: problem.offers.clone(),
            reached: 0,
            versions: Vec::new(),
            names: BTreeMap::new(),
            architecture: problem.architecture,
            recommends: problem.recommends,
            exclude: problem.exclude,
            locked: problem.locked.clone(),
        }
    }

    /// Versions met so far.
    pub(super) fn version_count(&self) -> usize {
        self.versions.len()
    }

    pub(super) fn version(&self, version: Ver) -> &Version<'a> {
        &self.versions[version]
    }

    /// A package that was met before.
    pub(super) fn package_named(&self, name: &str) -> Option<Pkg> {
        self.names.get(name).copied()
    }

    /// The package of that name with its versions; without versions when it is virtual or unknown.
    pub(super) fn package(&mut self, name: &'a str) -> Pkg {
        if let Some(package) = self.names.get(name) {
            return *package;
        }
        let package = self.packages.len();
        self.names.insert(name, package);
        let mut versions = Vec::new();
        let mut mention = Mention::NEVER;
        for (offer, Offer { index, priority, .. }) in self.offers.clone().into_iter().enumerate() {
            let Some(found) = index.find(name) else { continue };
            mention = mention.min(Mention { offer, name: found.mention });
            if priority < 0 || self.is_excluded(name) {
                continue;
            }
            for stanza in index.packages(found) {
                versions.push(self.versions.len());
                let relations = Rc::new(self.relations(stanza));
                self.versions.push(Version { package, offer, stanza, relations });
            }
        }
        versions.sort_by(|a, b| self.preference(name, *b).cmp_with(&self.preference(name, *a)).then(a.cmp(b)));
        let candidate = versions.first().copied();
        self.packages.push(Package { name, versions, candidate, mention, providers: None });
        package
    }

    fn preference(&self, name: &str, version: Ver) -> Preference<'a> {
        let Version { stanza, offer, .. } = self.versions[version];
        let archive = self.offers[offer].archive;
        let pin = Pin { version: stanza.version(), archive };
        let locked = self.locked.get(name) == Some(&pin);
        Preference { locked, priority: self.offers[offer].priority, version: stanza.version() }
    }

    fn relations(&self, stanza: IndexStanza<'a>) -> Relations<'a> {
        let parse = |field: &str| relation::parse(stanza.relation(field)).unwrap_or_default();
        let read = |field, strength| parse(field).into_iter().map(move |clause| Want { clause, strength });
        let demands = ["Pre-Depends", "Depends"].into_iter().flat_map(|field| read(field, Strength::Demand));
        let mut wants: Vec<Want<'_>> = demands.collect();
        if self.recommends {
            wants.extend(read("Recommends", Strength::Recommendation));
        }
        Relations {
            wants,
            refuses: ["Conflicts", "Breaks"].into_iter().flat_map(parse).flatten().collect(),
            provides: parse("Provides").into_iter().flatten().collect(),
        }
    }

    /// Versions of other packages that provide this name, in the order in which apt meets them.
    pub(super) fn providers(&mut self, package: Pkg) -> Rc<[Ver]> {
        if let Some(providers) = &self.packages[package].providers {
            return providers.clone();
        }
        let name = self.packages[package].name;
        let mut found = Vec::new();
        for (offer, Offer { index, .. }) in self.offers.clone().into_iter().enumerate() {
            let Some(known) = index.find(name) else { continue };
            for stanza in index.providers(known) {
                let owner = self.package(stanza.name());
                let same = |version: &Ver| {
                    let version = &self.versions[*version];
                    version.offer == offer && version.stanza.version() == stanza.version()
                };
                found.extend(self.packages[owner].versions.iter().copied().filter(same));
            }
        }
        let providers: Rc<[Ver]> = found.into();
        self.packages[package].providers = Some(providers.clone());
        providers
    }

    /// Whether a version is what an atom asks for: by its own name, or by a `Provides`. An unversioned `Provides` never
    /// satisfies a versioned relation (Debian Policy, section 7.5).
    pub(super) fn satisfies(&self, version: Ver, atom: &Atom<'a>) -> bool {
        let Version { package, stanza, relations, .. } = &self.versions[version];
        if self.packages[*package].name == atom.name {
            let architecture = match atom.qualifier {
                None => true,
                Some("any") => stanza.allowed(),
                Some(wanted) => wanted == self.architecture,
            };
            if architecture && atom.accepts(stanza.version()) {
                return true;
            }
        }
        relations.provides.iter().any(|provided| {
            provided.name == atom.name
                && atom.qualifier.is_none_or(|wanted| wanted == self.architecture)
                && match (atom.constraint, provided.constraint) {
                    (None, _) => true,
                    (Some(_), Some((_, version))) => atom.accepts(version),
                    (Some(_), None) => false,
                }
        })
    }

    /// Every version that satisfies an atom: the package's own, best first, then providers.
    pub(super) fn matching(&mut self, atom: &Atom<'a>) -> Vec<Ver> {
        let package = self.package(atom.name);
        let providers = self.providers(package);
        let all = self.packages[package].versions.iter().chain(providers.iter());
        let mut matching: Vec<Ver> = Vec::new();
        for version in all.copied().filter(|version| self.satisfies(*version, atom)) {
            if !matching.contains(&version) {
                matching.push(version);
            }
        }
        matching
    }

    /// Whether a set must not have a package of that name.
    pub(super) fn is_excluded(&self, name: &str) -> bool {
        self.exclude.iter().any(|excluded| excluded == name)
    }

    /// `1.26.3-3+deb13u1 from trixie`
    pub(super) fn origin(&self, version: Ver) -> String {
        let Version { stanza, offer, .. } = &self.versions[version];
        format!("{} from {}", stanza.version(), self.offers[*offer].archive)
    }

    /// `nginx 1.26.3-3+deb13u1`
    pub(super) fn describe(&self, version: Ver) -> String {
        let Version { stanza, .. } = &self.versions[version];
        format!("{} {}", stanza.name(), stanza.version())
    }
}

struct Preference<'a> {
    locked: bool,
    priority: i32,
    version: &'a str,
}

impl Preference<'_> {
    fn cmp_with(&self, other: &Self) -> std::cmp::Ordering {
        (self.locked, self.priority)
            .cmp(&(other.locked, other.priority))
            .then_with(|| version::compare(self.version, other.version))
    }
}

//! What a recipe's machines consist of, before it is written in the words of a format.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Digest, Timestamp};

/// Components and how they relate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bill {
    /// The recipe.
    pub(super) name: String,
    /// Digest of the lock's inputs.
    pub(super) lock: Digest,
    /// The lock's timestamp: no clock is read.
    pub(super) created: Timestamp,
    /// The component that all others belong to.
    pub(super) root: String,
    /// By id.
    pub(super) components: BTreeMap<String, Component>,
    pub(super) relations: BTreeSet<Relation>,
    /// Licences that are not on SPDX's list, by the name that expressions use.
    pub(super) licenses: BTreeMap<String, OtherLicense>,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) kind: ComponentKind,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) sha256: Option<Digest>,
    pub(super) purl: Option<String>,
    /// Where the recipe says that it is published.
    pub(super) download: Option<String>,
    /// An SPDX licence expression; nothing where nobody says in a form that can be read.
    pub(super) license: Option<String>,
    /// Of a package: what it was built from.
    pub(super) source: Option<SourceName>,
    /// Of a package: the field `Maintainer`.
    pub(super) maintainer: Option<String>,
    /// Of what a step makes: the id that the lock has for the step.
    pub(super) step: Option<Digest>,
}

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ComponentKind {
    Recipe,
    Artifact,
    Image,
    Kernel,
    Emulator,
    Build,
    Tools,
    Package,
    Source,
    RecipeFile,
}

impl ComponentKind {
    /// The word that ids begin with.
    pub(super) fn word(self) -> &'static str {
        match self {
            ComponentKind::Recipe => "Recipe",
            ComponentKind::Artifact => "Artifact",
            ComponentKind::Image => "Image",
            ComponentKind::Kernel => "Kernel",
            ComponentKind::Emulator => "QEMU",
            ComponentKind::Build => "Build",
            ComponentKind::Tools => "Tools",
            ComponentKind::Package => "Package",
            ComponentKind::Source => "Source",
            ComponentKind::RecipeFile => "File",
        }
    }
}

/// A Debian source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceName {
    pub(super) name: String,
    pub(super) version: String,
}

/// A licence that is not on SPDX's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherLicense {
    pub(super) name: String,
    pub(super) text: Option<String>,
}

/// How one component relates to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Relation {
    pub(super) from: String,
    pub(super) kind: RelationKind,
    pub(super) to: String,
}

/// Read from the first to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RelationKind {
    Contains,
    /// Compiled or otherwise produced from it, without having it inside.
    MadeFrom,
    /// With programs of it, of which nothing is inside.
    BuiltWith,
    /// It is there when the first runs.
    RunsOn,
}

impl Component {
    pub(super) fn new(kind: ComponentKind, name: impl Into<String>) -> Component {
        Component {
            kind,
            name: name.into(),
            version: None,
            sha256: None,
            purl: None,
            download: None,
            license: None,
            source: None,
            maintainer: None,
            step: None,
        }
    }

    /// An id that follows from what it is. Names may be anything, so that two may look alike in the letters that ids have.
    pub(super) fn id(&self) -> String {
        let (kind, name) = (self.kind.word(), plain(&self.name));
        let digest = self.sha256.map(|digest| digest.hex()).unwrap_or_default();
        let version = self.version.as_deref().unwrap_or_default();
        let key = Digest::of(format!("{kind}\0{}\0{version}\0{digest}", self.name).as_bytes());
        format!("{kind}-{name}-{}", key.short())
    }
}

impl Bill {
    /// Adds a component; its id.
    pub(super) fn add(&mut self, component: Component) -> String {
        let id = component.id();
        self.components.entry(id.clone()).or_insert(component);
        id
    }

    pub(super) fn relate(&mut self, from: &str, kind: RelationKind, to: &str) {
        self.relations.insert(Relation { from: from.to_owned(), kind, to: to.to_owned() });
    }

    /// What is delivered, or runs what is delivered. The others are only needed to make it.
    pub(super) fn contents(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::from([self.root.as_str()]);
        let mut open = vec![self.root.as_str()];
        while let Some(from) = open.pop() {
            let inside = self.relations.iter().filter(|relation| relation.from == from);
            let inside = inside.filter(|it| matches!(it.kind, RelationKind::Contains | RelationKind::RunsOn));
            open.extend(inside.map(|relation| relation.to.as_str()).filter(|id| found.insert(id)));
        }
        found
    }
}

/// The letters, digits, dots and hyphens of a name, with hyphens for others: what ids of both formats may have.
pub(super) fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    name.chars().take(64).map(letter).collect()
}

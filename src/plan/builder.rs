//! What lowering writes into: a plan that grows step by step, with fetches and tool trees made once.
//!
//! Input: locked packages and sources, finished steps. Output: positions and inputs that later steps refer to.
//! A lock that satisfies its recipe has every set and source that is asked for here; anything else is a bug.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::kind::StepKind;
use super::step::{Builtin, Fetch, FetchPlace, Input, LocalSource, Plan, SourcePart, Step, Work};
use crate::base::Digest;
use crate::debian::archive::ArchiveRef;
use crate::lock::{Lock, LockedFile, LockedPackage, LockedSourceFile, SourcePlace};
use crate::recipe::Recipe;
use crate::recipe::content::FileContent;
use crate::recipe::local::{LocalPlace, LocalReader};

/// Steps for which this is the same configure the same packages in the same way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BaseKey {
    /// `base.json`
    pub(super) spec: Vec<u8>,
    /// The packages' files.
    pub(super) contents: Vec<Digest>,
    /// The step of the layers below.
    pub(super) below: Option<usize>,
}

/// A plan under construction.
#[derive(Debug)]
pub struct Builder<'a> {
    /// The lock that names every input.
    pub lock: &'a Lock,
    /// The recipe, whose files packages may be.
    recipe: Option<&'a Recipe>,
    /// What there is so far.
    pub plan: Plan,
    tools: BTreeMap<Vec<Digest>, usize>,
    /// Steps that configure packages.
    pub(super) bases: BTreeMap<BaseKey, usize>,
}

impl<'a> Builder<'a> {
    /// An empty plan over a lock.
    pub fn new(lock: &'a Lock) -> Self {
        Builder { lock, recipe: None, plan: Plan::default(), tools: BTreeMap::new(), bases: BTreeMap::new() }
    }

    /// The same with packages that the recipe brings along.
    pub fn of(recipe: &'a Recipe, lock: &'a Lock) -> Self {
        Builder { recipe: Some(recipe), ..Builder::new(lock) }
    }

    /// The variable that every step with times in its output reads.
    pub fn epoch_env(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("SOURCE_DATE_EPOCH".to_owned(), self.lock.epoch.0.to_string())])
    }

    /// Appends a step; its position.
    pub fn add_step(&mut self, step: Step) -> usize {
        debug_assert!(self.plan.position(&step.kind).is_none(), "two steps called {}", step.kind);
        self.plan.steps.push(step);
        self.plan.steps.len() - 1
    }

    /// The position of the step of this kind, which is made when it is not there yet.
    pub fn once(&mut self, kind: StepKind, make: impl FnOnce(&mut Self, StepKind) -> Step) -> usize {
        if let Some(known) = self.plan.position(&kind) {
            return known;
        }
        let step = make(self, kind);
        self.add_step(step)
    }

    /// An input that is a locked package's `.deb`.
    pub fn fetch(&mut self, package: &LockedPackage) -> Input {
        let digest = package.file.sha256;
        let place = match self.recipe.and_then(|recipe| recipe.files.get(&package.path)) {
            Some(file) if package.archive.is_local() => match &file.content {
                FileContent::Held(bytes) => return Input::Inline(bytes.clone()),
                FileContent::OnDisk(source) => FetchPlace::Recipe(source.clone()),
            },
            // Most packages are in several steps.
            _ if self.plan.fetches.contains_key(&digest) => return Input::Fetched(digest),
            _ => self.repository_place(&package.archive, &package.path),
        };
        let label = format!("{} {} ({})", package.name, package.version, package.architecture);
        self.fetch_file(label, package.file, place)
    }

    /// An input that is one file of a locked source.
    pub fn fetch_source(&mut self, source: &str, file: &str) -> Input {
        let lock = self.lock;
        let LockedSourceFile { place, file: locked } =
            lock.sources.get(source).and_then(|found| found.files.get(file)).expect("the lock has every source file");
        let place = match place {
            SourcePlace::Url(url) => FetchPlace::Url(url.clone()),
            SourcePlace::Archive { archive, path } => self.repository_place(archive, path),
        };
        self.fetch_file(file.to_owned(), *locked, place)
    }

    /// An input that is the one file of a locked source by URL.
    pub fn fetch_only(&mut self, source: &str) -> Input {
        let files = &self.lock.sources.get(source).expect("the lock has every source of its recipe").files;
        let file = files.keys().next().expect("a source that is a file has one").clone();
        self.fetch_source(source, &file)
    }

    /// An input that is a file of the recipe, by its key.
    pub fn recipe_file(&mut self, recipe: &Recipe, key: &str) -> Input {
        let file = recipe.files.get(key).expect("a checked recipe holds its files");
        match &file.content {
            FileContent::Held(bytes) => Input::Inline(bytes.clone()),
            FileContent::OnDisk(source) => {
                let locked = LockedFile { size: file.size, sha256: file.digest };
                self.fetch_file(key.to_owned(), locked, FetchPlace::Recipe(source.clone()))
            }
        }
    }

    /// An input that is an archive of a directory of whoever builds. One that this build cannot open is told before anything is
    /// built, so that its path does not matter here.
    pub fn local(&mut self, place: &LocalPlace, (reader, part): (&LocalReader, SourcePart)) -> Input {
        let path = if let LocalPlace::At(path) = place { path.clone() } else { PathBuf::new() };
        let name = part.name(reader);
        self.plan.local.insert(name.clone(), LocalSource { path, part });
        Input::Local(name)
    }

    /// An input that is any file with a known size and digest.
    pub fn fetch_file(&mut self, label: String, file: LockedFile, place: FetchPlace) -> Input {
        let digest = file.sha256;
        self.plan.fetches.entry(digest).or_insert(Fetch { label, size: file.size, digest, place });
        Input::Fetched(digest)
    }

    /// The packages of a set, in configure order.
    pub fn set(&self, name: &str) -> &'a [LockedPackage] {
        let lock = self.lock;
        lock.sets.get(name).expect("the lock has every package set of its recipe")
    }

    /// A set's `.deb` files as inputs `NNN-name_version_arch.deb`, numbered in configure order from zero.
    pub fn set_inputs(&mut self, name: &str) -> BTreeMap<String, Input> {
        let packages = self.set(name);
        packages.iter().enumerate().map(|(at, package)| (deb_name(at, package), self.fetch(package))).collect()
    }

    /// The position of the step that unpacks a set into a sandbox's root (output `tree`); one step for each set of
    /// equal contents, whatever its name.
    pub fn tools(&mut self, set: &str) -> usize {
        let key = contents(self.set(set));
        if let Some(&step) = self.tools.get(&key) {
            return step;
        }
        let inputs = self.set_inputs(set);
        let step = self.add_step(Step {
            kind: StepKind::Tools(set.to_owned()),
            work: Work::Builtin(Builtin::Tools),
            inputs,
            outputs: vec!["tree".to_owned()],
        });
        self.tools.insert(key, step);
        step
    }

    fn repository_place(&self, archive: &ArchiveRef, path: &str) -> FetchPlace {
        let archive = self.lock.archives.get(archive).expect("the lock has every archive that it names");
        FetchPlace::Repository {
            repository: archive.repository.clone(),
            path: path.to_owned(),
            snapshot: archive.snapshot,
        }
    }
}

/// `003-bash_5.2.37-2_amd64.deb`: the number keeps the configure order in a sorted directory; a version's epoch is
/// spelled as apt spells it in its cache.
pub(super) fn deb_name(at: usize, package: &LockedPackage) -> String {
    let version = package.version.replace(':', "%3a");
    format!("{at:03}-{}_{version}_{}.deb", package.name, package.architecture)
}

/// What a tool tree depends on.
fn contents(packages: &[LockedPackage]) -> Vec<Digest> {
    packages.iter().map(|package| package.file.sha256).collect()
}

//! Recipe to lock: asks the archives what there is and pins it.
//!
//! Input: a checked recipe, the lock it had, what shall move. Output: a [`Lock`] in which every set, source and archive of
//! the recipe is pinned. Only signed `InRelease` files, what they name by digest, and sources by URL are read: no package.
//! It must not know stores or steps; it keeps indexes in an [`IndexCache`] that it is handed.

mod archive;
mod cache;
mod error;
mod fetch;
mod index;
mod layers;
mod local;
mod offered;
mod report;
mod sets;
mod source;
mod source_package;

pub use cache::{DirectoryCache, IndexCache, NoCache};
pub use error::{ResolveError, Tried, UnsolvedSet};
pub use layers::of_image as first_layer;
pub use offered::{OfferedVersion, offered};
pub use sets::of as sets;
pub(super) use sets::{SetAnswer, answer as set_answer};
pub(super) use source::{SourceAnswer, answers as source_answers};

use std::collections::{BTreeMap, BTreeSet};

use super::{Lock, LockedArchive, LockedImage, LockedPackage, LockedRecipe, LockedSource, OUTPUT};
use crate::base::Digest;
use crate::debian::archive::ArchiveRef;
use crate::debian::mirror::Mirrors;
use crate::lock::recipe_digest;
use crate::recipe::Recipe;
use crate::world::World;
use crate::world::download::{Downloader, ServerWait};
use archive::Loaded;
use layers::LayeredSet;

/// What may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Nothing: what is pinned and still satisfies the recipe stays, what is missing is added.
    Keep,
    /// Everything moves to what the archives have now.
    All,
    /// These packages move, and of the others only what they force.
    Some(BTreeSet<String>),
    /// The packages and sources with these files move, and of the others only what they force.
    Gone(BTreeSet<Digest>),
}

impl Update {
    /// Whether a locked package is to be chosen anew.
    fn moves(&self, package: &LockedPackage) -> bool {
        match self {
            Update::Keep => false,
            Update::All => true,
            Update::Some(names) => names.contains(&package.name),
            Update::Gone(files) => files.contains(&package.file.sha256),
        }
    }
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// An archive's `InRelease` is asked for.
    Archive {
        /// Its name.
        name: String,
    },
    /// A file is being fetched.
    Download {
        /// What it is.
        label: String,
        /// Its size; 0 when unknown.
        bytes: u64,
    },
    /// More bytes arrived.
    Received {
        /// How many.
        bytes: u64,
    },
    /// A server that was asked too much is left alone for a while.
    Waiting(ServerWait),
    /// A set is being solved.
    Solving {
        /// Its name.
        set: String,
    },
    /// Worth telling; stops nothing.
    Warning {
        /// One sentence.
        message: String,
    },
}

/// What a resolution works with.
pub struct ResolveContext<'a> {
    /// Network and clock.
    pub world: &'a dyn World,
    /// Where boiled-down indexes are kept.
    pub cache: &'a dyn IndexCache,
    /// Who is asked.
    pub mirrors: &'a Mirrors,
    /// Who hears of it; called from any thread.
    pub listener: &'a (dyn Fn(Progress) + Sync),
}

/// The same, and who has not answered so far.
struct Asking<'a> {
    context: &'a ResolveContext<'a>,
    downloader: Downloader<'a>,
}

impl<'a> std::ops::Deref for Asking<'a> {
    type Target = ResolveContext<'a>;

    fn deref(&self) -> &ResolveContext<'a> {
        self.context
    }
}

impl ResolveContext<'_> {
    fn report(&self, progress: Progress) {
        (self.listener)(progress);
    }
}

/// Makes the lock of a recipe.
pub fn resolve(
    context: &ResolveContext<'_>,
    recipe: &Recipe,
    previous: Option<&Lock>,
    update: &Update,
) -> Result<Lock, ResolveError> {
    // Nothing is lost when a signal ends kiln here, so nothing looks out for one.
    let told = |waiting| context.report(Progress::Waiting(waiting));
    let downloader = Downloader::new(context.world, &|| false).telling(&told).courteous_to(context.mirrors.service());
    let context = &Asking { context, downloader };
    let sets = sets(recipe)?;
    known_names(previous, update, recipe)?;
    let stays = |name: &str, set| {
        let lock = previous.filter(|lock| sets::is_kept(recipe, set, lock));
        lock.is_some_and(|lock| *update != Update::All && !lock.sets[name].iter().any(|package| update.moves(package)))
    };
    let open: Vec<&str> = sets.iter().filter(|(name, set)| !stays(name, set)).map(|(name, _)| *name).collect();
    let of_sources = source::archives(recipe, previous, update);
    let mut wanted: BTreeSet<&str> = of_sources.iter().map(String::as_str).collect();
    wanted.extend(open.iter().flat_map(|name| &sets[name].archives).map(String::as_str));
    let loaded = load(context, recipe, previous, &wanted)?;
    let solving = sets::Solving { context, recipe, loaded: &loaded, previous, update };
    let (mut packages, mut unsolved) = (BTreeMap::new(), Vec::new());
    for (name, set) in &sets {
        let solved = match previous.filter(|_| !open.contains(name)) {
            None => match solving.solve(set) {
                // The author of the recipe wants to hear of all of them.
                Err(ResolveError::Unsolvable(set)) => {
                    unsolved.extend(set);
                    continue;
                }
                other => other?,
            },
            Some(lock) => {
                let mut packages = lock.sets[*name].clone();
                packages.iter_mut().for_each(|package| package.archive = solving.home(package));
                LayeredSet { packages, layers: lock.layers.get(*name).cloned().unwrap_or_default() }
            }
        };
        packages.insert((*name).to_owned(), solved);
    }
    if !unsolved.is_empty() {
        return Err(ResolveError::Unsolvable(unsolved));
    }
    let sources = source::all(context, recipe, &loaded, previous, update)?;
    let mut lock = assemble(recipe, previous, loaded, Pinned { sets: packages, sources });
    lock.images = users(recipe, previous, update);
    Ok(lock)
}

/// `--update NAME` must name something.
fn known_names(previous: Option<&Lock>, update: &Update, recipe: &Recipe) -> Result<(), ResolveError> {
    let Update::Some(names) = update else { return Ok(()) };
    let locked = |name: &String| {
        previous.is_some_and(|lock| lock.sets.values().flatten().any(|package| package.name == *name))
            || recipe.kernels.contains_key(name)
    };
    match names.iter().find(|name| !locked(name)) {
        Some(name) => {
            let kernels = recipe.kernels.keys().cloned().collect();
            Err(ResolveError::NotLocked { name: name.clone(), kernels })
        }
        None => Ok(()),
    }
}

/// Loads archives, all at the same time: most of it is waiting for servers and one core each for unpacking.
fn load<'a>(
    context: &Asking<'_>,
    recipe: &'a Recipe,
    previous: Option<&Lock>,
    wanted: &BTreeSet<&'a str>,
) -> Result<BTreeMap<&'a str, Loaded>, ResolveError> {
    let archives: Vec<_> = wanted.iter().filter_map(|name| recipe.archives.get(*name)).collect();
    let results: Vec<Result<Loaded, ResolveError>> = std::thread::scope(|scope| {
        let one = |archive: &'a crate::recipe::archive::Archive| {
            let current = ArchiveRef::current(&archive.name);
            let before = previous.and_then(|lock| lock.archives.get(&current));
            scope.spawn(move || archive::load(context, recipe, archive, before))
        };
        let threads: Vec<_> = archives.iter().map(|archive| one(archive)).collect();
        threads.into_iter().map(|thread| thread.join().expect("loading an archive does not panic")).collect()
    });
    archives
        .iter()
        .map(|archive| archive.name.as_str())
        .zip(results)
        .map(|(name, result)| Ok((name, result?)))
        .collect()
}

/// What a lock pins of its archives.
struct Pinned {
    sets: BTreeMap<String, LayeredSet>,
    sources: BTreeMap<String, LockedSource>,
}

/// The seed of the first lock of a recipe of this name.
pub(super) fn default_seed(name: &str) -> Digest {
    Digest::of(format!("kiln seed 1\n{name}\n").as_bytes())
}

/// Puts the lock together, with what only builds know carried over where its cause did not change.
fn assemble(recipe: &Recipe, previous: Option<&Lock>, loaded: BTreeMap<&str, Loaded>, pinned: Pinned) -> Lock {
    let files: BTreeMap<String, Digest> = recipe.files.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    let digest = recipe_digest(&files, &recipe.params);
    let archives = archives(recipe, previous, loaded, &pinned);
    let Pinned { sets, sources } = pinned;
    let (mut packages, mut layers) = (BTreeMap::new(), BTreeMap::new());
    for (name, mut set) in sets {
        // What the recipe states is the time of all of them.
        set.layers.iter_mut().for_each(|layer| layer.epoch = recipe.epoch.unwrap_or(layer.epoch));
        if !set.layers.is_empty() {
            layers.insert(name.clone(), set.layers);
        }
        packages.insert(name, set.packages);
    }
    let newest = archives.values().map(|archive| archive.date).max();
    let seed = default_seed(&recipe.name);
    let mut lock = Lock {
        output_version: OUTPUT,
        recipe: LockedRecipe { name: recipe.name.clone(), digest, files, params: recipe.params.clone() },
        epoch: recipe.epoch.or(newest).unwrap_or(crate::base::Timestamp(0)),
        seed: previous.map_or(seed, |lock| lock.seed),
        archives,
        sets: packages,
        layers,
        sources,
        local: super::described::local(recipe),
        kernels: BTreeMap::new(),
        images: BTreeMap::new(),
        // Whoever lowers machines knows what to say of them.
        machines: BTreeMap::new(),
        steps: BTreeMap::new(),
        outputs: BTreeMap::new(),
    };
    if let Some(previous) = previous
        && super::inputs_digest(previous) == super::inputs_digest(&lock)
    {
        lock.kernels = previous.kernels.clone();
        lock.steps = previous.steps.clone();
        lock.outputs = previous.outputs.clone();
    }
    lock
}

/// The tables of users stay. Those of images that may get other packages are opened: the next build may add to them.
fn users(recipe: &Recipe, previous: Option<&Lock>, update: &Update) -> BTreeMap<String, LockedImage> {
    let mut tables = BTreeMap::new();
    for (name, image) in &recipe.images {
        let known = previous.and_then(|lock| lock.images.get(name)).cloned();
        let mut table = known.unwrap_or(LockedImage { open: true, users: BTreeMap::new(), groups: BTreeMap::new() });
        table.open |= match update {
            Update::Keep => false,
            Update::All => true,
            Update::Some(_) | Update::Gone(_) => {
                let packages = previous.and_then(|lock| lock.sets.get(&image.packages.name));
                packages.into_iter().flatten().any(|package| update.moves(package))
            }
        };
        tables.insert(name.clone(), table);
    }
    tables
}

/// The archives that the lock speaks of: those read now, those of sets that stayed, and earlier states that still hold a
/// locked package. All that were read now share one timestamp, so that the snapshot service is asked for one moment.
fn archives(
    recipe: &Recipe,
    previous: Option<&Lock>,
    loaded: BTreeMap<&str, Loaded>,
    pinned: &Pinned,
) -> BTreeMap<ArchiveRef, LockedArchive> {
    let mut archives = BTreeMap::new();
    let newest = loaded.values().map(|loaded| loaded.locked.date).max();
    for (name, loaded) in loaded {
        let current = ArchiveRef::current(name);
        // The same state keeps the moment it was locked at: nothing changed, so nothing in the lock does.
        let before = previous.and_then(|lock| lock.archives.get(&current)).filter(|before| loaded.is_state_of(before));
        let mut locked = loaded.locked;
        locked.snapshot = before.map(|before| before.snapshot).or(newest).unwrap_or(locked.date);
        archives.insert(current, locked);
    }
    let Some(previous) = previous else { return archives };
    let packages = pinned.sets.values().flat_map(|set| &set.packages).map(|package| &package.archive);
    let files = pinned.sources.values().flat_map(|source| source.files.values());
    let of_sets = sets_archives(recipe);
    for name in packages.chain(files.filter_map(|file| file.place.archive())).chain(&of_sets) {
        let before = previous.archives.get(name).or_else(|| {
            // A state that this lock is the first to call an earlier one.
            let before = previous.archives.get(&ArchiveRef::current(&name.name))?;
            (name.moment == Some(before.snapshot)).then_some(before)
        });
        if let Some(before) = before {
            archives.entry(name.clone()).or_insert_with(|| before.clone());
        }
    }
    archives
}

fn sets_archives(recipe: &Recipe) -> Vec<ArchiveRef> {
    let sets = sets(recipe).unwrap_or_default();
    sets.values().flat_map(|set| &set.archives).map(ArchiveRef::current).collect()
}

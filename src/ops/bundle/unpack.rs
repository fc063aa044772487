//! A bundle to a store and a directory of recipes. It may come from anybody: every byte is compared with a digest, and
//! nothing appears where the user looks before all of it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::entries::{Entries, canonical};
use super::index::{self, BundleContents, Index};
use super::place::{NewDirectory, Recipes};
use super::{FILES, RECIPES, RESULTS, Sizes, artifacts_of, built_qemus, emulators, inputs_of};
use crate::base::Digest;
use crate::deliver::check::{CheckOptions, check};
use crate::deliver::launch;
use crate::deliver::manifest::{self, DeliveredFile, Manifest};
use crate::deliver::plain::is_plain;
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::format::tar::TarPath;
use crate::lock::{self, Lock, LockedFile};
use crate::ops::cache::CacheMemory;
use crate::ops::deliver::{Delivery, deliver};
use crate::ops::error::{BundleError, EntryProblem, ErrorClass, OpsError};
use crate::ops::load::{self, LOCK_LIMIT, Ready};
use crate::ops::options::{BuildOptions, RecipeOptions};
use crate::ops::session::Session;
use crate::ops::{machines, project, realize};
use crate::plan;
use crate::store::{Store, Visibility};
use crate::world::WorldError;

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unbundled {
    /// The recipe.
    pub recipe: PathBuf,
    /// Parameters that it was bundled with.
    pub set: BTreeMap<String, String>,
    /// Its lock.
    pub lock: PathBuf,
    /// The directory of artifacts, if there are any.
    pub result: Option<PathBuf>,
    /// The machines that can be run there.
    pub machines: Vec<String>,
    /// Packages, sources and artifacts that were checked.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Unpacks a bundle into the user's store and into a new directory, which is named like the recipe unless told otherwise.
pub fn unbundle(session: &Session<'_>, file: &Path, directory: Option<&Path>) -> Result<Unbundled, OpsError> {
    // From here on an interrupt ends the unpacking, and the directory goes away.
    let _running = Interruptible::start(RunningWork::Files);
    let mut entries = Entries::open(file)?;
    let head = Head::read(&mut entries)?;
    let directory = match directory {
        Some(directory) => directory.to_owned(),
        None => head.directory(file)?,
    };
    let new = NewDirectory::begin(&directory)?;
    let store = load::open_store(session.world)?;
    let (files, bytes) = take_files(&mut entries, &head, &store)?;
    Recipes::new(&new.stage, &head.lock)?.unpack(&mut entries)?;
    if let Some(entry) = entries.peek()?.cloned() {
        return Err(entries.refuse(&entry.path, EntryProblem::Unknown));
    }
    entries.end()?;

    let home = Home { bundle: file, stage: &new.stage, shown: &directory };
    let ready = home.ready(session, &head, store)?;
    home.packaged(&head, &ready)?;
    home.complete(&head, &ready)?;
    let result = match &head.manifest {
        Some(manifest) => Some(home.deliver(manifest, &ready)?),
        None => None,
    };
    drop(ready);
    new.finish()?;
    let (recipe, lock) = (head.recipe(), head.lock_path());
    let at = |path: PathBuf| directory.join(path);
    let machines = head.manifest.iter().flat_map(|manifest| manifest.qemu.keys().cloned()).collect();
    let (recipe, lock, result, set) = (at(recipe), at(lock), result.map(at), head.index.set);
    Ok(Unbundled { recipe, set, lock, result, machines, files, bytes })
}

/// What stands at the beginning of a bundle.
struct Head {
    index: Index,
    lock: Lock,
    lock_text: Vec<u8>,
    manifest: Option<Manifest>,
    /// Files that may follow.
    allowed: Sizes,
}

impl Head {
    fn read(entries: &mut Entries) -> Result<Head, OpsError> {
        let text = entries.needed(index::FILE, index::LIMIT)?;
        let refuse = |entries: &Entries, name: &str, problem| entries.refuse(&canonical(name, 0).path, problem);
        let index = Index::read(&text).map_err(|problem| refuse(entries, index::FILE, problem))?;
        let lock_text = entries.needed(LOCK, LOCK_LIMIT)?;
        let lock = read_lock(&index, &lock_text).map_err(|problem| refuse(entries, LOCK, problem))?;
        let mut allowed = inputs_of(&lock);
        let manifest = match index.contents {
            BundleContents::Inputs => None,
            BundleContents::Outputs => {
                let text = entries.needed(MANIFEST, manifest::LIMIT)?;
                let manifest = read_manifest(&lock, &text).map_err(|problem| refuse(entries, MANIFEST, problem))?;
                allowed.extend(artifacts_of(&manifest));
                Some(manifest)
            }
        };
        Ok(Head { index, lock, lock_text, manifest, allowed })
    }

    /// Where it is unpacked unless told.
    fn directory(&self, file: &Path) -> Result<PathBuf, OpsError> {
        let name = PathBuf::from(&self.lock.recipe.name);
        if is_plain(&self.lock.recipe.name) { Ok(name) } else { Err(BundleError::NoName(file.join(name)).into()) }
    }

    fn recipe(&self) -> PathBuf {
        Path::new(RECIPES).join(&self.index.recipe)
    }

    fn lock_path(&self) -> PathBuf {
        project::lock_path(&self.recipe())
    }
}

const LOCK: &str = "bundle.lock";
const MANIFEST: &str = "bundle.manifest";

fn read_lock(index: &Index, text: &[u8]) -> Result<Lock, EntryProblem> {
    let found = Digest::of(text);
    if found != index.lock {
        return Err(EntryProblem::Digest(found));
    }
    let lock = lock::read(std::str::from_utf8(text).map_err(|_| EntryProblem::Spelling)?)?;
    if lock::write(&lock).as_bytes() != text {
        return Err(EntryProblem::Spelling);
    }
    let plain = TarPath::new(&index.recipe).is_ok_and(|path| path.as_bytes() == index.recipe.as_bytes());
    if !plain || !lock.recipe.files.contains_key(&index.recipe) {
        return Err(EntryProblem::NotLocked);
    }
    Ok(lock)
}

fn read_manifest(lock: &Lock, text: &[u8]) -> Result<Manifest, EntryProblem> {
    let manifest = Manifest::read(text)?;
    let other = |what| Err(EntryProblem::OtherBuild(what));
    if manifest.write().as_bytes() != text {
        return Err(EntryProblem::Spelling);
    }
    if let Some(machine) = manifest.built_qemu.keys().next() {
        return Err(EntryProblem::BuiltQemu(format!("machine {machine}")));
    }
    if manifest.recipe != lock.recipe.name {
        return other("it names another recipe");
    }
    if manifest.lock != lock::inputs_digest(lock) || manifest.output_version != lock.output_version {
        return other("it names another lock");
    }
    if records_others(lock, &manifest) { other("the lock records other artifacts") } else { Ok(manifest) }
}

/// Whether the lock names an artifact of another build.
pub(in crate::ops) fn records_others(lock: &Lock, manifest: &Manifest) -> bool {
    let of_machine = |(machine, directory): (&str, &str)| {
        let (machine, directory) = (format!("{machine}/"), directory.to_owned());
        let names = manifest.artifacts.keys().map(move |name| {
            let file = if directory.is_empty() { Some(name.as_str()) } else { name.strip_prefix(&directory) };
            (file.map(|file| format!("{machine}{}", file.trim_start_matches('/'))), name)
        });
        names.collect::<Vec<_>>()
    };
    let machines = manifest.machines().flat_map(of_machine);
    let alone = manifest.alone().map(|file| (Some(file.clone()), file));
    machines.chain(alone).any(|(recorded, name)| {
        let recorded = recorded.and_then(|name| lock.outputs.get(&name)).map(|output| output.file);
        let listed = manifest.artifacts.get(name).map(|file| LockedFile { size: file.size, sha256: file.sha256 });
        recorded.is_some() && recorded != listed
    })
}

/// Takes the files that the lock names into the store; how many, and how many bytes.
fn take_files(entries: &mut Entries, head: &Head, store: &Store) -> Result<(usize, u64), OpsError> {
    let (mut files, mut bytes) = (0, 0);
    while entries.peek()?.is_some_and(|entry| entry.path.parts().next() == Some(FILES.as_bytes())) {
        let Some(entry) = entries.take() else { break };
        let name = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        let digest = name.strip_prefix(FILES).and_then(|name| name.strip_prefix('/')?.parse::<Digest>().ok());
        let Some(digest) = digest else { return Err(entries.refuse(&entry.path, EntryProblem::Unknown)) };
        let problem = match head.allowed.get(&digest) {
            _ if entry != canonical(&name, entry.size) => Some(EntryProblem::Attributes),
            None => Some(EntryProblem::NotLocked),
            Some(size) if *size != entry.size => Some(EntryProblem::Size { expected_size: *size, size: entry.size }),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            return Err(entries.refuse(&entry.path, problem));
        }
        let found = take_file(entries, store, (digest, entry.size))?;
        if found != digest {
            return Err(entries.refuse(&entry.path, EntryProblem::Digest(found)));
        }
        (files, bytes) = (files + 1, bytes + entry.size);
    }
    Ok((files, bytes))
}

/// Takes one file, if it is what is expected; its digest. What the store has is read all the same.
fn take_file(entries: &mut Entries, store: &Store, expected: (Digest, u64)) -> Result<Digest, OpsError> {
    let unwritten = |source| {
        let path = store.root().to_owned();
        store.failure(WorldError::File { verb: "write to", path, source }).into()
    };
    if store.has(&expected.0) {
        return entries.copy(&mut std::io::sink(), &unwritten);
    }
    let mut writer = store.writer()?;
    let found = entries.copy(&mut writer, &unwritten)?;
    if found == expected.0 {
        // What a bundle carries was closed to others, and nobody says which of it may be read by them.
        writer.finish_as(&expected, Visibility::Owner)?;
    }
    Ok(found)
}

/// The directory while it is filled.
struct Home<'a> {
    bundle: &'a Path,
    stage: &'a Path,
    shown: &'a Path,
}

impl Home<'_> {
    /// The recipe with its lock, as it will be built; an error when they do not belong together.
    fn ready<'s>(&self, session: &Session<'s>, head: &Head, store: Store) -> Result<Ready<'s>, OpsError> {
        let lock_path = self.stage.join(head.lock_path());
        let relative = head.lock_path();
        let dir = crate::world::dir::Dir::open(self.stage)?;
        dir.make_below(relative.parent().unwrap_or(Path::new("")))?;
        let mut file = dir.create_below(&relative, 0o666)?;
        crate::world::fs::context("write", &lock_path, std::io::Write::write_all(&mut file, &head.lock_text))?;
        let set = head.index.set.clone().into_iter().collect();
        let options =
            RecipeOptions { path: self.stage.join(head.recipe()), set, lock: Some(lock_path), sources: Vec::new() };
        let loaded = load::recipe(session, &options).map_err(|error| self.recipe_error(error))?;
        let lock = load::lock_of(&loaded).map_err(|error| self.recipe_error(error))?;
        machines::judge(session, &loaded.recipe, &lock).map_err(|error| self.recipe_error(error))?;
        let plan = plan::lower(&loaded.recipe, &lock);
        Ok(Ready { loaded, lock, plan, store, caches: CacheMemory::default() })
    }

    /// What is wrong with the recipe is wrong with the bundle.
    fn recipe_error(&self, error: OpsError) -> OpsError {
        if error.class() != ErrorClass::Recipe {
            return error;
        }
        let (stage, shown) = (self.stage.display().to_string(), self.shown.display().to_string());
        BundleError::Recipe { file: self.bundle.to_owned(), reason: error.to_string().replace(&stage, &shown) }.into()
    }

    /// Refuses artifacts with a QEMU that a build made: no result of a step comes out of a bundle as a program.
    fn packaged(&self, head: &Head, ready: &Ready<'_>) -> Result<(), OpsError> {
        match built_qemus(&ready.loaded.recipe).next().filter(|_| head.manifest.is_some()) {
            Some(qemu) => Err(self.no_build(EntryProblem::BuiltQemu(qemu.name.clone()))),
            None => Ok(()),
        }
    }

    /// Whether everything is there that a build, or a run, is going to ask for.
    fn complete(&self, head: &Head, ready: &Ready<'_>) -> Result<(), OpsError> {
        let emulators = emulators(&ready.plan);
        let fetches = if head.manifest.is_some() { &emulators.fetches } else { &ready.plan.fetches };
        let fetches = fetches.values().filter(|fetch| !fetch.place.is_local());
        let artifacts = head.manifest.iter().flat_map(|manifest| &manifest.artifacts);
        let needed = fetches.map(|fetch| (&fetch.digest, &fetch.label));
        let needed = needed.chain(artifacts.map(|(name, file)| (&file.sha256, name)));
        let missing: Vec<&String> =
            needed.filter(|(digest, _)| !ready.store.has(digest)).map(|(_, label)| label).collect();
        match missing.first() {
            None => Ok(()),
            Some(label) => {
                let (file, label) = (self.bundle.to_owned(), (*label).clone());
                Err(BundleError::Lacks { file, missing: missing.len(), label }.into())
            }
        }
    }

    /// Makes the directory of artifacts, and QEMU's tree out of its packages; where it is below the new directory.
    fn deliver(&self, manifest: &Manifest, ready: &Ready<'_>) -> Result<PathBuf, OpsError> {
        let steps = plan::id::by_name(&ready.plan);
        let qemu =
            ready.plan.qemu.iter().map(|(machine, at)| (machine.clone(), ready.plan.steps[*at].name())).collect();
        if manifest.steps != steps || manifest.qemu != qemu {
            return Err(self.no_build(EntryProblem::OtherBuild("its steps are not those of the recipe")));
        }
        let offline = BuildOptions { offline: true, ..BuildOptions::default() };
        realize::only(ready, &emulators(&ready.plan), &offline)?;
        let mut deliveries = BTreeMap::new();
        for (name, DeliveredFile { size, sha256 }) in &manifest.artifacts {
            let delivery = match Path::new(name).file_name().is_some_and(|name| name == launch::SCRIPT) {
                true => {
                    let text = String::from_utf8(ready.store.read(sha256, launch::LIMIT)?);
                    Delivery::Text(text.map_err(|error| OpsError::parse(name.clone(), error))?, 0o755)
                }
                false => Delivery::Blob(LockedFile { size: *size, sha256: *sha256 }),
            };
            deliveries.insert(name.clone(), delivery);
        }
        let result = Path::new(RESULTS).join(&manifest.recipe);
        let directory = self.stage.join(&result);
        deliver(&ready.store, &directory, &deliveries, manifest)?;
        let options = CheckOptions { remembered: Some(&ready.store), told: &|_, _| () };
        match check(&directory, &options)?.differences.into_iter().next() {
            Some(difference) => Err(self.no_build(EntryProblem::NoBuild(difference))),
            None => Ok(result),
        }
    }

    fn no_build(&self, problem: EntryProblem) -> OpsError {
        BundleError::Entry { file: self.bundle.to_owned(), entry: MANIFEST.to_owned(), problem }.into()
    }
}

//! A recipe and its lock to a bundle.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::closure::closure;
use super::entries::{Stoppable, ask_to_stop, canonical};
use super::index::{self, BundleContents, Index};
use super::since;
use super::{FILES, built_qemus, emulators};
use crate::base::{Diagnostic, Digest, Hasher};
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::format::tar::{TarEntry, TarError, TarWriter};
use crate::lock::{self, LockedFile};
use crate::ops::artifacts::PackedQemus;
use crate::ops::deliver::Delivery;
use crate::ops::error::{BundleError, OpsError};
use crate::ops::load::{self, Ready};
use crate::ops::options::{BuildOptions, RecipeOptions};
use crate::ops::session::Session;
use crate::ops::target::{ExistingFile, FileTarget};
use crate::ops::{artifacts, build, local, project, realize};
use crate::plan::Plan;
use crate::recipe::{self, Recipe};
use crate::store::Store;
use crate::world::{World, WorldError, fs};

/// What is to be bundled.
#[derive(Debug, Clone, Default)]
pub struct BundleRequest {
    /// The recipe, or its lock.
    pub recipe: RecipeOptions,
    /// What it is for.
    pub contents: BundleContents,
    /// How what has to be built for it is built.
    pub build: BuildOptions,
    /// A lock or a bundle whose files are left out.
    pub since: Option<PathBuf>,
    /// Where it goes.
    pub file: PathBuf,
    /// What happens to a file that is there.
    pub existing: ExistingFile,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bundled {
    /// Packages, sources and artifacts in it.
    pub files: usize,
    /// Those that are left out.
    pub left_out: usize,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// Writes a bundle.
pub fn bundle(session: &Session<'_>, request: &BundleRequest) -> Result<Bundled, OpsError> {
    // Nobody builds for hours to be told of this.
    let target = FileTarget::open(&request.file, request.existing, "a bundle")?;
    let recipe = named(session.world, &request.recipe)?;
    let known = request.since.as_deref().map(|file| since::held(session.world, file)).transpose()?.unwrap_or_default();
    let ready = load::ready(session, &recipe)?;
    local::verifiable(&ready.loaded.recipe)?;
    if request.contents == BundleContents::Outputs {
        packaged(&ready.loaded.recipe)?;
    }
    let packed = match request.contents {
        BundleContents::Inputs => inputs(&ready, &request.build)?,
        BundleContents::Outputs => outputs(&ready, &request.build, &project::result_path(&recipe.path))?,
    };
    // From here on an interrupt ends the writing, and what was written is removed.
    let _running = Interruptible::start(RunningWork::Files);
    let scratch = ready.store.scratch("bundle")?;
    let left_out = |digest: &Digest| known.contains_key(digest);
    let wanted = Wanted { request, target: &target, recipe: &recipe, scratch: &scratch, left_out: &left_out };
    let written = write(&ready, &packed, &wanted);
    // What is left is swept with the store's other scratch directories, should this fail.
    let _ = fs::remove_tree(&scratch);
    written
}

/// The recipe of a lock is where `kiln lock` has taken it from.
fn named(world: &dyn World, options: &RecipeOptions) -> Result<RecipeOptions, OpsError> {
    if options.path.extension().is_none_or(|extension| extension != "lock") {
        return Ok(options.clone());
    }
    let lock = world.canonical(&options.path)?;
    let recipe = project::recipe_path(&lock);
    if !world.exists(&recipe) {
        return Err(BundleError::NoRecipe { lock: options.path.clone(), recipe }.into());
    }
    let mut options = RecipeOptions { path: recipe, lock: Some(options.path.clone()), ..options.clone() };
    if options.set.is_empty()
        && let Some(locked) = load::read_lock(world, &lock)?
        && let Ok(checked) = recipe::check(world, &options.path, &[])
    {
        let differs = |(name, value): &(&String, &String)| checked.params.get(*name) != Some(*value);
        options.set =
            locked.recipe.params.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    Ok(options)
}

/// A program that a step made is no part of a bundle: whoever runs it has built it.
fn packaged(recipe: &Recipe) -> Result<(), OpsError> {
    let wrong: Vec<Diagnostic> = built_qemus(recipe)
        .map(|qemu| {
            let message =
                format!("QEMU `{}` is made by a build; a bundle of outputs has QEMUs of packages only", qemu.name);
            let wrong = Diagnostic::new(qemu.span, message).label("a program that a bundle does not carry");
            wrong.hint("bundle the inputs (without `--outputs`): the other side builds this QEMU itself")
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, wrong)) }
}

/// What a bundle holds besides the recipe.
struct Packed {
    lock: String,
    manifest: Option<String>,
    files: BTreeMap<Digest, Delivery>,
}

/// A rebuild needs what the plan fetches.
fn inputs(ready: &Ready<'_>, options: &BuildOptions) -> Result<Packed, OpsError> {
    Ok(Packed { lock: lock::write(&ready.lock), manifest: None, files: fetched(ready, &ready.plan, options)? })
}

/// A run needs the artifacts and QEMU.
fn outputs(ready: &Ready<'_>, options: &BuildOptions, out: &Path) -> Result<Packed, OpsError> {
    let built = build::build(ready, options, out)?;
    let mut files = fetched(ready, &emulators(&ready.plan), options)?;
    for (name, delivery) in artifacts::deliveries(ready, &built.realized, &PackedQemus::new())? {
        files.insert(built.manifest.artifacts[&name].sha256, delivery);
    }
    // A first build adds to the lock.
    let lock = load::lock_of(&ready.loaded)?;
    Ok(Packed { lock: lock::write(&lock), manifest: Some(built.manifest.write()), files })
}

/// The files of a plan that are no part of the recipe, which are in the store afterwards.
fn fetched(ready: &Ready<'_>, plan: &Plan, options: &BuildOptions) -> Result<BTreeMap<Digest, Delivery>, OpsError> {
    let remote: Vec<_> = plan.fetches.values().filter(|fetch| !fetch.place.is_local()).collect();
    realize::fetch(ready, &remote, options)?;
    let locked = |size, sha256| Delivery::Blob(LockedFile { size, sha256 });
    Ok(remote.into_iter().map(|fetch| (fetch.digest, locked(fetch.size, fetch.digest))).collect())
}

struct Wanted<'a> {
    request: &'a BundleRequest,
    target: &'a FileTarget,
    recipe: &'a RecipeOptions,
    scratch: &'a Path,
    left_out: &'a dyn Fn(&Digest) -> bool,
}

fn write(ready: &Ready<'_>, packed: &Packed, wanted: &Wanted<'_>) -> Result<Bundled, OpsError> {
    let recipe = &ready.loaded.recipe;
    let set = wanted.recipe.set.iter().cloned().collect();
    let main = ready.loaded.session.world.canonical(&wanted.recipe.path)?;
    let key = main.strip_prefix(&recipe.root).unwrap_or(&main).to_string_lossy().into_owned();
    let index = Index::new(key, set, Digest::of(packed.lock.as_bytes()), wanted.request.contents);
    let closure = closure(recipe, wanted.scratch)?;

    let file = wanted.target.begin()?;
    let mut out = Archive {
        writer: TarWriter::new(BufWriter::with_capacity(1 << 20, Hasher::new(&file.file))),
        path: wanted.request.file.clone(),
    };
    out.held(index::FILE, index.write().as_bytes())?;
    out.held("bundle.lock", packed.lock.as_bytes())?;
    if let Some(manifest) = &packed.manifest {
        out.held("bundle.manifest", manifest.as_bytes())?;
    }
    let (left_out, files): (Vec<_>, Vec<_>) = packed.files.iter().partition(|(digest, _)| (wanted.left_out)(digest));
    for (digest, delivery) in &files {
        out.file(&ready.store, digest, delivery)?;
    }
    for entry in closure.values() {
        entry.content.read(&mut |content| out.append(&entry.entry, content))?;
    }
    let (sha256, bytes) = out.finish()?;
    // Whatever the umask: a recipe may bring private files along, and artifacts may have them in them.
    wanted.target.finish(file, 0o600)?;
    Ok(Bundled { files: files.len(), left_out: left_out.len(), bytes, sha256 })
}

/// The archive that is written.
struct Archive<W: Write> {
    writer: TarWriter<BufWriter<Hasher<W>>>,
    path: PathBuf,
}

impl<W: Write> Archive<W> {
    fn append(&mut self, entry: &TarEntry, content: &mut dyn Read) -> Result<(), OpsError> {
        self.writer.append(entry, Stoppable(content)).map_err(|error| failed(&self.path, error))
    }

    fn held(&mut self, name: &str, bytes: &[u8]) -> Result<(), OpsError> {
        self.append(&canonical(name, bytes.len() as u64), &mut &*bytes)
    }

    fn file(&mut self, store: &Store, digest: &Digest, delivery: &Delivery) -> Result<(), OpsError> {
        let name = format!("{FILES}/{digest}");
        match delivery {
            Delivery::Text(text, _) => self.held(&name, text.as_bytes()),
            Delivery::Blob(blob) => {
                let mut content = fs::open(&store.path(&blob.sha256)?)?;
                self.append(&canonical(&name, blob.size), &mut content)
            }
        }
    }

    fn finish(self) -> Result<(Digest, u64), OpsError> {
        let buffer = self.writer.finish().map_err(|error| failed(&self.path, error))?;
        let inner = buffer.into_inner().map_err(|error| failed(&self.path, TarError::Io(error.into_error())))?;
        let (_, digest, size) = inner.finish();
        Ok((digest, size))
    }
}

/// Names of kiln's own are in order and what they say; so it is the disk, or the user who asked for an end.
fn failed(path: &Path, error: TarError) -> OpsError {
    match (ask_to_stop(), error) {
        (Err(stopped), _) => stopped,
        (Ok(()), TarError::Io(source)) => {
            OpsError::World(WorldError::File { verb: "write", path: path.to_owned(), source })
        }
        (Ok(()), other) => OpsError::parse(path.display().to_string(), other),
    }
}

//! `kiln lock RECIPE`: asks the archives what exists, and writes down which bits the recipe means.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::Failure;
use super::load::{self, Loaded};
use super::{machines, mirrors, output, project};
use crate::base::{ByteSize, Digest};
use crate::cli;
use crate::lock::resolve::{self, DirectoryCache, Progress, ResolveContext, ResolveError, Update};
use crate::lock::{self, Lock, LockedMachine, ReadError};
use crate::plan;
use crate::recipe::Recipe;

/// Carries the verb out.
pub fn run(args: &cli::Lock) -> Result<(), Failure> {
    let loaded = load::recipe(&args.recipe)?;
    if args.check {
        return check(&loaded);
    }
    let text_before = load::lock_text(&loaded.world, &loaded.lock_path)?;
    let previous = text_before.as_deref().and_then(|text| previous(&loaded.lock_path, text));
    let update = match &args.update {
        None => Update::Keep,
        Some(names) if names.is_empty() => Update::All,
        Some(names) => Update::Some(names.iter().cloned().collect()),
    };
    let store = load::open_store(&loaded.world)?;
    let context = ResolveContext {
        world: &loaded.world,
        cache: &DirectoryCache::new(store.root().join("index")),
        mirrors: &mirrors::known(&loaded.world)?,
        listener: &tell,
    };
    let mut new = resolve::resolve(&context, &loaded.recipe, previous.as_ref(), &update).map_err(failure)?;
    machines::judge(&loaded.recipe, &new)?;
    load::fits(&loaded.recipe, &new)
        .map_err(|why| Failure::Mistakes(format!("error: nothing can be built of what the archives offer\n{why}")))?;
    new.machines = machines::locked(&loaded.recipe, &new)?;
    new.steps = steps(&loaded.recipe, &new);
    carry_over(&loaded.recipe, &mut new, previous.as_ref());
    let text = lock::write(&new);
    if text_before.as_deref() == Some(&text) {
        return output::print(&format!("{}: unchanged\n", loaded.lock_path.display()));
    }
    project::write_lock(&loaded.lock_path, &text).map_err(Failure::world)?;
    output::print(&summary(&loaded, previous.as_ref(), &new))
}

fn tell(progress: Progress) {
    match progress {
        Progress::Archive { name } => crate::tell!("asking {name}"),
        Progress::Download { label, bytes } => crate::tell!("reading {label} ({})", ByteSize(bytes).rounded()),
        Progress::Solving { set } => crate::tell!("solving {set}"),
        Progress::Warning { message } => crate::tell!("warning: {message}"),
        Progress::Received { .. } => {}
    }
}

fn check(loaded: &Loaded) -> Result<(), Failure> {
    let lock = load::lock_of(loaded)?;
    machines::judge(&loaded.recipe, &lock)?;
    agrees(&loaded.recipe, &lock)?;
    let packages: usize = lock.sets.values().map(Vec::len).sum();
    output::print(&format!("{}: the lock of this recipe; {packages} packages\n", loaded.lock_path.display()))
}

/// Whether what the lock says of steps and machines follows from the recipe and from its own other lines.
pub fn agrees(recipe: &Recipe, lock: &Lock) -> Result<(), Failure> {
    same_steps(&lock.steps, &steps(recipe, lock))?;
    same_machines(&lock.machines, machines::locked(recipe, lock)?)
}

/// Everything that can reach a bit is in a step's id: a line that was changed by hand shows here.
fn same_steps(locked: &BTreeMap<String, Digest>, now: &BTreeMap<String, Digest>) -> Result<(), Failure> {
    let mut names = locked.keys().chain(now.keys());
    names.find(|name| locked.get(*name) != now.get(*name)).map_or(Ok(()), |name| Err(changed("step", name)))
}

/// What QEMU was asked about is known after a build only.
fn same_machines(
    locked: &BTreeMap<String, LockedMachine>,
    mut now: BTreeMap<String, LockedMachine>,
) -> Result<(), Failure> {
    for (name, machine) in &mut now {
        machine.asked = locked.get(name).map(|locked| locked.asked.clone()).unwrap_or_default();
    }
    let mut names = locked.keys().chain(now.keys());
    names.find(|name| locked.get(*name) != now.get(*name)).map_or(Ok(()), |name| Err(changed("machine", name)))
}

fn changed(what: &str, name: &str) -> Failure {
    Failure::Mistakes(format!(
        "error: the lock's {what} `{name}` is not what its other lines and the recipe come to\n  help: the lock was changed \
         by hand, or written by another version of kiln; `kiln lock` writes it anew"
    ))
}

/// The lock that is there. One that cannot be read is as good as none, but the user is told; what a hand has changed counts.
fn previous(path: &Path, text: &str) -> Option<Lock> {
    let error = match lock::read(text) {
        Ok(lock) => return Some(lock),
        Err(error) => error,
    };
    let shown = path.display();
    if matches!(error, ReadError::Changed) {
        crate::tell!("warning: {shown} was changed by hand, or merged; what it pins is kept");
        return lock::read_changed(text).ok();
    }
    crate::tell!("error: {shown}: {error}");
    crate::tell!("warning: made again from nothing");
    None
}

fn steps(recipe: &Recipe, lock: &Lock) -> BTreeMap<String, Digest> {
    plan::id::by_name(&plan::lower(recipe, lock))
}

/// What a build found out stays true as long as no input has moved; a table of users that was opened moves none.
fn carry_over(recipe: &Recipe, new: &mut Lock, previous: Option<&Lock>) {
    let Some(previous) = previous else { return };
    let unopened = Lock { images: previous.images.clone(), ..new.clone() };
    let now = steps(recipe, &unopened);
    // Steps that a newer kiln adds take nothing from what is known of the others.
    let same = previous.steps.iter().all(|(name, id)| now.get(name) == Some(id));
    if lock::inputs_digest(new) == lock::inputs_digest(previous) && same {
        new.outputs = previous.outputs.clone();
        new.kernels = previous.kernels.clone();
    }
    for (name, machine) in &mut new.machines {
        let before = previous.machines.get(name).filter(|before| {
            (&before.qemu, &before.machine_type, &before.argv) == (&machine.qemu, &machine.machine_type, &machine.argv)
        });
        machine.asked = before.map(|before| before.asked.clone()).unwrap_or_default();
    }
}

/// What only another recipe, or another `--update`, can mend is the user's mistake; the rest is the world's.
fn failure(error: ResolveError) -> Failure {
    match error {
        ResolveError::Unsolvable { .. }
        | ResolveError::SetTwice(_)
        | ResolveError::NoIndex { .. }
        | ResolveError::Keys { .. } => Failure::Mistakes(format!("error: {error}")),
        ResolveError::NotLocked(_) => Failure::Usage(error.to_string()),
        error => Failure::world(error),
    }
}

fn summary(loaded: &Loaded, previous: Option<&Lock>, new: &Lock) -> String {
    let mut text = String::new();
    for (name, packages) in &new.sets {
        let size: u64 = packages.iter().map(|package| package.file.size).sum();
        text.push_str(&format!("{name}: {} packages, {}\n", packages.len(), ByteSize(size).rounded()));
    }
    if let Some(previous) = previous {
        for change in lock::diff(previous, new) {
            text.push_str(&format!("  {change}\n"));
        }
    }
    text.push_str(&format!("wrote {}\n", loaded.lock_path.display()));
    text
}

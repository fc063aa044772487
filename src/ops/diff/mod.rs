//! `kiln diff A B`: what differs between two locks, two recipes with their locks, two result directories, or two disks.
//!
//! Everything is compared that both sides have: what locks pin, parameters and command lines of machines of locks; options of
//! kernels, as recipes ask for them or as results have them; files that were delivered, and the files of images in them.

mod files;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::files::FileDifference;
use super::error::{ExportError, MismatchError, OpsError, UsageError};
use super::export::DiskFile;
use super::load;
use super::locked;
use super::options::RecipeOptions;
use super::questions;
use super::session::Session;
use super::sign;
use crate::deliver::manifest::{self, Manifest};
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::kconfig::{self, dotconfig, fragment};
use crate::lock::{self, Change, Lock};
use crate::recipe::Recipe;
use crate::recipe::kernel::{Compiled, Origin};
use crate::world::dir::Dir;
use crate::world::fs;

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SideDifferences {
    /// What two locks pin.
    pub inputs: Vec<Change>,
    /// Parameters of the recipe, as they were when the locks were made.
    pub parameters: Vec<ValueChange>,
    /// Builds of the recipe's own, by the id of their step: another one reads or does something else.
    pub builds: Vec<ValueChange>,
    /// Options of kernels.
    pub options: Vec<OptionChange>,
    /// Command lines of machines.
    pub machines: Vec<MachineChange>,
    /// Files that were delivered.
    pub artifacts: Vec<ArtifactChange>,
    /// Files of images.
    pub files: Vec<FileDifference>,
    /// Bytes of all files that the locks pin, before and after, where that differs.
    pub size: Option<(u64, u64)>,
}

/// A value by name; none where a side has no such name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueChange {
    /// The name.
    pub name: String,
    /// On the first side.
    pub from: Option<String>,
    /// On the second side.
    pub to: Option<String>,
}

/// An option of a kernel; none where a recipe does not ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OptionChange {
    /// The kernel.
    pub kernel: String,
    /// The option, without `CONFIG_`.
    pub option: String,
    /// On the first side.
    pub from: Option<String>,
    /// On the second side.
    pub to: Option<String>,
}

/// Words of QEMU's command line, each option with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineChange {
    /// The machine.
    pub machine: String,
    /// What only the first has.
    pub removed: Vec<String>,
    /// What only the second has.
    pub added: Vec<String>,
}

/// A file with its bytes before and after; none where there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactChange {
    /// The file.
    pub file: String,
    /// On the first side.
    pub from: Option<u64>,
    /// On the second side.
    pub to: Option<u64>,
}

impl SideDifferences {
    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        *self == SideDifferences::default()
    }
}

/// One of the two.
#[derive(Default)]
struct Side {
    lock: Option<Lock>,
    recipe: Option<Recipe>,
    /// A result directory.
    result: Option<(PathBuf, Manifest)>,
    /// A disk by itself.
    disk: Option<DiskFile>,
}

/// Compares two of them.
pub fn diff(session: &Session<'_>, a: &Path, b: &Path) -> Result<SideDifferences, OpsError> {
    let _running = Interruptible::start(RunningWork::Files);
    let (one, other) = (side(session, a)?, side(session, b)?);
    let mut found = SideDifferences::default();
    let mut compared = false;
    if let (Some(one), Some(other)) = (&one.lock, &other.lock) {
        compared = true;
        locks(one, other, &mut found);
    }
    if let (Some(one), Some(other)) = (&one.recipe, &other.recipe) {
        found.options = options(&requested(one), &requested(other));
    }
    if let (Some(one), Some(other)) = (&one.result, &other.result) {
        compared = true;
        results(one, other, &mut found)?;
    }
    if let (Some(one), Some(other)) = (&one.disk, &other.disk) {
        compared = true;
        found.files = files::of_disks(one, other)?;
    }
    if compared { Ok(found) } else { Err(UsageError::Incomparable { a: a.to_owned(), b: b.to_owned() }.into()) }
}

fn side(session: &Session<'_>, path: &Path) -> Result<Side, OpsError> {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    if path.is_dir() {
        let (manifest, _) = sign::unchanged(session, path)?;
        // Of any other lock that lies there, nothing is said.
        let lock = locked::beside(session.world, path, &manifest);
        return Ok(Side { lock, result: Some((path.to_owned(), manifest)), ..Side::default() });
    }
    if ["qcow2", "raw", "tar"].contains(&ending) {
        fs::open(path)?;
        let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let disk = DiskFile::named(parent, &name.to_string_lossy(), String::new())?;
        return Ok(Side { disk: Some(disk), ..Side::default() });
    }
    let lock = Some(questions::lock(session, path)?);
    let recipe = match ending {
        "lock" => None,
        _ => Some(load::recipe(session, &RecipeOptions::of(path))?.recipe),
    };
    Ok(Side { lock, recipe, ..Side::default() })
}

fn locks(one: &Lock, other: &Lock, found: &mut SideDifferences) {
    found.inputs = lock::diff(one, other);
    let of = |lock: &Lock, name: &str| lock.recipe.params.get(name).cloned();
    for name in names(&one.recipe.params, &other.recipe.params) {
        let (from, to) = (of(one, name), of(other, name));
        if from != to {
            found.parameters.push(ValueChange { name: name.clone(), from, to });
        }
    }
    let id = |lock: &Lock, step: &str| lock.steps.get(step).map(|id| id.short());
    for step in names(&one.steps, &other.steps) {
        let Some(build) = step.strip_prefix("build ") else { continue };
        let (from, to) = (id(one, step), id(other, step));
        if from != to {
            found.builds.push(ValueChange { name: build.to_owned(), from, to });
        }
    }
    for name in names(&one.machines, &other.machines) {
        let argv = |lock: &Lock| lock.machines.get(name).map(|machine| machine.argv.clone()).unwrap_or_default();
        let (removed, added) = words::difference(&argv(one), &argv(other));
        if !(removed.is_empty() && added.is_empty()) {
            found.machines.push(MachineChange { machine: name.clone(), removed, added });
        }
    }
    let (before, after) = (questions::size(one).bytes, questions::size(other).bytes);
    found.size = (before != after).then_some((before, after));
}

/// Options by kernel, in their spelling.
type Options = BTreeMap<String, BTreeMap<String, String>>;

/// What the kernels of a recipe ask for: the options of their blocks in order, their own last.
fn requested(recipe: &Recipe) -> Options {
    let options = |compiled: &Compiled| {
        let blocks = compiled.configs.iter().map(|block| &block.options).chain([&compiled.options]);
        blocks.flatten().map(|(name, value)| (name.clone(), fragment::spelled(&value.value))).collect()
    };
    let compiled = recipe.kernels.iter().filter_map(|(name, kernel)| match &kernel.origin {
        Origin::Compiled(compiled) => Some((name.clone(), options(compiled))),
        Origin::Stock { .. } | Origin::Built(_) => None,
    });
    compiled.collect()
}

fn options(one: &Options, other: &Options) -> Vec<OptionChange> {
    let mut changes = Vec::new();
    for kernel in names(one, other) {
        let of = |options: &Options| options.get(kernel).cloned().unwrap_or_default();
        let (one, other) = (of(one), of(other));
        for option in names(&one, &other) {
            let (from, to) = (one.get(option).cloned(), other.get(option).cloned());
            if from != to {
                changes.push(OptionChange { kernel: kernel.clone(), option: option.clone(), from, to });
            }
        }
    }
    changes
}

fn results(
    one: &(PathBuf, Manifest),
    other: &(PathBuf, Manifest),
    found: &mut SideDifferences,
) -> Result<(), OpsError> {
    let artifact = |(_, manifest): &(PathBuf, Manifest), name: &String| manifest.artifacts.get(name).copied();
    for name in names(&one.1.artifacts, &other.1.artifacts) {
        let (from, to) = (artifact(one, name), artifact(other, name));
        if from == to {
            continue;
        }
        let bytes = |file: Option<manifest::DeliveredFile>| file.map(|file| file.size);
        found.artifacts.push(ArtifactChange { file: name.clone(), from: bytes(from), to: bytes(to) });
        if name.ends_with(".config") && from.is_some() && to.is_some() {
            let differences = kconfig::diff::diff(&configuration(&one.0, name)?, &configuration(&other.0, name)?);
            found.options.extend(differences.into_iter().map(|found| OptionChange {
                kernel: configured(name, &one.1),
                option: found.name,
                from: Some(found.old),
                to: Some(found.new),
            }));
        }
    }
    let disks = |(directory, manifest): &(PathBuf, Manifest)| -> Result<BTreeMap<String, DiskFile>, OpsError> {
        Ok(DiskFile::all(directory, manifest)?.into_iter().map(|disk| (disk.label.clone(), disk)).collect())
    };
    let (one_disks, other_disks) = (disks(one)?, disks(other)?);
    for (label, disk) in &one_disks {
        let Some(counterpart) = other_disks.get(label) else { continue };
        if artifact(one, &disk.name) != artifact(other, &counterpart.name) {
            found.files.extend(files::of_disks(disk, counterpart)?);
        }
    }
    Ok(())
}

/// The configuration of a kernel, through no link.
fn configuration(directory: &Path, name: &str) -> Result<dotconfig::DotConfig, OpsError> {
    let path = directory.join(name);
    let plain = Dir::open_named(directory)?.plain_below(name);
    let plain = plain.map_err(|odd| ExportError::File { path: path.clone(), odd })?;
    let bytes = fs::context("read", &path, plain.read(dotconfig::LIMIT))?;
    let wrong = |error: dotconfig::NotAConfig| MismatchError::Configuration { path, reason: error.to_string() };
    Ok(dotconfig::read(&bytes).map_err(wrong)?)
}

/// Whose configuration a file is: that of a kernel by itself, or of the kernel of a machine, of which there may be one alone.
fn configured(name: &str, manifest: &Manifest) -> String {
    let owner = name.trim_end_matches(".config");
    match (owner.strip_suffix("/kernel"), manifest.qemu.keys().next()) {
        (Some(machine), _) => format!("of {machine}"),
        (None, Some(machine)) if owner == "kernel" => format!("of {machine}"),
        _ => owner.to_owned(),
    }
}

fn names<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

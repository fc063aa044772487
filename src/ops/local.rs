//! Kernels and builds that are made from a directory of whoever runs kiln: which directories are opened, and what follows from it.
//!
//! A recipe may come from anybody. It names directories below its own root; every other one is named on the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::error::{OpsError, UsageError};
use super::options::RecipeOptions;
use crate::base::{Diagnostic, Digest};
use crate::exec::Realized;
use crate::exec::source::{SourceTree, SourceTrees};
use crate::plan::Plan;
use crate::plan::step::SourcePart;
use crate::recipe::Recipe;
use crate::recipe::build::{Build, Meant};
use crate::recipe::kernel::Kernel;
use crate::recipe::local::{LocalOrigin, LocalPlace, LocalReader, LocalUse};
use crate::world::World;

/// The directories of `--source`, without links in their paths.
pub(super) fn given(world: &dyn World, options: &RecipeOptions) -> Result<BTreeMap<String, PathBuf>, OpsError> {
    let mut sources = BTreeMap::new();
    for (name, path) in &options.sources {
        let real = world.canonical(path)?;
        world.directory(&real)?;
        if sources.insert(name.clone(), real).is_some() {
            return Err(UsageError::SourceTwice(name.clone()).into());
        }
    }
    Ok(sources)
}

/// Each `--source` must name a kernel that the recipe compiles, or a source of a build that a directory can stand in for.
pub(super) fn known(recipe: &Recipe, options: &RecipeOptions) -> Result<(), UsageError> {
    let mut named = BTreeSet::new();
    for (name, _) in &options.sources {
        let reader = reader(recipe, name)?;
        let shown = reader.to_string();
        if !named.insert(reader) {
            return Err(UsageError::SourceTwice(shown));
        }
    }
    Ok(())
}

/// What a name behind `--source` means: of a kernel and a build of one name the kernel.
fn reader(recipe: &Recipe, name: &str) -> Result<LocalReader, UsageError> {
    let reader = LocalReader::named(name);
    let found = match &reader {
        LocalReader::Kernel(kernel) if recipe.kernels.get(kernel).is_some_and(Kernel::is_compiled) => Some(reader),
        LocalReader::Kernel(build) => match recipe.builds.get(build).map(Build::meant) {
            Some(Meant::One(source)) => Some(LocalReader::Build { build: build.clone(), source: source.to_owned() }),
            Some(Meant::Unclear(sources)) if !sources.is_empty() => {
                let names = sources.iter().map(|source| format!("`{build}/{source}`")).collect::<Vec<_>>();
                return Err(UsageError::SourceUnclear { build: build.clone(), sources: names.join(", ") });
            }
            _ => None,
        },
        LocalReader::Build { build, source } => {
            let source = recipe.builds.get(build).and_then(|build| build.sources.get(source));
            source.and_then(|source| source.value.replaceable()).map(|_| reader)
        }
    };
    found.ok_or_else(|| {
        let sources = replaceable(recipe).map(|reader| format!("`{reader}`")).collect::<Vec<_>>().join(", ");
        UsageError::NoSuchSource { name: name.to_owned(), sources }
    })
}

/// Everything that `--source` can name.
fn replaceable(recipe: &Recipe) -> impl Iterator<Item = LocalReader> {
    let kernels = recipe.kernels.values().filter(|kernel| kernel.is_compiled());
    let sources = recipe.builds.values().flat_map(|build| build.sources.iter().map(move |source| (build, source)));
    let sources = sources.filter(|(_, (_, source))| source.value.replaceable().is_some());
    kernels
        .map(|kernel| LocalReader::Kernel(kernel.name.clone()))
        .chain(sources.map(|(build, (name, _))| LocalReader::Build { build: build.name.clone(), source: name.clone() }))
}

/// The directory of the one kernel that `--source` names, if it names one alone.
pub fn kernel_directory(recipe: &Recipe, options: &RecipeOptions) -> Option<PathBuf> {
    let is_kernel = |name: &str| matches!(reader(recipe, name), Ok(LocalReader::Kernel(_)));
    let mut directories = options.sources.iter().filter(|(name, _)| is_kernel(name)).map(|(_, path)| path);
    directories.next().filter(|_| directories.next().is_none()).cloned()
}

/// Directories that a build of this plan cannot open.
pub(super) fn closed(recipe: &Recipe, plan: &Plan) -> Vec<Diagnostic> {
    let needed: BTreeSet<&str> = plan.local.keys().map(|name| SourcePart::owner(name)).collect();
    let local = recipe.local().filter(|local| needed.contains(local.reader.to_string().as_str()));
    local.filter_map(|local| refusal(recipe, &local)).collect()
}

/// Directories that nothing could be built from as the recipe stands. Somebody else may have them, so they are no mistake of
/// the recipe.
pub(super) fn unopened(recipe: &Recipe) -> Vec<Diagnostic> {
    recipe.local().filter_map(|local| refusal(recipe, &local)).collect()
}

fn refusal(recipe: &Recipe, LocalUse { reader, place, span, .. }: &LocalUse<'_>) -> Option<Diagnostic> {
    let instead = format!("name the directory on the command line: `--source {}=DIR`", short(recipe, reader));
    let (message, hint) = match (place, reader) {
        (LocalPlace::At(_), _) => return None,
        (LocalPlace::Missing(what), _) => (what.clone(), instead),
        (LocalPlace::Outside, reader) => {
            let what = match reader {
                LocalReader::Kernel(_) => format!("the source of {}", reader.words()),
                LocalReader::Build { .. } => reader.words(),
            };
            let hint = format!("a recipe alone does not open other directories; {instead}");
            (format!("{what} is outside of the recipe's root"), hint)
        }
    };
    Some(Diagnostic::new(*span, message).label(made(reader)).hint(hint))
}

/// The shortest name of it behind `--source`.
fn short(recipe: &Recipe, reader: &LocalReader) -> String {
    let alone = match reader {
        LocalReader::Kernel(_) => None,
        LocalReader::Build { build, .. } => Some(build),
    };
    let is_same = |build: &&String| self::reader(recipe, build).is_ok_and(|meant| meant == *reader);
    alone.filter(is_same).cloned().unwrap_or_else(|| reader.to_string())
}

fn made(reader: &LocalReader) -> &'static str {
    match reader {
        LocalReader::Kernel(_) => "compiled from a directory",
        LocalReader::Build { .. } => "read when the build runs",
    }
}

/// What the lock does not pin cannot be compared with what others build.
pub(super) fn verifiable(recipe: &Recipe) -> Result<(), OpsError> {
    let wrong: Vec<Diagnostic> = recipe
        .local()
        .map(|LocalUse { reader, span, .. }| {
            let (message, hint) = match &reader {
                LocalReader::Kernel(kernel) => (
                    format!("kernel `{kernel}` is compiled from a directory, which the lock does not pin"),
                    "name a source that others have: a tarball by `url`, or a package with `patches`",
                ),
                LocalReader::Build { .. } => (
                    format!("{} is a directory that the lock does not pin", reader.words()),
                    "name a source that others have: a tarball by `url`, or a directory below the recipe's root",
                ),
            };
            Diagnostic::new(span, message).label("nobody else can build the same").hint(hint)
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, wrong)) }
}

/// Who said that something of this build is made from a directory, if anything is.
pub(super) fn used(recipe: &Recipe, realized: &Realized) -> Option<LocalOrigin> {
    if realized.sources().is_empty() {
        return None;
    }
    let by_recipe = recipe.local().all(|local| local.origin == LocalOrigin::Recipe);
    Some(if by_recipe { LocalOrigin::Recipe } else { LocalOrigin::CommandLine })
}

/// Directories, and what was made from each.
pub fn readers(sources: &SourceTrees) -> impl Iterator<Item = (LocalReader, &SourceTree)> {
    let whole = sources.iter().filter(|(name, _)| SourcePart::owner(name) == *name);
    whole.map(|(name, tree)| (LocalReader::named(name), &**tree))
}

/// The same by digest, for a manifest.
pub(super) fn digests(realized: &Realized) -> BTreeMap<String, Digest> {
    readers(realized.sources()).map(|(reader, tree)| (reader.to_string(), tree.digest)).collect()
}

//! Kernels that are compiled from a directory of whoever runs kiln: which directories are opened, and what follows from it.
//!
//! A recipe may come from anybody. It names directories below its own root; every other one is named on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{OpsError, UsageError};
use super::options::RecipeOptions;
use crate::base::{Diagnostic, Digest};
use crate::exec::Realized;
use crate::exec::source::{SourceTree, SourceTrees};
use crate::plan::Plan;
use crate::plan::step::SourcePart;
use crate::recipe::Recipe;
use crate::recipe::kernel::{Kernel, Origin};
use crate::recipe::local::{LocalOrigin, LocalPlace};
use crate::world::World;

/// The directories of `--source`, without links in their paths.
pub(super) fn given(world: &dyn World, options: &RecipeOptions) -> Result<BTreeMap<String, PathBuf>, OpsError> {
    let mut sources = BTreeMap::new();
    for (kernel, path) in &options.sources {
        let real = world.canonical(path)?;
        world.directory(&real)?;
        if sources.insert(kernel.clone(), real).is_some() {
            return Err(UsageError::SourceTwice(kernel.clone()).into());
        }
    }
    Ok(sources)
}

/// Each `--source` must name a kernel that the recipe compiles.
pub(super) fn known(recipe: &Recipe, options: &RecipeOptions) -> Result<(), UsageError> {
    let compiled = |kernel: &&Kernel| matches!(kernel.origin, Origin::Compiled(_));
    let names = || recipe.kernels.values().filter(compiled).map(|kernel| &kernel.name);
    match options.sources.iter().find(|(name, _)| !names().any(|known| known == name)) {
        None => Ok(()),
        Some((name, _)) => {
            let kernels = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(UsageError::NoSuchSource { name: name.clone(), kernels })
        }
    }
}

/// Kernels whose directory a build of this plan cannot open.
pub(super) fn closed(recipe: &Recipe, plan: &Plan) -> Vec<Diagnostic> {
    let needed = |kernel: &&Kernel| plan.local.keys().any(|name| SourcePart::owner(name) == kernel.name);
    let kernels = recipe.kernels.values().filter(needed);
    kernels.filter_map(|kernel| refusal(kernel, kernel.local()?.0)).collect()
}

fn refusal(kernel: &Kernel, place: &LocalPlace) -> Option<Diagnostic> {
    let name = &kernel.name;
    let instead = format!("name the directory on the command line: `--source {name}=DIR`");
    let (message, hint) = match place {
        LocalPlace::At(_) => return None,
        LocalPlace::Missing(what) => (what.clone(), instead),
        LocalPlace::Outside => {
            let message = format!("the source of kernel `{name}` is outside of the recipe's root");
            (message, format!("a recipe alone does not open other directories; {instead}"))
        }
    };
    Some(Diagnostic::new(kernel.span, message).label("compiled from a directory").hint(hint))
}

/// What the lock does not pin cannot be compared with what others build.
pub(super) fn verifiable(recipe: &Recipe) -> Result<(), OpsError> {
    let local = recipe.kernels.values().filter(|kernel| kernel.local().is_some());
    let wrong: Vec<Diagnostic> = local
        .map(|kernel| {
            let message = format!("kernel `{}` is compiled from a directory, which the lock does not pin", kernel.name);
            let hint = "name a source that others have: a tarball by `url`, or a package with `patches`";
            Diagnostic::new(kernel.span, message).label("nobody else can build the same").hint(hint)
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, wrong)) }
}

/// Who said that a kernel of this build is compiled from a directory, if any is.
pub(super) fn used(recipe: &Recipe, realized: &Realized) -> Option<LocalOrigin> {
    if realized.sources().is_empty() {
        return None;
    }
    let mut origins = recipe.kernels.values().filter_map(|kernel| kernel.local()).map(|(_, origin)| origin);
    let by_recipe = origins.all(|origin| origin == LocalOrigin::Recipe);
    Some(if by_recipe { LocalOrigin::Recipe } else { LocalOrigin::CommandLine })
}

/// Kernels with the directories that they were compiled from.
pub fn kernels(sources: &SourceTrees) -> impl Iterator<Item = (&str, &SourceTree)> {
    sources.iter().filter(|(name, _)| SourcePart::owner(name) == *name).map(|(name, tree)| (name.as_str(), &**tree))
}

/// The same by digest, for a manifest.
pub(super) fn digests(realized: &Realized) -> BTreeMap<String, Digest> {
    kernels(realized.sources()).map(|(kernel, tree)| (kernel.to_owned(), tree.digest)).collect()
}

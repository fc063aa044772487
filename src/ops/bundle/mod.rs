//! Bundles: everything that a rebuild, or a run, of a recipe needs, as one file that is the same wherever it is made.
//!
//! A bundle is an uncompressed tar archive, since nearly everything in it is compressed already:
//!
//! ```text
//! bundle.json         which recipe, with which parameters
//! bundle.lock         its lock
//! bundle.manifest     of a bundle with artifacts: their manifest
//! files/SHA256        packages and sources of the lock, or artifacts and the packages of QEMU
//! recipes/PATH        the recipe, its imports and all files that it copies
//! ```
//!
//! Entries are sorted and have no owner and one time. Whoever unpacks it believes nothing: the lock names every other file by
//! digest, and a file that it does not name is refused.

mod closure;
mod entries;
mod index;
mod pack;
mod place;
mod since;
mod unpack;

pub use index::BundleContents;
pub use pack::{BundleRequest, Bundled, bundle};
pub use unpack::{Unbundled, unbundle};

pub(super) use place::NewDirectory;
pub(super) use unpack::records_others;

use std::collections::BTreeMap;

use crate::base::Digest;
use crate::deliver::manifest::Manifest;
use crate::lock::Lock;
use crate::plan::{self, Plan};
use crate::recipe::Recipe;
use crate::recipe::qemu::BuiltQemu;

/// The time of every entry: the first that the archives of other formats can state.
const TIME: i64 = 315_532_800;

/// Where the files of the lock are.
const FILES: &str = "files";
/// Where the recipes are: a directory of this name is the root of those in it.
const RECIPES: &str = "recipes";
/// Where the artifacts are put.
const RESULTS: &str = "result";

/// Sizes by digest.
type Sizes = BTreeMap<Digest, u64>;

/// Every package and source file that a lock names.
fn inputs_of(lock: &Lock) -> Sizes {
    let packages = lock.sets.values().flatten().map(|package| package.file);
    let sources = lock.sources.values().flat_map(|source| source.files.values()).map(|source| source.file);
    packages.chain(sources).map(|file| (file.sha256, file.size)).collect()
}

/// Every file that a manifest names.
fn artifacts_of(manifest: &Manifest) -> Sizes {
    manifest.artifacts.values().map(|file| (file.sha256, file.size)).collect()
}

/// QEMUs of machines that builds of the recipe make, each once.
fn built_qemus(recipe: &Recipe) -> impl Iterator<Item = &BuiltQemu> {
    let built = recipe.machines.values().filter_map(|machine| machine.qemu.built());
    built.map(|qemu| (&qemu.name, qemu)).collect::<BTreeMap<_, _>>().into_values()
}

/// The part of a plan that unpacks the QEMU of every machine: builtin steps, whose inputs are packages of the lock.
fn emulators(plan: &Plan) -> Plan {
    let kinds: Vec<_> = plan.qemu.values().map(|at| plan.steps[*at].kind.clone()).collect();
    plan::restrict(plan, &|kind| kinds.contains(kind))
}

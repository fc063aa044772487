//! Tree to checked recipe: what the words mean, and every mistake in them.
//!
//! Input: the tree of a recipe file and the files it names. Output: [`Recipe`], in which every name is resolved,
//! every `extends` flattened, every parameter and loop expanded. It must not know locks, stores or networks.

#![warn(missing_docs)]

pub mod address;
mod alone;
mod architecture;
pub mod archive;
pub mod build;
mod check;
pub mod content;
pub mod directory;
mod evaluate;
mod files;
pub mod git;
pub mod image;
mod import;
pub mod kernel;
pub mod kinds;
pub mod local;
pub mod machine;
pub mod nearest;
pub mod packages;
mod partly;
pub mod qemu;
pub mod reach;
pub mod reader;
pub mod report;
pub mod scope;
pub mod test;
mod unused;
pub mod value;
pub mod walk;

pub use alone::Goals;
pub use check::{Given, Mistakes, check, check_given};
pub use content::RecipeFile;
pub use partly::PartlyRead;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::{Diagnostic, SourceMap, Timestamp};

/// A whole recipe whose every reference resolves.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The file's stem.
    pub name: String,
    /// The directory that neither imports nor copied files may leave.
    pub root: PathBuf,
    /// The texts that spans point into, for reports of later stages.
    pub sources: SourceMap,
    /// The recipe, its imports and the files it copies, relative to `root`, by path.
    pub files: BTreeMap<String, RecipeFile>,
    /// Every parameter and its value in canonical spelling.
    pub params: BTreeMap<String, String>,
    /// The instant every artifact carries, if the recipe fixes it.
    pub epoch: Option<Timestamp>,
    /// Where packages come from.
    pub archives: BTreeMap<String, archive::Archive>,
    /// Named package sets: build roots and tools.
    pub package_sets: BTreeMap<String, packages::PackageSet>,
    /// Kernels.
    pub kernels: BTreeMap<String, kernel::Kernel>,
    /// Steps of the recipe's own.
    pub builds: BTreeMap<String, build::Build>,
    /// QEMUs that builds make.
    pub qemus: BTreeMap<String, qemu::BuiltQemu>,
    /// Disk images.
    pub images: BTreeMap<String, image::Image>,
    /// Images and kernels that the recipe is for, with or without a machine.
    pub goals: Goals,
    /// Machines.
    pub machines: BTreeMap<String, machine::Machine>,
    /// Tests in the order of the files.
    pub tests: Vec<test::Test>,
    /// What of it has no effect.
    pub unused: Vec<Diagnostic>,
}

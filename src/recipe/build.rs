//! `build NAME { tools source env script outputs }`: a command of the recipe's own in a sandbox of locked packages.

mod check;
mod local;
mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::address::Address;
use super::kernel::Kernel;
use super::kinds::TextOrFile;
use super::local::{LocalOrigin, LocalPlace};
use super::packages::PackageSet;
use super::packages::source::DebianSource;
use crate::base::{Span, Spanned};

pub use check::check;
pub(super) use check::{output, output_or_report};
pub use local::{Meant, Replaceable};
pub(super) use order::settle;

/// A step that the recipe itself describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its name.
    pub name: String,
    /// What the sandbox's root is made of.
    pub tools: PackageSet,
    /// What it reads, by name below `/kiln/in`.
    pub sources: BTreeMap<String, Spanned<BuildSource>>,
    /// Variables besides those that every step has.
    pub env: BTreeMap<String, String>,
    /// What runs, a script for `sh`.
    pub script: Spanned<TextOrFile>,
    /// Files or directories that it leaves in the build directory.
    pub outputs: Vec<Spanned<String>>,
    /// Where it was declared.
    pub span: Span,
}

/// Something that a build reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildSource {
    /// Text in the recipe.
    Text(String),
    /// A path in `Recipe::files`.
    File(String),
    /// A directory: its key in `Recipe::files`, whose bytes are one archive.
    Directory(String),
    /// A directory of whoever runs kiln, as it is when the build runs.
    Local {
        /// Where it is.
        place: LocalPlace,
        /// Who says that it is one.
        origin: LocalOrigin,
        /// What the recipe says.
        stated: Replaceable,
    },
    /// A file on the network; [`Build::source_name`] names it in the lock.
    Url(Address),
    /// The files of a Debian source package, or its tarball alone; [`Build::source_name`] names them in the lock.
    DebianSource(DebianSource),
    /// What another build left.
    Output(BuildOutput),
    /// What modules of a compiled kernel are compiled against: a key of `Recipe::kernels`.
    Kernel(String),
}

/// An output of a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildOutput {
    /// The build.
    pub build: String,
    /// One of its outputs.
    pub name: String,
}

impl fmt::Display for BuildOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.name, self.build)
    }
}

impl Build {
    /// The key of a fetched source among the lock's sources.
    pub fn source_name(&self, source: &str) -> String {
        format!("{}:{source}", self.name)
    }

    /// The kernels that it reads from.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.sources.values().filter_map(|source| match &source.value {
            BuildSource::Kernel(kernel) => Some(kernel.as_str()),
            _ => None,
        })
    }

    /// What it reads of other builds, itself or through the source of a kernel that it reads.
    pub fn dependencies<'a>(&'a self, kernels: &'a BTreeMap<String, Kernel>) -> impl Iterator<Item = &'a BuildOutput> {
        self.sources.values().flat_map(|source| match &source.value {
            BuildSource::Output(output) => vec![output],
            BuildSource::Kernel(kernel) => {
                let outputs = kernels.get(kernel).into_iter().flat_map(Kernel::outputs);
                outputs.map(|output| &output.value).collect()
            }
            _ => Vec::new(),
        })
    }
}

/// These builds and all that they read from, directly or not.
pub(super) fn closure<'a>(
    builds: &'a BTreeMap<String, Build>,
    kernels: &'a BTreeMap<String, Kernel>,
    wanted: impl Iterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = wanted.collect();
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            let build = builds.get(name);
            let read = build.into_iter().flat_map(|build| build.dependencies(kernels));
            open.extend(read.map(|output| output.build.as_str()));
        }
    }
    reached
}

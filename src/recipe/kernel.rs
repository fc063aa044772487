//! `kernel NAME { ... }` and `config NAME { ... }`: a stock Debian kernel, one compiled from locked source, or one that builds of the
//! recipe leave.

mod built;
mod check;
mod config;
mod contradiction;
mod modules;

use std::collections::BTreeMap;

use super::build::BuildOutput;
use super::local::{LocalOrigin, LocalPlace};
use super::packages::PackageSet;
use super::packages::source::DebianSource;
use crate::base::Arch;
use crate::base::digest::Digest;
use crate::base::span::{Span, Spanned};

pub use built::BuiltKernel;
pub use check::check;
pub use config::config;

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// What it runs on.
    pub architecture: Spanned<Arch>,
    /// Where its bits come from.
    pub origin: Origin,
    /// Where it was declared.
    pub span: Span,
}

impl Kernel {
    /// The key of its tarball or Debian source package among the lock's sources, where it has one.
    pub fn source_name(&self) -> String {
        format!("{}-source", self.name)
    }

    /// The packages that have it, or its source, where packages have either.
    pub fn package_set(&self) -> Option<&PackageSet> {
        match &self.origin {
            Origin::Stock { set, .. } => Some(set),
            Origin::Compiled(compiled) => match &compiled.source {
                KernelSource::Package(set) => Some(set),
                _ => None,
            },
            Origin::Built(_) => None,
        }
    }

    /// What it takes of builds of the recipe.
    pub fn outputs(&self) -> Vec<&Spanned<BuildOutput>> {
        match &self.origin {
            Origin::Stock { .. } => Vec::new(),
            Origin::Compiled(compiled) => match &compiled.source {
                KernelSource::Output(output) => vec![output],
                _ => Vec::new(),
            },
            Origin::Built(built) => std::iter::once(&built.image).chain(&built.modules).chain(&built.config).collect(),
        }
    }

    /// Whether it is compiled here.
    pub fn is_compiled(&self) -> bool {
        matches!(self.origin, Origin::Compiled(_))
    }

    /// The directory that it is compiled from, if it is compiled from one, and where the recipe says what it is compiled from.
    pub fn local(&self) -> Option<(&LocalPlace, LocalOrigin, Span)> {
        match &self.origin {
            Origin::Compiled(compiled) => match &compiled.source {
                KernelSource::Directory(place, origin) => Some((place, *origin, compiled.source_span)),
                _ => None,
            },
            Origin::Stock { .. } | Origin::Built(_) => None,
        }
    }

    /// Modules, by name, that its initramfs loads besides those needed to mount the root.
    pub fn initrd_modules(&self) -> &[Spanned<String>] {
        match &self.origin {
            Origin::Stock { initrd_modules, .. } => initrd_modules,
            Origin::Compiled(compiled) => &compiled.initrd_modules,
            Origin::Built(built) => &built.initrd_modules,
        }
    }

    /// Whether it comes with an initramfs: a kernel that has modules may have those that mount the root as modules.
    pub fn has_initrd(&self) -> bool {
        match &self.origin {
            Origin::Stock { .. } => true,
            Origin::Compiled(compiled) => compiled.modules,
            Origin::Built(built) => built.modules.is_some(),
        }
    }
}

/// The ways to a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A kernel image package, this kernel is used as Debian built it. `set` resolves to the package and what it depends on; the one
    /// that ships `/boot/vmlinuz-*` is the kernel.
    Stock {
        /// The set holding the kernel image package only (its dependencies do not matter to kiln).
        set: PackageSet,
        /// Modules, by name, that the initramfs loads besides those needed to mount the root.
        initrd_modules: Vec<Spanned<String>>,
    },
    /// Compiled here.
    Compiled(Box<Compiled>),
    /// Left by builds of the recipe, ready to boot.
    Built(Box<BuiltKernel>),
}

/// A kernel compiled in a sandbox made of locked packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Where the source tree comes from.
    pub source: KernelSource,
    /// Where the recipe says so.
    pub source_span: Span,
    /// Patches in order, as paths in `Recipe::files`; applied with fuzz 0.
    pub patches: Vec<Spanned<String>>,
    /// What the configuration starts from.
    pub base: ConfigBase,
    /// Fragments in order: the options of every `config` block named in `configs`.
    pub configs: Vec<ConfigBlock>,
    /// The kernel's own options, applied last.
    pub options: BTreeMap<String, Spanned<OptionValue>>,
    /// What must be in the final `.config`, beyond every option above.
    pub require: BTreeMap<String, Spanned<OptionValue>>,
    /// Compilers and tools.
    pub build: PackageSet,
    /// Whether modules are built and put into the image, with an initramfs of those that mount the root. False: asking
    /// for an option as `m` is an error.
    pub modules: bool,
    /// Modules, by name, that the initramfs loads besides those needed to mount the root.
    pub initrd_modules: Vec<Spanned<String>>,
    /// Whether BTF is generated.
    pub btf: bool,
}

impl Compiled {
    /// Whether the recipe asks for a switch to be on: the last word on it counts.
    pub fn asks_for(&self, option: &str) -> bool {
        let blocks = self.configs.iter().rev().flat_map(|block| [&block.require, &block.options]);
        let mut places = [&self.require, &self.options].into_iter().chain(blocks);
        places.find_map(|options| options.get(option)).is_some_and(|value| value.value == OptionValue::Yes)
    }

    /// Options that `modules` and `btf` stand for: they too must survive. An initramfs is of no use to a kernel that
    /// reads none.
    pub fn needs(&self) -> Vec<&'static str> {
        let modules: &[&str] = if self.modules { &["BLK_DEV_INITRD", "MODULES"] } else { &[] };
        let btf: &[&str] = if self.btf { &["DEBUG_INFO_BTF"] } else { &[] };
        [modules, btf].concat()
    }
}

/// Where a kernel's source tree comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// A binary package that ships `/usr/src/linux-source-*.tar.xz`.
    Package(PackageSet),
    /// A Debian source package with Debian's patches, or its tarball without them.
    DebianSource(DebianSource),
    /// An upstream tarball.
    Url {
        /// Where it was published.
        url: String,
        /// What it must be; absent means: pinned by the lock.
        digest: Option<Digest>,
    },
    /// What a build of the recipe leaves: a tarball, or a directory.
    Output(Spanned<BuildOutput>),
    /// A tree of whoever runs kiln, as it is when the kernel is built.
    Directory(LocalPlace, LocalOrigin),
}

/// What a configuration starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigBase {
    /// A make target of the source tree: `x86_64_defconfig`, `tinyconfig`.
    Target(String),
    /// Debian's own configuration for this kernel (shipped in the linux-config or linux-image package of the set).
    Debian(PackageSet),
    /// A file of the recipe.
    File(String),
}

/// A named fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigBlock {
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub options: BTreeMap<String, Spanned<OptionValue>>,
    /// What it insists on.
    pub require: BTreeMap<String, Spanned<OptionValue>>,
    /// Where it was declared.
    pub span: Span,
}

/// The value of a Kconfig option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum OptionValue {
    /// `y`
    Yes,
    /// `m`
    Module,
    /// `n`
    No,
    /// A string option.
    Text(String),
    /// A number, in its spelling (`0x1000` or `12`).
    Number(String),
}

//! The command line, as types. Every verb is one file of `command/`.

mod attest;
mod challenge;
mod emulator;
mod export;
mod host;
mod machines;
mod monitor;
mod order;
mod questions;
mod registry;
mod remote;
mod root;
mod shared;
mod sharing;
mod store;

pub use attest::AttestArgs;
pub use challenge::ChallengeArgs;
pub use emulator::QemuArgs;
pub use export::{ExportArgs, ExportKind};
pub use host::HostArgs;
pub use machines::{AccelArg, PrintForm, RunArgs, TestArgs};
pub use monitor::QmpArgs;
pub use order::ordered;
pub use questions::{DiffArgs, OutdatedArgs, ReportArgs, SizeArgs, WhyArgs};
pub use registry::{PullArgs, PushArgs};
pub use remote::{CpArgs, SshArgs};
pub use root::{RootAction, RootAddArgs, RootArgs};
pub use shared::{RealizeArgs, RecipeArgs};
pub use sharing::{BundleArgs, SbomArgs, SbomFormatArg, SignArgs, UnbundleArgs};
pub use store::{GcArgs, StoreArgs, StoreQuestion};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A compiler for reproducible virtual machines.
///
/// A recipe describes a Linux kernel, a Debian disk image and a QEMU machine with emulated CXL memory. kiln locks
/// every input by hash, builds the kernel and the image bit for bit the same on any Linux host, and starts the machine
/// with the locked QEMU.
#[derive(Debug, Parser)]
#[command(
    name = "kiln",
    version,
    after_help = "Exit codes: 0 success, 1 error in the recipe or its lock, 2 usage error, 3 mismatch or failed test, 4 I/O, network or host failure, 5 a package or source is damaged or fails to build, 101 bug in kiln, 130 interrupted\n\
                  Start with: kiln run recipes/cxl-quick.kiln --relock-gone"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check a recipe and report all errors
    Check(CheckArgs),
    /// Format recipes
    Fmt(FmtArgs),
    /// Pin every input of a recipe by hash
    Lock(LockArgs),
    /// List the steps of a build and whether each is cached
    Plan(PlanArgs),
    /// Build the kernel, the disk image and the launcher
    Build(BuildArgs),
    /// Boot a machine with the locked QEMU
    Run(RunArgs),
    /// Log in to a running machine over SSH, or run a command there
    Ssh(SshArgs),
    /// Copy files into a running machine or out of it
    Cp(CpArgs),
    /// Send a QMP command to a running machine
    Qmp(QmpArgs),
    /// Run the locked QEMU itself with arguments of your own
    Qemu(QemuArgs),
    /// Boot machines and run the recipe's tests in them
    Test(TestArgs),
    /// Check built artifacts against their manifest, or rebuild and compare them
    Verify(VerifyArgs),
    /// Sign a result directory with an SSH or minisign key
    Sign(SignArgs),
    /// Attest with an SSH or minisign key what was built here
    Attest(AttestArgs),
    /// Write everything that a rebuild or a run of a recipe needs to one file
    Bundle(BundleArgs),
    /// Check a bundle, and unpack it into the store and a new directory
    Unbundle(UnbundleArgs),
    /// Write an image as a raw disk, an archive, a container image or in another hypervisor's format
    Export(ExportArgs),
    /// Push a build with everything that a run needs to a registry or an OCI image layout, or results of its steps to a cache
    Push(PushArgs),
    /// Pull a build from a registry or an OCI image layout, and check every file of it
    Pull(PullArgs),
    /// Compare what caches and the store have of a recipe's steps, and who built it
    Challenge(ChallengeArgs),
    /// Write a software bill of materials: the packages in a recipe's images, kernels and QEMU, with versions, licences and digests
    Sbom(SbomArgs),
    /// List what differs between two recipes, locks, results or disks
    Diff(DiffArgs),
    /// Explain why a package is in a lock
    Why(WhyArgs),
    /// List what the inputs of a recipe and its artifacts take
    Size(SizeArgs),
    /// List newer versions of what is locked, and which of them are security updates
    Outdated(OutdatedArgs),
    /// Write a page about a recipe: topology, packages, kernels, inputs, digests, signatures
    Report(ReportArgs),
    /// Draw the CXL topology of a recipe's machines
    Draw(DrawArgs),
    /// Query a compiled kernel's configuration
    Kconfig(KconfigArgs),
    /// Open a shell in the sandbox of a build or another step
    Shell(ShellArgs),
    /// Check whether this host can build and run machines
    Doctor(DoctorArgs),
    /// Query the store, or read every file of it again
    Store(StoreArgs),
    /// Keep builds in the store under names, whatever is removed from it
    Root(RootArgs),
    /// Remove unused files from the store
    Gc(GcArgs),
}

/// `kiln check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
}

/// `kiln fmt`
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Recipes and libraries to format
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Do not write; exit with code 3 if a file is not formatted
    #[arg(long)]
    pub check: bool,
}

/// `kiln lock`
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Update all packages and sources, or only these packages and the sources of these kernels, to what there is now
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with = "check")]
    pub update: Option<Vec<String>>,
    /// Update only packages and sources whose files neither the store nor any server has any more
    #[arg(long, conflicts_with_all = ["update", "check"])]
    pub gone: bool,
    /// Check offline that the lock is up to date
    #[arg(long)]
    pub check: bool,
}

/// `kiln plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// If no server has a locked file any more, build with what the archives have now, and write that lock to
    /// OUT.lock, beside the result; the recipe's lock is left unchanged
    #[arg(long, conflicts_with = "offline")]
    pub relock_gone: bool,
    /// Directory for the artifacts [default: result/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Also deliver the locked QEMU, as qemu.tree.tar, so that `launch.sh` needs no QEMU where the directory is given to
    #[arg(long)]
    pub with_qemu: bool,
    /// Keep the build in the store under this name, as `kiln root add` does
    #[arg(long, value_name = "NAME")]
    pub root: Option<String>,
    /// Print the manifest as JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Path to a result directory; with --rebuild or --inputs to a recipe, with --all to a directory with recipes
    #[command(flatten)]
    pub target: RecipeArgs,
    /// Build the recipe a second time, in another store and environment, and compare every bit
    #[arg(long)]
    pub rebuild: bool,
    /// Check that every input is still available in the store or on a mirror, with its digest
    #[arg(long, conflicts_with = "rebuild")]
    pub inputs: bool,
    /// Check that a directory is signed by a trusted key, and that nothing newer of it was accepted before
    #[arg(long, conflicts_with_all = ["rebuild", "inputs"], group = "whose")]
    pub signed: bool,
    /// Check that so many builders, each with a trusted key, attest the same files, of a directory or of the recipe's lock
    #[arg(long, value_name = "N", conflicts_with_all = ["rebuild", "inputs"], group = "whose", requires = "from",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub require: Option<usize>,
    /// With --require: where attestations are, a directory or file, an address (http:// or https://), or a build in a registry
    /// (registry.example/NAME:TAG) or OCI image layout (oci:DIR:TAG, oci:DIR@sha256:DIGEST); may be given more than once
    #[arg(long, value_name = "PLACE", requires = "require")]
    pub from: Vec<String>,
    /// With --require: speak HTTP without TLS to registries; one on this machine (localhost, 127.0.0.1) is always spoken to so
    #[arg(long, requires = "require")]
    pub plain_http: bool,
    /// With --signed or --require: the recipe that it is to be a build of [default: any that the key is trusted with]
    #[arg(long, value_name = "NAME", requires = "whose")]
    pub recipe_name: Option<String>,
    /// With --signed or --require: trust the keys in this file as well as those in kiln/trusted-keys of the user's configuration
    #[arg(long, value_name = "FILE", requires = "whose")]
    pub trusted_keys: Vec<PathBuf>,
    /// Check every recipe below a directory and its lock; with --inputs or --rebuild, that of each locked recipe as well
    ///
    /// Without these, no network and no store are needed. Directories whose names begin with a dot or that have a
    /// CACHEDIR.TAG are left out.
    #[arg(long, conflicts_with_all = ["signed", "require", "set", "lock", "sources"])]
    pub all: bool,
    /// With --all: how to print what was found
    #[arg(long, value_enum, requires = "all", conflicts_with = "json", default_value_t = VerdictFormat::Text)]
    pub format: VerdictFormat,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How verdicts are printed. All but `text` show paths from the root of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerdictFormat {
    /// A line for each recipe, and what was found on standard error
    Text,
    /// JSON
    Json,
    /// JUnit XML, which most CI services read
    Junit,
    /// SARIF 2.1.0, which code hosts show beside the lines
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// A Code Quality report of GitLab CI
    Gitlab,
}

/// `kiln draw`
#[derive(Debug, Args)]
pub struct DrawArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Write an SVG to FILE
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// `kiln kconfig`
#[derive(Debug, Args)]
pub struct KconfigArgs {
    /// The question
    #[command(subcommand)]
    pub question: KconfigQuestion,
}

/// A query of a kernel's configuration.
#[derive(Debug, Subcommand)]
pub enum KconfigQuestion {
    /// Explain an option: prompt, dependencies, selectors, and where its value comes from
    Explain {
        /// Kernel option, with or without CONFIG_
        option: String,
        /// The recipe
        #[command(flatten)]
        recipe: RecipeArgs,
    },
    /// Compare the configurations of two kernels (recipes, result directories or .config files)
    Diff {
        /// First kernel
        a: PathBuf,
        /// Second kernel
        b: PathBuf,
    },
}

/// `kiln doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln shell`
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Name of a build, or of another step that runs in a sandbox (`kiln plan` lists them): `hello`, `kernel-build cxl-kernel`
    pub step: String,
    /// First run the step's command, and open the shell in what it left, whether it failed or not
    #[arg(long)]
    pub failed: bool,
    /// How
    #[command(flatten)]
    pub realize: RealizeArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{BuildOptions, CacheOptions, CacheUse, Incremental, LeakPolicy};

    fn build(words: &[&str]) -> BuildOptions {
        let words = ["kiln", "build", "a.kiln"].into_iter().chain(words.iter().copied());
        let Verb::Build(build) = Cli::parse_from(words).verb else { panic!("a build") };
        build.realize.options()
    }

    #[test]
    fn a_build_without_options_is_the_default() {
        assert_eq!(build(&[]), BuildOptions::default());
    }

    #[test]
    fn no_option_of_a_build_is_lost() {
        let words = ["--offline", "--jobs", "3", "--no-cache", "--limit", "silence=none", "--allow-leaks", "--vary"];
        let words = [&words[..], &["--without-stand-ins", "--cache", "c", "--trusted-keys", "keys"]].concat();
        let expected = BuildOptions {
            offline: true,
            jobs: Some(3),
            no_cache: true,
            incremental: Incremental::None,
            limits: vec!["silence=none".parse().unwrap()],
            leaks: LeakPolicy::Report,
            variation: true,
            without_stand_ins: true,
            caches: CacheOptions { wanted: CacheUse::Ask, places: vec!["c".to_owned()], trusted: vec!["keys".into()] },
        };
        assert_eq!(build(&words), expected);
        assert_eq!(build(&["--without-caches"]).caches.wanted, CacheUse::Nothing);
        assert_eq!(build(&["--incremental"]).incremental, Incremental::Directories);
    }
}

//! The command line, as types. Every verb is one file of `command/`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exec::sandbox::Limit;
use crate::guest;
use crate::ops::{BuildOptions, Incremental, LeakPolicy, RecipeOptions};

/// A compiler for reproducible virtual machines.
///
/// A recipe describes a Linux kernel, a Debian disk image and a QEMU machine with emulated CXL memory. kiln locks
/// every input by hash, builds kernel and image bit for bit the same on any Linux machine, and launches the machine
/// with the locked QEMU.
#[derive(Debug, Parser)]
#[command(
    name = "kiln",
    version,
    after_help = "Exit codes: 0 good, 1 mistakes in the recipe, 2 usage, 3 bits differ or a test failed, 4 the world failed.\n\
                  Start with: kiln run recipes/cxl-quick.kiln"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Read a recipe and report every mistake in it
    Check(Check),
    /// Print recipes in their one canonical form
    Fmt(Fmt),
    /// Pin every input of a recipe by hash
    Lock(Lock),
    /// Show the steps of a build: their ids, which are at hand, which would run
    Plan(Plan),
    /// Build kernel, image and launcher
    Build(Build),
    /// Boot a machine with the locked QEMU
    Run(Run),
    /// Boot a machine and run the recipe's tests inside it
    Test(Test),
    /// Prove that built files are what the lock says
    Verify(Verify),
    /// Draw the CXL topology of a recipe's machines
    Draw(Draw),
    /// Ask a compiled kernel's configuration
    Kconfig(Kconfig),
    /// Say what this machine allows, and how to allow more
    Doctor(Doctor),
    /// Remove what no recent result needs from the store
    Gc(Gc),
}

/// A recipe and its parameters.
#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// The recipe, a .kiln file
    pub recipe: PathBuf,
    /// Give a parameter of the recipe another value
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// The lock, when it is not lockfiles/NAME.lock
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

impl RecipeArgs {
    /// The recipe as operations take it.
    pub fn options(&self) -> RecipeOptions {
        RecipeOptions { path: self.recipe.clone(), set: self.set.clone(), lock: self.lock.clone() }
    }
}

/// How steps are carried out.
#[derive(Debug, Args)]
pub struct RealizeArgs {
    /// Fetch nothing: every input must be in the store
    #[arg(long)]
    pub offline: bool,
    /// Steps at a time, and processors of a kernel build [default: all processors]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Run every step again from the inputs at hand
    #[arg(long)]
    pub no_cache: bool,
    /// Compile kernels from where the last such build of the same source ended, when only their configuration changed.
    /// The lock does not record the result, and `kiln verify --rebuild` proves it
    #[arg(long, conflicts_with = "no_cache")]
    pub incremental: bool,
    /// Let a step use more, or less: memory=16GiB, processes=8192, disk=200GiB, silence=1h, log=1GiB, or none of it as
    /// in silence=none; KILN_LIMITS holds several, with spaces between them
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<Limit>,
    /// Deliver even what has traces of this machine in it: its paths, its name, today's date
    #[arg(long)]
    pub allow_leaks: bool,
    /// In steps: another clock, directories in another order (for `kiln verify --rebuild`)
    #[arg(long = "vary", hide = true)]
    pub variation: bool,
}

impl RealizeArgs {
    /// The build as operations take it.
    pub fn options(&self) -> BuildOptions {
        BuildOptions {
            offline: self.offline,
            jobs: self.jobs,
            no_cache: self.no_cache,
            incremental: if self.incremental { Incremental::Directories } else { Incremental::None },
            limits: self.limits.clone(),
            leaks: if self.allow_leaks { LeakPolicy::Report } else { LeakPolicy::Refuse },
            variation: self.variation,
        }
    }
}

/// `kiln check`
#[derive(Debug, Args)]
pub struct Check {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
}

/// `kiln fmt`
#[derive(Debug, Args)]
pub struct Fmt {
    /// Recipes and libraries
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; exit 3 when a file is not in canonical form
    #[arg(long)]
    pub check: bool,
}

/// `kiln lock`
#[derive(Debug, Args)]
pub struct Lock {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Move all packages, or only these, to what the archives have now
    #[arg(long, value_name = "PACKAGE", num_args = 0.., conflicts_with = "check")]
    pub update: Option<Vec<String>>,
    /// Offline: is this lock the lock of this recipe?
    #[arg(long)]
    pub check: bool,
}

/// `kiln plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln build`
#[derive(Debug, Args)]
pub struct Build {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// Where the artifacts go [default: result/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the manifest as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// How QEMU executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// KVM when it really works, else software emulation
    Auto,
    /// KVM or nothing
    Kvm,
    /// Software emulation
    Tcg,
}

impl From<Accel> for guest::AccelChoice {
    fn from(asked: Accel) -> guest::AccelChoice {
        match asked {
            Accel::Auto => guest::AccelChoice::Auto,
            Accel::Kvm => guest::AccelChoice::Kvm,
            Accel::Tcg => guest::AccelChoice::Tcg,
        }
    }
}

/// `kiln run`
#[derive(Debug, Args)]
pub struct Run {
    /// The recipe (built first when needed), or a directory that kiln built
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the build goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// The machine, when the recipe has several
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// How the guest's instructions are executed
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    pub accel: Accel,
    /// Keep what the guest writes in this file (made when it is not there) instead of throwing it away
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
    /// Print the QEMU command instead of running it
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, default_missing_value = "sh")]
    pub print: Option<PrintForm>,
}

/// How `--print` spells a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrintForm {
    /// One argument a line
    Argv,
    /// A shell command
    Sh,
    /// A JSON array
    Json,
}

/// `kiln test`
#[derive(Debug, Args)]
pub struct Test {
    /// Recipes
    #[arg(required = true)]
    pub recipes: Vec<PathBuf>,
    /// Give a parameter another value
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// The lock, when it is not lockfiles/NAME.lock
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// How the build goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// How the guest's instructions are executed
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    pub accel: Accel,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
    /// Only tests whose title contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Run the tests that are marked slow, too
    #[arg(long)]
    pub slow: bool,
    /// Where console logs are kept [default: result/NAME/log]
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
}

/// `kiln verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// A directory that kiln built; with --rebuild or --inputs a recipe
    #[command(flatten)]
    pub target: RecipeArgs,
    /// Build the recipe a second time, in a store and an environment of its own, and compare every bit
    #[arg(long)]
    pub rebuild: bool,
    /// Check that every input still exists in the store or on a mirror, with its digest
    #[arg(long, conflicts_with = "rebuild")]
    pub inputs: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln draw`
#[derive(Debug, Args)]
pub struct Draw {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Write a picture for documents
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// `kiln kconfig`
#[derive(Debug, Args)]
pub struct Kconfig {
    /// The question
    #[command(subcommand)]
    pub question: KconfigQuestion,
}

/// A question about a kernel's configuration.
#[derive(Debug, Subcommand)]
pub enum KconfigQuestion {
    /// Prompt, dependencies, who selects it, its value and why
    Explain {
        /// The option, with or without CONFIG_
        option: String,
        /// The recipe
        #[command(flatten)]
        recipe: RecipeArgs,
    },
    /// Options in which two kernels differ: recipes, result directories or .config files
    Diff {
        /// One kernel
        a: PathBuf,
        /// The other
        b: PathBuf,
    },
}

/// `kiln doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln gc`
#[derive(Debug, Args)]
pub struct Gc {
    /// Keep what was used in this many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub keep_days: u32,
    /// Say what would go, remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// First read every file of the store again, and set damaged ones aside
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as expander-size=2GiB".to_owned()),
    }
}

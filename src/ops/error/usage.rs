//! What an operation cannot be asked for.

use std::path::{Path, PathBuf};

use super::output::OutputError;
use super::share::ShareError;
use crate::base::Foreign;
use crate::debian::mirror::MirrorError;
use crate::exec::sandbox::LimitError;
use crate::guest::running::RunningError;
use crate::machine::AdditionError;

/// The operation was asked for something that it cannot do.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A lock beside a disk.
    #[error(
        "{} and {} have nothing that can be compared\n  help: name two recipes or locks, two result directories, or two disks",
        Foreign(a.display()), Foreign(b.display())
    )]
    Incomparable {
        /// One of the two.
        a: PathBuf,
        /// The other one.
        b: PathBuf,
    },
    /// A directory where a recipe belongs.
    #[error("{} is a directory; expected a .kiln file", .0.display())]
    Directory(PathBuf),
    /// A result directory where a recipe belongs.
    #[error("{} is a result directory; this command needs the recipe that it was built from", Foreign(.0.display()))]
    NeedsRecipe(PathBuf),
    /// A lock where a recipe belongs.
    #[error(
        "{} is a lock; this command needs the recipe that it is of\n  help: name {}", Foreign(lock.display()),
        recipe.as_ref().map_or("the recipe".to_owned(), |recipe| Foreign(recipe.display()).to_string())
    )]
    LockForRecipe {
        /// The lock.
        lock: PathBuf,
        /// Where recipes of such locks are, if there is one.
        recipe: Option<PathBuf>,
    },
    /// A reference where a path belongs.
    #[error(
        "no file {path} on this host\n  help: an artifact of a registry or an image layout is pulled first: kiln pull {path}",
        path = Foreign(.0.display())
    )]
    ReferenceForPath(PathBuf),
    /// A file that is nothing with a lock.
    #[error(
        "{} is neither a recipe (NAME.kiln), a lock (NAME.lock) nor a result directory", Foreign(.0.display())
    )]
    NoRecipe(PathBuf),
    /// A directory about whose lock something is asked, and that is none of kiln's.
    #[error(
        "{} is a directory without manifest.json; expected a recipe, a lock or a result directory", Foreign(.0.display())
    )]
    NoResult(PathBuf),
    /// A result directory whose lock is elsewhere.
    #[error(
        "{}: the lock that it was built from is neither in it (kiln.lock) nor in the project that it stands in or the working \
         directory (`lockfiles/NAME.lock`, `NAME.lock`)\n  help: name that lock or the recipe instead of the directory",
        Foreign(.0.display())
    )]
    NoLockOfResult(PathBuf),
    /// More directories in each other, or files in one, than anybody keeps recipes in.
    #[error("{} has too many files or levels of directories; name the directory with the recipes", Foreign(.0.display()))]
    TooManyFiles(PathBuf),
    /// A pipe where a recipe belongs: `kiln check <(...)`.
    #[error(
        "{} is a pipe or a device; a recipe is a file\n  help: its imports, its lock and its results are found by its \
         place and name: write it to a file", Foreign(.0.display())
    )]
    NotAFile(PathBuf),
    /// The user's mirrors cannot be read.
    #[error(transparent)]
    Mirrors(#[from] MirrorError),
    /// No running machine is meant, or more than one.
    #[error(transparent)]
    Running(#[from] RunningError),
    /// What is added to a start cannot be.
    #[error(transparent)]
    Additions(#[from] AdditionError),
    /// What is written has no place where it was to go.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A directory cannot be shared.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// A word that names no store.
    #[error(
        "{origin}: expected the absolute path of a store, with `trusted=` before it if the results of its owner are to count, \
         found `{}`",
        Foreign(word)
    )]
    StoreBelow {
        /// The variable or file with it.
        origin: String,
        /// The word.
        word: String,
    },
    /// The environment sets a limit that there is not.
    #[error("KILN_LIMITS: {0}")]
    Limits(#[from] LimitError),
    /// A recipe without kernels that have Kconfig files.
    #[error("the recipe compiles no kernel; `kiln kconfig diff` reads the configuration of any other")]
    NoCompiledKernel,
    /// A recipe whose kernel is asked for and that has several.
    #[error("{} has several kernels ({names}); name a `kernel.config` below its result directory instead", recipe.display())]
    SeveralKernels {
        /// The recipe.
        recipe: PathBuf,
        /// Their names.
        names: String,
    },
    /// A recipe whose machine is asked for and that has none.
    #[error("{} has no machine", .0.display())]
    NoMachine(PathBuf),
    /// A recipe whose kernel comes out of a build that leaves no configuration.
    #[error(
        "the kernel of {} has no configuration that kiln knows\n  help: let the build leave it, and write `config = output \
         \"config\" from BUILD` in the kernel", Foreign(.0.display())
    )]
    NoConfiguration(PathBuf),
    /// Nothing to choose a machine from.
    #[error("there is no machine")]
    NoMachines,
    /// A recipe or a result directory that has images and kernels alone, when a machine is needed.
    #[error(
        "{} has no machine, only {parts}\n  help: `kiln build` makes images and kernels; only a recipe with a `machine` \
         block can be run and tested", Foreign(of.display())
    )]
    NothingToRun {
        /// The recipe or the directory.
        of: PathBuf,
        /// What it has, in words.
        parts: String,
    },
    /// A machine that there is not.
    #[error("unknown machine `{name}`; the recipe has: {machines}")]
    NoSuchMachine {
        /// Its name.
        name: String,
        /// The names that there are.
        machines: String,
    },
    /// `--source` for something that a directory cannot replace, or that there is not.
    #[error(
        "--source: `{name}` is neither a kernel that the recipe compiles nor a source of a build that a directory can replace; there are: {}",
        if sources.is_empty() { "none" } else { sources }
    )]
    NoSuchSource {
        /// Its name.
        name: String,
        /// The names that there are.
        sources: String,
    },
    /// `--source` for a build with several sources.
    #[error("--source: build `{build}` has several sources that a directory can replace; name one of them: {sources}")]
    SourceUnclear {
        /// The build.
        build: String,
        /// The names that there are.
        sources: String,
    },
    /// Two directories for one source.
    #[error("--source: `{0}` is given more than once")]
    SourceTwice(String),
    /// A step that there is not, or that kiln carries out itself.
    #[error("the recipe has no build and no step `{name}` that runs in a sandbox; it has: {steps}")]
    NoSuchStep {
        /// Its name.
        name: String,
        /// The names that there are.
        steps: String,
    },
    /// A file without public SSH keys.
    #[error("{}: {reason}", Foreign(path.display()))]
    NoPublicKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More keys than firmware can hand over.
    #[error("the SSH keys have {bytes} bytes in all (limit {limit}); give fewer with --ssh-key")]
    TooManyKeys {
        /// What they have.
        bytes: usize,
        /// What there is room for.
        limit: usize,
    },
    /// Not the name of a root.
    #[error(
        "`{}` is not a name of a root: up to 100 letters, digits, `.`, `_` and `-`, the first a letter or a digit",
        Foreign(.0)
    )]
    RootName(String),
    /// A name that no root has.
    #[error("no root is called `{0}`; `kiln root list` lists them")]
    NoRoot(String),
    /// A directory whose steps the store does not know.
    #[error("this build of {} was not built with this store: name its recipe instead", Foreign(.0))]
    NotBuiltHere(String),
    /// A running machine without a forwarded port for SSH.
    #[error(
        "no port of the host leads to the SSH server of machine {0}; add `forward ssh = 2222` to it and run it again"
    )]
    NoSshPort(String),
    /// A copy between two files, or between two machines.
    #[error("one of the two must be in a machine, written as MACHINE:/PATH, and the other on this host")]
    CopySides,
    /// An option of recipes beside a result directory.
    #[error(
        "{option} has no effect on the result directory {}, which is taken as it was built\n  help: name its recipe instead, \
         or leave {option} out", Foreign(directory.display())
    )]
    OptionOfRecipe {
        /// The option.
        option: &'static str,
        /// The directory.
        directory: PathBuf,
    },
    /// A recipe that should have the signature of a build.
    #[error(
        "--signed is for a reference to a registry or image layout and for a result directory, and {} is neither\n  help: a \
         recipe is built here, from its lock, whoever has signed builds of it", Foreign(.0.display())
    )]
    SignedRecipe(PathBuf),
    /// Tests are in recipes, not in what was built from them.
    #[error(
        "{}: `kiln test` takes recipes; use `kiln run` for a result directory", .0.display()
    )]
    TestsOfDirectory(PathBuf),
}

impl UsageError {
    /// A recipe or a directory that has no machine, but perhaps these images and kernels.
    pub fn without_machines<'a>(
        of: &Path,
        images: impl Iterator<Item = &'a String>,
        kernels: impl Iterator<Item = &'a String>,
    ) -> UsageError {
        let words = [listed("image", images), listed("kernel", kernels)];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() {
            return UsageError::NoMachine(of.to_owned());
        }
        UsageError::NothingToRun { of: of.to_owned(), parts: words.join(" and ") }
    }

    /// A machine that is not among these.
    pub fn no_such_machine<'a>(name: &str, machines: impl Iterator<Item = &'a String>) -> UsageError {
        let machines: Vec<&str> = machines.map(String::as_str).collect();
        UsageError::NoSuchMachine { name: name.to_owned(), machines: machines.join(", ") }
    }
}

/// `the images `a`, `b``, if there is one.
fn listed<'a>(noun: &str, names: impl Iterator<Item = &'a String>) -> Option<String> {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("the {noun} {one}")),
        several => Some(format!("the {noun}s {}", several.join(", "))),
    }
}

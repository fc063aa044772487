//! Options that several verbs share: the recipe, and how its steps are carried out.

use std::path::PathBuf;

use clap::Args;

use crate::base::ByteSize;
use crate::exec::sandbox::Limit;
use crate::ops::{BuildOptions, CacheOptions, CacheUse, Incremental, LeakPolicy, RecipeOptions};

/// A recipe and its parameters.
#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// Path to the recipe (.kiln). `kiln run`, `kiln verify`, `kiln attest`, `kiln export` and `kiln push` also take a result
    /// directory, `kiln bundle` a lock, `kiln run` a reference such as registry.example/NAME:TAG
    pub recipe: PathBuf,
    /// Override a parameter of the recipe
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Path to the lock [default: lockfiles/NAME.lock]
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Compile this kernel of the recipe from a directory of your own, such as a git working tree of Linux; or give this build
    /// of the recipe the directory as its source, BUILD/SOURCE where it has several.
    /// The lock does not record what comes out, so commands that write, check or bundle a lock refuse it
    #[arg(long = "source", value_name = "NAME=DIR", value_parser = source)]
    pub sources: Vec<(String, PathBuf)>,
}

impl RecipeArgs {
    /// The recipe as operations take it.
    pub fn options(&self) -> RecipeOptions {
        let RecipeArgs { recipe, set, lock, sources } = self;
        RecipeOptions { path: recipe.clone(), set: set.clone(), lock: lock.clone(), sources: sources.clone() }
    }
}

/// Where the help lists how steps are carried out.
const BUILD_OPTIONS: &str = "Build options";

/// How steps are carried out: under a heading of their own, behind what a verb has itself.
#[derive(Debug, Args)]
pub struct RealizeArgs {
    /// Do not access the network; every input must be in the store
    #[arg(help_heading = BUILD_OPTIONS, long)]
    pub offline: bool,
    /// Number of parallel steps, and of jobs in a kernel build [default: number of CPUs]
    #[arg(help_heading = BUILD_OPTIONS, long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Run every step again, ignoring cached results and caches
    #[arg(help_heading = BUILD_OPTIONS, long)]
    pub no_cache: bool,
    /// Also take results of steps from this cache, a directory, an OCI image layout (oci:DIR), the address of a web server, or a
    /// repository of a registry (registry.example/NAME, or plain-http=registry.example/NAME without TLS), if a trusted key has signed them. Others are listed in KILN_CACHES and in kiln/caches of the user's configuration
    #[arg(help_heading = BUILD_OPTIONS, long = "cache", value_name = "PLACE", conflicts_with = "without_caches")]
    pub caches: Vec<String>,
    /// Take nothing from caches, and use no result that was taken from one before
    #[arg(help_heading = BUILD_OPTIONS, long)]
    pub without_caches: bool,
    /// Also trust what the keys in this file have signed (results in caches, and builds for `kiln run --signed`), besides those in
    /// kiln/trusted-keys of the user's configuration
    #[arg(help_heading = BUILD_OPTIONS, long, value_name = "FILE")]
    pub trusted_keys: Vec<PathBuf>,
    /// Compile kernels incrementally if since the last such build only their configuration changed, or files of their
    /// source directory.
    /// The result is not recorded in the lock until `kiln verify --rebuild` has confirmed it
    #[arg(help_heading = BUILD_OPTIONS, long, conflicts_with = "no_cache")]
    pub incremental: bool,
    /// Change a limit of steps: memory=16GiB, processes=8192, disk=200GiB, silence=1h or log=1GiB; `none` removes it.
    /// KILN_LIMITS may hold several, separated by spaces
    #[arg(help_heading = BUILD_OPTIONS, long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<Limit>,
    /// Deliver artifacts even if they contain host paths, the host name or today's date
    #[arg(help_heading = BUILD_OPTIONS, long)]
    pub allow_leaks: bool,
    /// Run every program of the packages itself: without this option, programs that scripts run over and over (update-ca-certificates,
    /// deb-systemd-helper, debconf's frontend) are replaced by quicker ones that do the same, for the time of the build
    #[arg(help_heading = BUILD_OPTIONS, long)]
    pub without_stand_ins: bool,
    /// Vary the clock and the directory order in steps (used by `kiln verify --rebuild`)
    #[arg(help_heading = BUILD_OPTIONS, long = "vary", hide = true)]
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
            without_stand_ins: self.without_stand_ins,
            caches: CacheOptions {
                wanted: if self.without_caches { CacheUse::Nothing } else { CacheUse::Ask },
                places: self.caches.clone(),
                trusted: self.trusted_keys.clone(),
            },
        }
    }
}

pub(super) fn source(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("expected NAME=DIR, such as mine=../linux".to_owned()),
    }
}

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as expander-size=2GiB".to_owned()),
    }
}

pub(super) fn size(text: &str) -> Result<ByteSize, String> {
    ByteSize::parse(text).ok_or_else(|| "expected a size with a unit, such as 20GiB or 512MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;

    /// Whoever reads the help of `kiln export` looks for `--format` first.
    #[test]
    fn build_options_stand_behind_those_of_the_verb() {
        let cli = Cli::command();
        let mut verbs = 0;
        for verb in cli.get_subcommands() {
            let heading = |name: &str| {
                let arg = verb.get_arguments().find(|arg| arg.get_id() == name);
                arg.map(|arg| arg.get_help_heading().map(str::to_owned))
            };
            // Few verbs that build have all of them in common.
            let Some(found) = heading("without_stand_ins") else { continue };
            verbs += 1;
            assert_eq!(found.as_deref(), Some("Build options"), "{}", verb.get_name());
            assert_eq!(heading("jobs").flatten(), found, "{}", verb.get_name());
            for own in ["recipe", "set", "json", "output", "format", "key", "out", "outputs", "reference"] {
                assert_eq!(heading(own).flatten(), None, "{own} of {}", verb.get_name());
            }
            let help = verb.clone().render_long_help().to_string();
            let own = help.find("\nOptions:").unwrap_or_else(|| panic!("{help}"));
            assert!(own < help.find("\nBuild options:").unwrap_or(0), "{help}");
        }
        assert!(verbs > 5, "{verbs}");
    }
}

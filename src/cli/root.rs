//! `kiln root`.

use clap::{Args, Subcommand};

use super::shared::{RealizeArgs, RecipeArgs};

/// `kiln root`
#[derive(Debug, Args)]
pub struct RootArgs {
    /// What
    #[command(subcommand)]
    pub action: RootAction,
}

/// What is done with named roots.
#[derive(Debug, Subcommand)]
pub enum RootAction {
    /// Keep a build under a name, which is taken from another build
    Add(Box<RootAddArgs>),
    /// List the roots and what each keeps
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove names; what they kept goes with a later `kiln gc`
    Remove {
        /// Names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// `kiln root add`
#[derive(Debug, Args)]
pub struct RootAddArgs {
    /// Letters, digits, `.`, `_` and `-`
    pub name: String,
    /// Path to a recipe, which is built first if needed, or to a result directory that was built with this store
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the build of a recipe goes
    #[command(flatten)]
    pub realize: RealizeArgs,
}

//! `kiln qemu`: the verb that runs the locked QEMU itself.

use clap::Args;

use super::shared::{RealizeArgs, RecipeArgs};

/// `kiln qemu`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kiln qemu recipes/cxl-quick.kiln -- -version\n  \
    kiln qemu recipes/cxl-quick.kiln -- -device help | grep cxl\n  \
    kiln qemu recipes/cxl-quick.kiln -- -device cxl-type3,help\n  \
    kiln qemu recipes/cxl-quick.kiln -- -display none -S -qmp stdio\n\
    `kiln run RECIPE -- OPTIONS` adds options to a machine instead; `kiln run RECIPE --print` shows those that it has")]
pub struct QemuArgs {
    /// Path to a recipe, whose QEMU is unpacked or built first if needed, or to a result directory
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the build goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// Machine whose QEMU is meant, if the recipe has several
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// All arguments of QEMU: nothing of the machine is added. QEMU sees no files and no network of the host; its exit
    /// code becomes the exit code of kiln
    #[arg(last = true, required = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

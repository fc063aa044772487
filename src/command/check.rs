//! `kiln check RECIPE`: every error of a recipe, or what it declares.

use super::failure::Failure;
use super::output;
use crate::base::counted;
use crate::cli;
use crate::ops::{self, Session, Versions, load};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::CheckArgs) -> Result<(), Failure> {
    let loaded = load::recipe(session, &args.recipe.options())?;
    let versions = ops::check(&loaded)?;
    let recipe = &loaded.recipe;
    let counts = [
        (recipe.machines.len(), "machine"),
        (recipe.images.len(), "image"),
        (recipe.kernels.len(), "kernel"),
        (recipe.tests.len(), "test"),
    ];
    let words: Vec<String> = counts.iter().map(|(count, noun)| counted(count, noun)).collect();
    let unchecked = match versions {
        _ if recipe.machines.is_empty() => "",
        Versions::Locked => "",
        Versions::NoLock => "not checked: versions of QEMU and Linux, because there is no lock; run `kiln lock`\n",
        Versions::OutdatedLock => {
            "not checked: versions of QEMU and Linux, because the lock is out of date; run `kiln lock`\n"
        }
    };
    output::print(&format!("{}: no errors; {}\n{unchecked}", recipe.name, words.join(", ")))
}

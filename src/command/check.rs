//! `kiln check RECIPE`: every mistake of a recipe, or what it declares.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::ops::{Session, load};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::CheckArgs) -> Result<(), Failure> {
    let recipe = load::recipe(session, &args.recipe.options())?.recipe;
    let counts = [
        (recipe.machines.len(), "machine"),
        (recipe.images.len(), "image"),
        (recipe.kernels.len(), "kernel"),
        (recipe.tests.len(), "test"),
    ];
    let words: Vec<String> =
        counts.iter().map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" })).collect();
    output::print(&format!("{}: no mistakes; {}\n", recipe.name, words.join(", ")))
}

//! `kiln report RECIPE -o FILE`: a page about a recipe and its lock.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::ops::Session;
use crate::ops::report::{self, ReportRequest};
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::ReportArgs) -> Result<(), Failure> {
    if !args.recipe.sources.is_empty() {
        return Err(Failure::usage("--source is for builds: a report is about what the lock pins"));
    }
    let (result, from, trusted) = (args.result.clone(), args.from.clone(), args.trusted_keys.clone());
    let page = report::report(session, &ReportRequest { recipe: args.recipe.options(), result, from, trusted })?;
    fs::write_atomically(&args.output, page.as_bytes())?;
    output::print(&format!("wrote {}\n", args.output.display()))
}

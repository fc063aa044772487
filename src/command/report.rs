//! `kiln report RECIPE -o FILE`: a page about a recipe and its lock.

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::ops::report::{self, ReportRequest};
use crate::ops::{ExistingFile, Session, TextTarget, WrittenText};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::ReportArgs) -> Result<(), Failure> {
    if !args.recipe.sources.is_empty() {
        return Err(Failure::usage("--source is for builds: a report is about what the lock pins"));
    }
    let target = TextTarget::open(&args.output, ExistingFile::of(args.force))?;
    let (result, from, trusted) = (args.result.clone(), args.from.clone(), args.trusted_keys.clone());
    let page = report::report(session, &ReportRequest { recipe: args.recipe.options(), result, from, trusted })?;
    match target.write(&page)? {
        WrittenText::Handed => output::print(&page),
        WrittenText::There => output::print(&format!("wrote {}\n", args.output.display())),
    }
}

//! `kiln why PACKAGE RECIPE` and `kiln size RECIPE`: what locks say, in lines or JSON.

use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign, counted};
use crate::cli;
use crate::ops::Session;
use crate::ops::questions::{self, PackageReason, SizedFile};
use crate::recipe::local::LocalReader;

/// Refuses a recipe where a name belongs: some commands of others take them in the other order.
pub(super) fn misplaced(name: &str, (what, verb): (&str, &str), recipe: &Path) -> Result<(), Failure> {
    if !name.ends_with(".kiln") {
        return Ok(());
    }
    let (recipe, name) = (Foreign(name), Foreign(recipe.display()));
    Err(Failure::usage(format!("the {what} comes before the recipe\n  help: kiln {verb} {name} {recipe}")))
}

/// Carries `kiln why` out.
pub fn why(session: &Session<'_>, args: &cli::WhyArgs) -> Result<(), Failure> {
    misplaced(&args.package, ("package", "why"), &args.recipe)?;
    let reasons = questions::why(session, &args.recipe, &args.package)?;
    if reasons.is_empty() {
        let recipe = args.recipe.display();
        return Err(Failure::usage(format!("package `{}` is in no package set of {recipe}", args.package)));
    }
    if args.json { output::json(&reasons) } else { output::print(&reasons.iter().map(reason).collect::<String>()) }
}

fn reason(reason: &PackageReason) -> String {
    let links = reason.chain.iter().enumerate().map(|(depth, link)| {
        let indent = "  ".repeat(depth + 1);
        format!("{indent}{}\n", Foreign(format!("{} {}: {}", link.package, link.version, link.why)))
    });
    let users = match reason.used_by.is_empty() {
        true => String::new(),
        false => format!("  used as: {}\n", Foreign(reason.used_by.join(", "))),
    };
    format!("{}:\n{}{users}", Foreign(&reason.set), links.collect::<String>())
}

/// Carries `kiln size` out.
pub fn size(session: &Session<'_>, args: &cli::SizeArgs) -> Result<(), Failure> {
    let size = questions::size(&questions::lock(session, &args.recipe)?);
    if args.json {
        return output::json(&size);
    }
    let mut text = format!("{:>10}  all inputs\n", ByteSize(size.bytes).rounded());
    for part in &size.parts {
        let count = counted(part.files.len(), "file");
        let name = Foreign(format!("{}, {count}", part.name));
        text.push_str(&format!("{:>10}  {name}\n", ByteSize(part.bytes).rounded()));
        part.files.iter().take(args.top).for_each(|file| text.push_str(&line(file, "  ")));
    }
    for name in &size.local {
        let words = LocalReader::named(name).words();
        text.push_str(&format!("{:>10}  {}, a directory that no lock pins\n", "unknown", Foreign(words)));
    }
    if !size.outputs.is_empty() {
        text.push_str("artifacts of the last build:\n");
        size.outputs.iter().for_each(|file| text.push_str(&line(file, "")));
    }
    output::print(&text)
}

fn line(file: &SizedFile, indent: &str) -> String {
    format!("{indent}{:>10}  {}\n", ByteSize(file.bytes).rounded(), Foreign(&file.name))
}

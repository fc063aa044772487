//! `kiln fmt FILE...`: the canonical form of recipes.

use std::path::Path;

use super::failure::Failure;
use crate::base::{Foreign, SourceMap};
use crate::cli;
use crate::ops::inside::TreeBound;
use crate::ops::{OpsError, Session};
use crate::recipe::Mistakes;
use crate::syntax;
use crate::world::fs;

/// The language's own bound on a source file.
const LIMIT: u64 = 1 << 20;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::FmtArgs) -> Result<(), Failure> {
    let mut differing = Vec::new();
    for path in &args.files {
        in_repository(session, path)?;
        let (before, after) = formatted(path)?;
        if before == after {
            continue;
        }
        if args.check {
            differing.push(path.display().to_string());
        } else {
            rewrite(path, &after)?;
        }
    }
    match differing.is_empty() {
        true => Ok(()),
        false => Err(Failure::mismatch(format!("not formatted: {}\n  help: run `kiln fmt`", differing.join(" ")))),
    }
}

/// An error shows lines of a file. Where others choose what a repository has, a link must not choose which file.
fn in_repository(session: &Session<'_>, path: &Path) -> Result<(), Failure> {
    let bound = TreeBound::of_repository(session.world, path).filter(|_| path.is_symlink());
    match bound.and_then(|bound| bound.left_by(session.world, path)) {
        Some(wrong) => {
            let help = "name the file itself to format it";
            Err(Failure::usage(format!("{}: {wrong}; it was not read\n  help: {help}", Foreign(path.display()))))
        }
        None => Ok(()),
    }
}

/// A recipe that is a link is left alone: to write through it changes a file that nobody named, and to replace it takes
/// the link away.
fn rewrite(path: &Path, text: &str) -> Result<(), Failure> {
    let found = fs::metadata(path)?;
    if found.is_symlink() {
        let target = fs::context("resolve", path, path.canonicalize())?;
        let (path, target) = (Foreign(path.display()), Foreign(target.display()));
        return Err(Failure::usage(format!(
            "{path} is a symbolic link\n  help: format its target instead: kiln fmt {target}"
        )));
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
    Ok(fs::write_with_mode(path, text.as_bytes(), mode)?)
}

fn formatted(path: &Path) -> Result<(String, String), Failure> {
    let bytes = fs::read(path, LIMIT)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::recipe(format!("{}: not UTF-8", path.display())))?;
    let mut sources = SourceMap::default();
    let file = sources.add(path.to_owned(), text.clone());
    let (tree, mistakes) = syntax::parse(file, &text);
    if mistakes.is_empty() {
        let printed = syntax::print::print(&tree, &text);
        return Ok((text, printed));
    }
    Err(OpsError::Mistakes(Box::new(Mistakes { sources, diagnostics: mistakes, machines: Vec::new() })).into())
}

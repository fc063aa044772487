//! A rule about secrets that nobody can make again: refused, since every machine would lack them, or share them.

use super::{RuleInput, Stage};
use crate::exec::debian::remade::{self, Remade};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree};

/// What a base lacks is in the recipe, or is made again at first boot; else the image would be broken. Only the step that
/// knows the recipe can tell.
pub(super) fn private(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    if terms.stage == Stage::Base {
        return Ok(());
    }
    let list = remade::read(tree)?;
    remade::remove(tree)?;
    // What is there is the recipe's: a file, or part of a tree.
    let is_stated = |path: &String| {
        Ok::<_, RootError>(terms.files.iter().any(|file| file.path == *path) || tree.stat(path)?.is_some())
    };
    for Remade { path, of, .. } in list.iter().filter(|lost| lost.stem.is_none()) {
        if is_stated(path)? || of.as_ref().map_or(Ok(false), is_stated)? {
            continue;
        }
        return Err(StepFailure::input(format!(
            "a package's script generated the secret {path}: all machines of this image would share it, and no two builds be equal"
        ))
        .help(format!(
            "leave its package out, or give it with `file \"{path}\" {{ source = file \"...\" }}` in the image"
        ))
        .into());
    }
    Ok(())
}

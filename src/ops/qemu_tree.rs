//! The tree that a QEMU is started from.
//!
//! Input: what a step of the store left. Output: the directory, if QEMU is a plain file of it.

use std::path::{Path, PathBuf};

use super::error::{MismatchError, OpsError};
use crate::recipe::machine::Machine;
use crate::store::{Output, Store};
use crate::world::dir::Dir;

/// Where a machine's QEMU is in its tree.
pub(super) fn program(machine: &Machine) -> String {
    format!("/usr/bin/{}", machine.arch().facts().qemu.program)
}

/// The tree that a step left, if there is a QEMU for the machine in it.
pub(super) fn tree_with_qemu(store: &Store, left: Option<&Output>, machine: &Machine) -> Result<PathBuf, OpsError> {
    let (name, program) = (&machine.name, program(machine));
    let tree = match left {
        Some(Output::Tree { root, .. }) => store.tree(root)?,
        _ => return Err(OpsError::NoQemu(name.to_owned())),
    };
    match has_program(&tree, &program) {
        true => Ok(tree),
        false => Err(MismatchError::NoProgram { machine: name.to_owned(), program }.into()),
    }
}

/// Whether QEMU is a plain file of the tree, and no link leads there.
fn has_program(tree: &Path, program: &str) -> bool {
    let mut parts: Vec<&str> = program.split('/').filter(|part| !part.is_empty()).collect();
    let Some(name) = parts.pop() else { return false };
    let directory = parts.iter().try_fold(Dir::open_named(tree).ok(), |held, part| Some(held?.below(part).ok()));
    directory.flatten().is_some_and(|held| held.plain(name).is_ok())
}

//! What a base lacks because each machine must have its own: written by the step that removes it, read by the one that
//! knows the recipe.

use serde::{Deserialize, Serialize};

use crate::exec::tree::{RootError, Tree};

/// Where the list is between the two steps; no image has it.
const LIST: &str = ".kiln-remade";
const LIMIT: u64 = 16 << 20;

/// A secret or an identity that is not in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Remade {
    /// dpkg's stem of the package that makes it when it is configured; none where nobody is known to.
    pub(super) stem: Option<String>,
    /// Absolute path in the image.
    pub(super) path: String,
    /// The secret that it belongs to, of a public key or a certificate.
    pub(super) of: Option<String>,
}

/// Everything on the list.
pub(super) fn read(tree: &Tree) -> Result<Vec<Remade>, RootError> {
    let Some(bytes) = tree.bytes(LIST, LIMIT)? else { return Ok(Vec::new()) };
    // Kiln wrote it; what is not a list is a file of somebody else.
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Replaces the list.
pub(super) fn write(tree: &Tree, list: &[Remade]) -> Result<(), RootError> {
    if list.is_empty() {
        return remove(tree);
    }
    let bytes = serde_json::to_vec(list).expect("strings are JSON");
    Ok(tree.put(LIST, &bytes, 0o600)?)
}

/// Removes the list.
pub(super) fn remove(tree: &Tree) -> Result<(), RootError> {
    Ok(tree.remove(LIST)?)
}

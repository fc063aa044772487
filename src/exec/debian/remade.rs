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

/// Adds what a layer below lacks and this one did not bring.
pub(super) fn add(tree: &Tree, below: Vec<Remade>) -> Result<(), RootError> {
    let mut list = read(tree)?;
    for one in below {
        if tree.stat(&one.path)?.is_none() && list.iter().all(|known| known.path != one.path) {
            list.push(one);
        }
    }
    list.sort_by(|a, b| a.path.cmp(&b.path));
    write(tree, &list)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;

    #[test]
    fn a_layer_keeps_what_the_layers_below_lack() {
        let scratch = Scratch::new("remade");
        let tree = scratch.tree();
        let lost =
            |path: &str, stem: Option<&str>| Remade { stem: stem.map(str::to_owned), path: path.to_owned(), of: None };
        tree.directory("etc").unwrap();
        tree.put("etc/back", b"brought by a later package", 0o600).unwrap();
        write(&tree, &[lost("/etc/new", Some("new"))]).unwrap();
        let below = vec![lost("/etc/back", None), lost("/etc/key", Some("munge")), lost("/etc/new", None)];
        add(&tree, below).unwrap();
        assert_eq!(read(&tree).unwrap(), [lost("/etc/key", Some("munge")), lost("/etc/new", Some("new"))]);
        // Nothing of this layer, and something of the one below.
        remove(&tree).unwrap();
        add(&tree, vec![lost("/etc/key", None)]).unwrap();
        assert_eq!(read(&tree).unwrap(), [lost("/etc/key", None)]);
    }
}

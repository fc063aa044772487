//! What programs in the sandboxes of a second build see of another world: another wall clock, and directories in another
//! order. `variation.c` says how.
//!
//! The library is part of neither plan nor step id: it must not matter, and `kiln verify --rebuild` shows that it does not.

use std::path::{Path, PathBuf};

use super::sandbox::{Mount, Spec};
use crate::world::{WorldError, fs};

const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/variation.so"));
/// Where programs find it: `/tmp` is a private one in every sandbox, and part of no image.
const INSIDE: &str = "/tmp/kiln-variation.so";

/// Writes the library into a step's scratch space.
pub(super) fn provide(scratch: &Path) -> Result<PathBuf, WorldError> {
    let path = scratch.join("variation.so");
    fs::write_atomically(&path, LIBRARY)?;
    fs::protect(&path, 0o444, None)?;
    Ok(path)
}

/// Has the program of a sandbox, and all that it starts, load the library.
pub(super) fn preload(spec: &mut Spec, library: &Path) {
    spec.mounts.push(Mount { source: library.to_owned(), target: INSIDE.into(), readonly: true });
    spec.env.insert("LD_PRELOAD".to_owned(), INSIDE.to_owned());
}

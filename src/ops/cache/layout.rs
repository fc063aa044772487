//! A cache in an OCI image layout: the artifacts that a registry would have ([`super::registry`]), as files of a directory.
//!
//! Input: the name of a file of a cache, and who takes its bytes. Output: the bytes, that there is none, or what is wrong.

use std::path::Path;

use super::config::Privacy;
use super::pour::{Part, ReadProblem, Reader, Take, too_long};
use super::registry::{held, layer_of, tag};
use crate::oci::{Layout, LayoutReference, OciError, Which};

/// Modes of the files of a layout: those that everybody may read, and those of a cache that is not for everybody.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o640;

/// Which artifact of a layout has this tag.
pub(in crate::ops) fn reference(directory: &Path, tag: &str) -> LayoutReference {
    LayoutReference { directory: directory.to_owned(), which: Which::tagged(tag) }
}

/// The layout, to be written.
pub(in crate::ops) fn open(directory: &Path, privacy: Privacy) -> Layout {
    let mode = if privacy == Privacy::Private { PRIVATE } else { PUBLIC };
    Layout::new(&LayoutReference { directory: directory.to_owned(), which: Which::default() }).with_mode(mode)
}

/// A file piece by piece.
pub(super) fn pour(
    directory: &Path,
    reader: &Reader<'_>,
    (part, name): (Part, &str),
    (most, take): (u64, Take<'_>),
) -> Result<(), ReadProblem> {
    let reference = reference(directory, &tag(part, name));
    let layout = Layout::new(&reference);
    let layer = match layout.manifest(&reference) {
        Ok((_, text)) => layer_of(part, &text).map_err(problem)?,
        Err(OciError::NoArtifact { .. }) => return Err(ReadProblem::Missing),
        Err(error) => return Err(problem(error)),
    };
    if layer.size > most {
        return Err(too_long(most));
    }
    if let Some(bytes) = held(&layer)? {
        return take(&bytes);
    }
    let mut ended = None;
    let copied = layout.copy(&layer, &mut |piece| {
        let taken = if (reader.stop)() { Err(ReadProblem::Stopped) } else { take(piece) };
        taken.map_err(|why| {
            ended = Some(why);
            OciError::Interrupted
        })
    });
    match (ended, copied) {
        (Some(why), _) => Err(why),
        (None, Err(error)) => Err(problem(error)),
        (None, Ok(())) => Ok(()),
    }
}

fn problem(error: OciError) -> ReadProblem {
    if error.is_mismatch() { ReadProblem::Bad(error.to_string()) } else { ReadProblem::Down(error.to_string()) }
}

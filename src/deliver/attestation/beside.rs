//! `attestations.intoto.jsonl`: the attestations of a build beside its manifest, an envelope a line, as in-toto's bundles have them.

use std::path::Path;

use super::{BuildClaim, BuildIdentity};
use crate::deliver::manifest::Manifest;
use crate::format::dsse::Envelope;
use crate::world::WorldError;
use crate::world::dir::Dir;

/// The file's name in a result directory.
pub const FILE: &str = "attestations.intoto.jsonl";
/// No attestation is larger: one of a machine with all its packages has about 250 KB.
pub const LIMIT: u64 = 8 << 20;
/// The file is neither read nor written if it is larger.
pub const FILE_LIMIT: u64 = 64 << 20;

/// The texts of envelopes in a file: one that has several lines for itself, or one on each line.
pub fn envelopes(text: &[u8]) -> Vec<&[u8]> {
    if text.len() as u64 <= LIMIT && Envelope::read(text).is_ok() {
        return vec![text];
    }
    text.split(|byte| *byte == b'\n').filter(|line| line.iter().any(|byte| !byte.is_ascii_whitespace())).collect()
}

/// The envelopes in a directory that are about a build of this recipe and lock, whoever signed them and whatever files they say it has:
/// that somebody came to other files is worth as much. A file that cannot be read whole is an error, since it may be written again.
pub fn all_beside(directory: &Path, manifest: &Manifest) -> Result<Vec<Envelope>, WorldError> {
    let home = Dir::open_named(directory)?;
    // Anything else than a plain file is none of a build's, which `kiln verify` says.
    let Ok(plain) = home.plain(FILE) else { return Ok(Vec::new()) };
    let text = crate::world::fs::context("read", &directory.join(FILE), plain.read(FILE_LIMIT))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(WorldError::TooLarge { path: directory.join(FILE), limit: FILE_LIMIT });
    }
    let build = BuildIdentity::of(manifest);
    let read = |line: &[u8]| Envelope::read(line).ok();
    let is_of = |one: &Envelope| BuildClaim::read(&one.payload).is_ok_and(|claim| claim.build == build);
    Ok(envelopes(&text).into_iter().filter_map(read).filter(is_of).collect())
}

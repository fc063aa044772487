//! SBOMs and attestations that are pushed with a build: files of whoever pushes, each an artifact that refers to the build.
//!
//! Input: files. Output: what they are, by their content, as artifacts of the types that other tools look for.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::referrer::{Referrer, ReferrerKind};
use crate::deliver::plain::is_plain;
use crate::format::dsse::Envelope;
use crate::ops::error::{OpsError, RemoteError};
use crate::world::World;

/// No SBOM of an image is larger.
const LIMIT: u64 = 64 << 20;

/// What tells the formats apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: Option<String>,
    bom_format: Option<String>,
}

/// Reads files, each of which must be an SBOM or an attestation.
pub(super) fn all(world: &dyn World, files: &[PathBuf]) -> Result<Vec<Referrer>, OpsError> {
    files.iter().map(|file| one(world, file)).collect()
}

fn one(world: &dyn World, file: &Path) -> Result<Referrer, OpsError> {
    let bytes = world.read(file, LIMIT)?;
    let kind = kind(&bytes).ok_or_else(|| RemoteError::NoReferrer(file.to_owned()))?;
    let name = file.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name));
    Ok(Referrer::file(kind, (name.unwrap_or(default_name(kind)), bytes)))
}

fn kind(bytes: &[u8]) -> Option<ReferrerKind> {
    if Envelope::read(bytes).is_ok() {
        return Some(ReferrerKind::Attestation);
    }
    let document: Document = serde_json::from_slice(bytes).ok()?;
    match (document.spdx_version.as_deref(), document.bom_format.as_deref()) {
        (Some(version), None) if version.starts_with("SPDX-") => Some(ReferrerKind::Spdx),
        (None, Some("CycloneDX")) => Some(ReferrerKind::CycloneDx),
        _ => None,
    }
}

fn default_name(kind: ReferrerKind) -> &'static str {
    match kind {
        ReferrerKind::Attestation => "attestation.intoto.json",
        ReferrerKind::Spdx => "sbom.spdx.json",
        ReferrerKind::CycloneDx => "sbom.cdx.json",
        // No file of the user's is one of these.
        ReferrerKind::Signature | ReferrerKind::Delta => "signed.json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_content_says() {
        let kinds = [
            (r#"{"spdxVersion":"SPDX-2.3","name":"n"}"#, Some(ReferrerKind::Spdx)),
            (r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#, Some(ReferrerKind::CycloneDx)),
            (r#"{"payloadType":"t","payload":"","signatures":[]}"#, Some(ReferrerKind::Attestation)),
            (r#"{"bomFormat":"CycloneDX","spdxVersion":"SPDX-2.3"}"#, None),
            (r#"{"spdxVersion":"2"}"#, None),
            ("{}", None),
            ("SPDXVersion: SPDX-2.3", None),
        ];
        for (text, expected) in kinds {
            assert_eq!(kind(text.as_bytes()), expected, "{text}");
        }
    }
}

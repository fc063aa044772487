//! `bundle.json`: what a bundle is of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Digest;
use crate::ops::error::EntryProblem;

/// Version of the format.
const FORMAT: u32 = 1;
/// Its name, which sorts before all others.
pub(super) const FILE: &str = "bundle.json";
/// No larger one is read.
pub(super) const LIMIT: u64 = 1 << 20;

/// What a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundleContents {
    /// A rebuild: all inputs.
    #[default]
    Inputs,
    /// A run: the artifacts, and the packages of the locked QEMU.
    Outputs,
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    pub(super) format: u32,
    /// The recipe's file, relative to the recipe's root.
    pub(super) recipe: String,
    /// Parameters that are not the recipe's defaults.
    pub(super) set: BTreeMap<String, String>,
    /// Digest of the lock's text.
    pub(super) lock: Digest,
    pub(super) contents: BundleContents,
}

impl Index {
    pub(super) fn new(recipe: String, set: BTreeMap<String, String>, lock: Digest, contents: BundleContents) -> Index {
        Index { format: FORMAT, recipe, set, lock, contents }
    }

    /// The one spelling.
    pub(super) fn write(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).expect("an index has only strings and numbers"))
    }

    pub(super) fn read(text: &[u8]) -> Result<Index, EntryProblem> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u32,
        }
        let wrong = |error: serde_json::Error| EntryProblem::Index(error.to_string());
        let AnyFormat { format } = serde_json::from_slice(text).map_err(wrong)?;
        if format != FORMAT {
            return Err(EntryProblem::Format { found: format, known: FORMAT });
        }
        let index: Index = serde_json::from_slice(text).map_err(wrong)?;
        if index.write().as_bytes() == text { Ok(index) } else { Err(EntryProblem::Spelling) }
    }
}

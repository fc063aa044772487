//! What is in a store below, for whoever asks what there is.

use super::found::{Reading, Refused};
use super::{Below, READ, look};
use crate::base::Digest;
use crate::store::StoreError;
use crate::store::blob::KnownSize;
use crate::store::gc::{RecheckReport, StoreUsage, size};
use crate::world::fs;

/// What a store below takes, as far as its reader can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BelowUsage {
    /// Where it is.
    pub path: String,
    /// Its parts.
    pub parts: Vec<StoreUsage>,
}

impl Below {
    /// What it takes.
    pub fn usage(&self) -> Result<BelowUsage, StoreError> {
        let path = self.path.display().to_string();
        let part = |part: &&'static str| {
            let names = fs::names(&self.path.join(part))?;
            // What is closed to others, or was removed meanwhile, counts for nothing.
            let bytes = names.iter().map(|name| size(&self.path.join(part).join(name)).unwrap_or(0)).sum();
            Ok(StoreUsage { below: Some(path.clone()), part, entries: names.len(), bytes })
        };
        Ok(BelowUsage { path: path.clone(), parts: READ.iter().map(part).collect::<Result<_, StoreError>>()? })
    }

    /// Reads every blob and tree that may be read, and changes nothing.
    pub fn recheck(&self) -> Result<RecheckReport, StoreError> {
        let mut report = RecheckReport::default();
        let whole = Reading { size: KnownSize::Nothing, stop: &|| false };
        for part in ["cas", "tree"] {
            for name in fs::names(&self.path.join(part))? {
                let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
                let found = match part {
                    "cas" => look::blob(self, &digest, &whole, |_| false).map(drop),
                    _ => look::tree(self, &digest, whole.stop, |_| false).map(drop),
                };
                match found {
                    Err(Refused::Missing) => {}
                    found => {
                        report.checked += 1;
                        if found.is_err() {
                            report.damaged(part, digest);
                        }
                    }
                }
            }
        }
        Ok(report)
    }
}

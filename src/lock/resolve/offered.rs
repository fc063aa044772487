//! Every version that archives offer of some packages, whatever a recipe would choose of them.
//!
//! Input: archives of a recipe, names of packages. Output: [`OfferedVersion`]s, from indexes that are checked as for a lock.

use std::collections::BTreeSet;

use super::{ResolveContext, ResolveError};
use crate::lock::Lock;
use crate::lock::resolve::Progress;
use crate::recipe::Recipe;
use crate::world::download::Downloader;

/// A version of a package in an archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferedVersion {
    /// Key of `Recipe::archives`.
    pub archive: String,
    /// The package.
    pub package: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// The version.
    pub version: String,
}

/// What these archives have of these packages now. `previous` is a lock that they must not be older than.
pub fn offered(
    context: &ResolveContext<'_>,
    (recipe, previous): (&Recipe, &Lock),
    archives: &BTreeSet<&str>,
    packages: &BTreeSet<&str>,
) -> Result<BTreeSet<OfferedVersion>, ResolveError> {
    let told = |waiting| context.report(Progress::Waiting(waiting));
    let downloader = Downloader::new(context.world, &|| false).telling(&told).courteous_to(context.mirrors.service());
    let asking = super::Asking { context, downloader };
    let loaded = super::load(&asking, recipe, Some(previous), archives)?;
    let mut found = BTreeSet::new();
    for (archive, loaded) in &loaded {
        for index in &loaded.indexes {
            for stanza in packages.iter().filter_map(|name| index.find(name)).flat_map(|name| index.packages(name)) {
                found.insert(OfferedVersion {
                    archive: (*archive).to_owned(),
                    package: stanza.name().to_owned(),
                    architecture: stanza.architecture().to_owned(),
                    version: stanza.version().to_owned(),
                });
            }
        }
    }
    Ok(found)
}

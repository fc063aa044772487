//! Where the paths of verdicts begin: in the working directory, where people look for them, or at the root of the
//! repository, where CI services do.

use std::path::{Path, PathBuf};

use super::{RecipeVerdict, TreeRequest};
use crate::ops::inside;
use crate::ops::session::Session;

/// Where paths begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathBase {
    /// The working directory.
    WorkingDirectory,
    /// The nearest directory above the tree that has a `.git`; the working directory, where none has.
    Repository,
}

/// What of a path is shown.
pub(super) struct Places {
    /// The root of the repository, without links.
    root: Option<PathBuf>,
}

impl Places {
    /// Finds the repository, if it is asked for.
    pub(super) fn of(session: &Session<'_>, request: &TreeRequest<'_>) -> Places {
        let root = match request.paths {
            PathBase::WorkingDirectory => None,
            PathBase::Repository => {
                session.world.canonical(request.directory).ok().and_then(|top| inside::repository(&top))
            }
        };
        Places { root }
    }

    /// Shows every path of a verdict so.
    pub(super) fn show(&self, session: &Session<'_>, verdict: &mut RecipeVerdict) {
        let Some(root) = &self.root else { return };
        let places =
            verdict.findings.iter_mut().filter_map(|finding| finding.place.as_mut()).map(|place| &mut place.file);
        for path in places.chain([&mut verdict.recipe]) {
            if let Some(shown) = below(session, root, path) {
                *path = shown;
            }
        }
    }
}

/// A file seen from a directory that it is below. Its own name may be a link, which is what the repository has.
fn below(session: &Session<'_>, root: &Path, path: &Path) -> Option<PathBuf> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = session.world.canonical(directory).ok()?.join(path.file_name()?);
    real.strip_prefix(root).ok().map(Path::to_owned)
}

/// A path as seen from the working directory, where it is below that.
pub(super) fn from_here(session: &Session<'_>, path: &Path) -> PathBuf {
    let here = session.world.canonical(Path::new(".")).ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

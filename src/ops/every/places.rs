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
    /// What paths in messages begin with that are shown from where the others are.
    prefix: Option<String>,
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
        let base = root.clone().or_else(|| session.world.canonical(Path::new(".")).ok());
        let base = base.filter(|base| base.parent().is_some());
        Places { root, prefix: base.map(|base| format!("{}/", base.display())) }
    }

    /// Shows every path of a verdict so.
    pub(super) fn show(&self, session: &Session<'_>, verdict: &mut RecipeVerdict) {
        for finding in &mut verdict.findings {
            let texts = std::iter::once(&mut finding.message).chain(&mut finding.help);
            texts.for_each(|text| *text = self.shortened(text));
        }
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

impl Places {
    /// A text in which paths below the base begin there. Where a job has its checkout is nobody's concern who reads its report.
    fn shortened(&self, text: &str) -> String {
        let Some(prefix) = &self.prefix else { return text.to_owned() };
        let mut out = String::with_capacity(text.len());
        for part in text.split_inclusive(prefix.as_str()) {
            let before = part.strip_suffix(prefix.as_str()).unwrap_or(part);
            let is_path =
                !before.chars().next_back().is_some_and(|last| last.is_alphanumeric() || "/._-".contains(last));
            out.push_str(if is_path { before } else { part });
        }
        out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_begin_at_the_base_are_shortened() {
        let places = Places { root: None, prefix: Some("/a/b/".to_owned()) };
        for (text, shown) in [
            ("/a/b/x.lock: invalid", "x.lock: invalid"),
            ("see `/a/b/x`, /a/b/y", "see `x`, y"),
            ("/c/a/b/x and /a/bc", "/c/a/b/x and /a/bc"),
            ("/a/b/", ""),
        ] {
            assert_eq!(places.shortened(text), shown);
        }
    }
}

//! Which files of packages are left out: dpkg's `path-exclude` and `path-include` (dpkg(1)), excludes first.
//!
//! Input: patterns, then entries of packages. Output: whether an entry is left out, and in the end which patterns did
//! nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use super::package::{Entry, Kind};
use crate::base::glob;
use crate::plan::root::PathFilters;

/// Patterns, and which of them matched anything so far.
pub(crate) struct PathFilter<'a> {
    exclude: Vec<(&'a str, AtomicBool)>,
    include: Vec<(&'a str, AtomicBool)>,
}

impl<'a> PathFilter<'a> {
    pub(crate) fn new(filters: &'a PathFilters) -> PathFilter<'a> {
        let unmatched =
            |list: &'a [String]| list.iter().map(|pattern| (pattern.as_str(), AtomicBool::new(false))).collect();
        PathFilter { exclude: unmatched(&filters.exclude), include: unmatched(&filters.include) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exclude.is_empty()
    }

    /// Whether it is left out. A directory, or a link that may lead to one, stays when an include could bring something
    /// below it back, as dpkg has it.
    pub(crate) fn leaves_out(&self, entry: &Entry) -> bool {
        let path = format!("/{}", entry.path);
        if !self.is_excluded(&path) {
            return false;
        }
        let leads = matches!(entry.kind, Kind::Directory | Kind::Link(_));
        !leads || !self.include.iter().any(|(pattern, _)| path.starts_with(glob::fixed(pattern)))
    }

    /// Whether a file at this absolute path is left out.
    pub(crate) fn is_excluded(&self, path: &str) -> bool {
        // Every pattern is asked, so that none is taken for one that does nothing.
        let any = |list: &[(&str, AtomicBool)]| {
            let mut any = false;
            for (_, matched) in list.iter().filter(|(pattern, _)| glob::matches(pattern, path)) {
                matched.store(true, Ordering::Relaxed);
                any = true;
            }
            any
        };
        any(&self.exclude) && !any(&self.include)
    }

    /// The first pattern that matched nothing.
    pub(crate) fn idle(&self) -> Option<&'a str> {
        let all = self.exclude.iter().chain(&self.include);
        all.into_iter().find(|(_, matched)| !matched.load(Ordering::Relaxed)).map(|(pattern, _)| *pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::Attributes;

    #[test]
    fn later_includes_win_and_directories_stay_for_them() {
        let list = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let filters = PathFilters {
            exclude: list(&["/usr/share/doc/*", "/usr/share/man/*"]),
            include: list(&["/usr/share/doc/*/copyright", "/nowhere"]),
        };
        let filter = PathFilter::new(&filters);
        let out = |path: &str, kind| {
            let (path, attributes) = (path.to_owned(), Attributes::IMPLICIT);
            filter.leaves_out(&Entry { path, kind, attributes, suffix: "" })
        };
        assert!(out("usr/share/doc/a/changelog.gz", Kind::File));
        assert!(!out("usr/share/doc/a/copyright", Kind::File));
        assert!(!out("usr/share/doc/a", Kind::Directory));
        assert_eq!(filter.idle(), Some("/usr/share/man/*"));
        assert!(out("usr/share/man/man1", Kind::Directory));
        assert!(!out("usr/share/doc", Kind::Directory) && !out("usr/bin/a", Kind::File));
        assert_eq!(filter.idle(), Some("/nowhere"));
    }
}

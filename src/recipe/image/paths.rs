//! Reads `path-exclude`, `path-include` and `remove` in an image.

use std::collections::BTreeMap;

use super::file::is_absolute;
use super::{ImageFile, PathPatterns};
use crate::base::{Diagnostic, Span, Spanned, glob};
use crate::recipe::reader::Reader;

/// Longest pattern: time to match it grows with its length.
const LONGEST: usize = 512;

/// The file of the image in which dpkg finds what packages leave out later.
const DPKG_FILE: &str = "/etc/dpkg/dpkg.cfg.d/kiln-paths";

/// The patterns, and where each stands.
pub(super) fn patterns(reader: &mut Reader<'_>, files: &[ImageFile]) -> (PathPatterns, BTreeMap<String, Span>) {
    let exclude = reader.list::<String>("path-exclude");
    let include = reader.list::<String>("path-include");
    let remove = reader.list::<String>("remove");
    let mut spans: BTreeMap<String, Span> = BTreeMap::new();
    for pattern in exclude.iter().chain(&include).chain(&remove) {
        malformed(pattern, reader);
        if let Some(first) = spans.insert(pattern.value.clone(), pattern.span) {
            let twice = Diagnostic::new(pattern.span, format!("pattern `{}` is listed more than once", pattern.value));
            reader.error(twice.label("again here").related(first, "first here"));
        }
    }
    if let (Some(first), true) = (include.first(), exclude.is_empty()) {
        let wrong = Diagnostic::new(first.span, "`path-include` has no effect without `path-exclude`");
        reader.error(wrong.label("nothing is excluded that this could bring back"));
    }
    stated(&remove, files, reader);
    if let Some(file) = files.iter().find(|file| file.path == DPKG_FILE).filter(|_| !exclude.is_empty()) {
        let wrong = Diagnostic::new(file.span, format!("`path-exclude` writes `{DPKG_FILE}`"));
        reader.error(wrong.label("this file would replace it").hint("give the file another name"));
    }
    let values = |list: Vec<Spanned<String>>| list.into_iter().map(|pattern| pattern.value).collect();
    (PathPatterns { exclude: values(exclude), include: values(include), remove: values(remove) }, spans)
}

/// Only what dpkg reads the same way.
fn malformed(pattern: &Spanned<String>, reader: &Reader<'_>) {
    let text = pattern.value.as_str();
    let legal = |c: char| c.is_ascii_graphic() && !"\\[]\"'#".contains(c);
    let label = match text {
        relative if !relative.starts_with('/') => "expected `/...`",
        odd if !odd.chars().all(legal) => "only `*` and `?` are special; no blanks, quotes, brackets, `#` or `\\`",
        long if long.len() > LONGEST => "longer than 512 characters",
        climbing if !is_absolute(climbing) => "expected `/...` without `.`, `..` or `//`",
        all if glob::fixed(all).is_empty() => "this matches everything",
        _ => return,
    };
    reader.error(Diagnostic::new(pattern.span, format!("`{text}` is not a pattern of paths")).label(label));
}

/// A pattern that removes what the recipe puts there: one of the two would not be done.
fn stated(remove: &[Spanned<String>], files: &[ImageFile], reader: &Reader<'_>) {
    for pattern in remove {
        if let Some(file) = files.iter().find(|file| glob::matches(&pattern.value, &file.path)) {
            let wrong =
                Diagnostic::new(pattern.span, format!("`remove` matches `{}`, which the recipe adds", file.path));
            let wrong = wrong.label("this pattern").related(file.span, "and this");
            reader.error(wrong.hint("make the pattern narrower, or leave one of the two out"));
        }
    }
}

//! Source packages of Debian archives, whole or only the tarball that Debian made them from.
//!
//! Input: `source-package "x" from ARCHIVE`, `source-tarball "x" from ARCHIVE`. Output: what is asked for, and which of the
//! package's files answer it.

use super::{PackageRequest, request};
use crate::base::{Arch, Spanned};
use crate::recipe::scope::Scope;
use crate::recipe::value::Value;

/// How tarballs of source packages are compressed.
const COMPRESSIONS: [&str; 5] = ["gz", "xz", "bz2", "lzma", "zst"];

/// A source package that a recipe asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianSource {
    /// Its name, and perhaps its version.
    pub request: PackageRequest,
    /// The archives that may have it.
    pub archives: Vec<String>,
    /// Which of its files are meant.
    pub part: DebianPart,
}

/// Which files of a source package a recipe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebianPart {
    /// All of them.
    Whole,
    /// The original tarball, which none of Debian's patches has changed.
    Tarball,
}

impl DebianSource {
    /// Reads `source-package ...` or `source-tarball ...`; `None` where `word` is neither, or the rest is wrong and reported.
    pub fn read(word: &Spanned<String>, arguments: &[Spanned<Value>], scope: &Scope) -> Option<DebianSource> {
        let part = DebianPart::named(&word.value)?;
        let package = Spanned::new("package".to_owned(), word.span);
        let span = arguments.iter().fold(word.span, |span, argument| span.to(argument.span));
        let request = request(&Spanned::new(Value::Call(package, arguments.to_vec()), span), scope)?;
        // Sources are the same for every architecture: the archives of the other ones would only be asked twice.
        let archives = request.archive.clone().map_or_else(|| scope.archives_for(Arch::BUILD), |one| vec![one]);
        Some(DebianSource { request, archives, part })
    }

    /// Whether the recipe asks for this file of the package.
    pub fn has(&self, file: &str) -> bool {
        match self.part {
            DebianPart::Whole => true,
            DebianPart::Tarball => self.upstream_version(file).is_some(),
        }
    }

    /// Whether these are the files that the recipe asks for, of the version that it states.
    pub fn is_answered_by<'a>(&self, files: impl Iterator<Item = &'a String> + Clone) -> bool {
        let alone = self.part == DebianPart::Whole || files.clone().count() == 1;
        alone && files.clone().all(|file| self.has(file)) && files.clone().any(|file| self.is_identified_by(file))
    }

    /// Whether this file identifies the package, and is of the version that the recipe states.
    fn is_identified_by(&self, file: &str) -> bool {
        let asked = self.request.version.as_deref().map(|version| version.rsplit(':').next().unwrap_or(version));
        match self.part {
            DebianPart::Whole => {
                let found = file.strip_suffix(".dsc").and_then(|stem| stem.split_once('_'));
                found.is_some_and(|(name, found)| name == self.request.name && asked.is_none_or(|asked| asked == found))
            }
            DebianPart::Tarball => self.upstream_version(file).is_some_and(|found| {
                asked.is_none_or(|asked| asked.rsplit_once('-').map_or(asked, |(upstream, _)| upstream) == found)
            }),
        }
    }

    /// The version in the name of an original tarball: of `ndctl_81.orig.tar.gz`, or of the only tarball of a package that is
    /// native to Debian, `debhelper_13.tar.xz`. Debian's own part and the additional tarballs of a package have none.
    fn upstream_version<'a>(&self, file: &'a str) -> Option<&'a str> {
        let (stem, compression) = file.rsplit_once('.')?;
        let rest = stem.strip_suffix(".tar").filter(|_| COMPRESSIONS.contains(&compression))?;
        let version = rest.strip_prefix(self.request.name.as_str())?.strip_prefix('_')?;
        match version.strip_suffix(".orig") {
            Some(version) => Some(version),
            None => Some(version).filter(|version| !version.ends_with(".debian") && !version.contains(".orig-")),
        }
    }
}

impl DebianPart {
    /// The part that a keyword of the language means.
    pub fn named(word: &str) -> Option<DebianPart> {
        match word {
            "source-package" => Some(DebianPart::Whole),
            "source-tarball" => Some(DebianPart::Tarball),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{SourceMap, Span};

    fn asked(name: &str, version: Option<&str>, part: DebianPart) -> DebianSource {
        let file = SourceMap::default().add("a.kiln".into(), String::new());
        let request = PackageRequest {
            name: name.to_owned(),
            archive: None,
            version: version.map(str::to_owned),
            span: Span { file, start: 0, end: 0 },
        };
        DebianSource { request, archives: Vec::new(), part }
    }

    #[test]
    fn the_original_tarball_is_told_from_the_other_files() {
        let ndctl = asked("ndctl", None, DebianPart::Tarball);
        for file in ["ndctl_81.orig.tar.gz", "ndctl_81.tar.xz", "ndctl_1.2-3.orig.tar.zst"] {
            assert!(ndctl.has(file), "{file}");
        }
        for file in [
            "ndctl_81-1.dsc",
            "ndctl_81-1.debian.tar.xz",
            "ndctl_81-1.diff.gz",
            "ndctl_81.orig.tar.gz.asc",
            "ndctl_81.orig-docs.tar.gz",
            "ndctl-extra_81.orig.tar.gz",
            "ndctl.tar.gz",
        ] {
            assert!(!ndctl.has(file), "{file}");
            assert!(asked("ndctl", None, DebianPart::Whole).has(file), "{file}");
        }
    }

    #[test]
    fn a_stated_version_is_that_of_the_package() {
        for (version, file) in
            [("81-1", "ndctl_81.orig.tar.gz"), ("2:81-1", "ndctl_81.orig.tar.xz"), ("81", "ndctl_81.tar.xz")]
        {
            assert!(asked("ndctl", Some(version), DebianPart::Tarball).is_identified_by(file), "{version} {file}");
        }
        assert!(!asked("ndctl", Some("82-1"), DebianPart::Tarball).is_identified_by("ndctl_81.orig.tar.gz"));
        assert!(asked("ndctl", Some("2:81-1"), DebianPart::Whole).is_identified_by("ndctl_81-1.dsc"));
        assert!(!asked("ndctl", Some("81-2"), DebianPart::Whole).is_identified_by("ndctl_81-1.dsc"));
        assert!(!asked("ndctl", None, DebianPart::Whole).is_identified_by("ndctl_81.orig.tar.gz"));
    }
}

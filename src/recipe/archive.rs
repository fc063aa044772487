//! `archive NAME { suite components repository keys }`: one suite of one Debian repository.

use super::architecture;
use super::kinds::FileKey;
use super::reader::Reader;
use super::scope::Scope;
use super::value::EvaluatedNode;
use crate::base::span::{Span, Spanned};
use crate::base::{Arch, Diagnostic};

/// One suite of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The recipe's name for it; defaults to the suite.
    pub name: String,
    /// `trixie-backports`, or the directory of a flat repository with a `/` at its end: `debian13/`, `./`.
    pub suite: String,
    /// `main`, ...; none in a flat repository.
    pub components: Vec<String>,
    /// The repository's name on Debian's snapshot service and the key of the mirror table: `debian`, `debian-security`.
    pub repository: String,
    /// Whose packages are taken from it, besides those for all architectures.
    pub architecture: Arch,
    /// Paths (in `Recipe::files`) of OpenPGP certificates, one of which must have signed `InRelease`.
    pub keys: Vec<String>,
    /// False accepts an `InRelease` past its `Valid-Until`, with a warning (for frozen mirrors).
    pub check_valid_until: bool,
    /// Like apt's pin: a package goes to the archive with the highest priority, then to the highest version.
    /// 500 unless said; below 500 (backports: 100) only when asked for by name, or when nothing else satisfies.
    pub priority: i32,
    /// Where it was declared.
    pub span: Span,
}

/// Reads one `archive` block.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<Archive> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let suite = reader.optional::<String>("suite").or(name.clone()).and_then(|suite| directory(suite, &reader));
    let flat = suite.as_deref().is_some_and(is_flat);
    let components = components(&mut reader, flat);
    let repository = reader.optional::<String>("repository").map(|repository| plain(repository, &reader));
    let keys = reader.required::<Vec<Spanned<FileKey>>>("keys");
    if let Some(none) = keys.as_ref().filter(|keys| keys.value.is_empty()) {
        let wrong = Diagnostic::new(none.span, "an archive needs a key that signs it").label("no key is listed");
        reader.error(wrong.hint("name at least one OpenPGP certificate: `keys = [file \"keys/debian.asc\"]`"));
    }
    let architecture = architecture::read(&mut reader).value;
    let check_valid_until = reader.or("check-valid-until", true);
    let priority = reader.integer("priority", 1..=1000).map_or(500, |priority| priority.value as i32);
    reader.finish();
    Some(Archive {
        name: name?.value,
        suite: suite?,
        components,
        repository: repository.unwrap_or(Some("debian".to_owned()))?,
        architecture,
        keys: keys?.value.into_iter().map(|key| key.value.0).collect(),
        check_valid_until,
        priority,
        span: node.head(),
    })
}

impl Archive {
    /// Whether the packages lie beside their index, in one directory, as apt has it when a suite ends with `/`.
    pub fn is_flat(&self) -> bool {
        is_flat(&self.suite)
    }
}

fn is_flat(suite: &str) -> bool {
    suite.ends_with('/')
}

/// `main` unless said; none in a flat repository.
fn components(reader: &mut Reader<'_>, flat: bool) -> Vec<String> {
    let said = reader.list::<String>("components");
    if let Some(first) = said.first().filter(|_| flat) {
        let wrong = Diagnostic::new(first.span, "a flat repository has no components");
        let wrong = wrong.label("its suite ends with `/`: all of its packages are in one index");
        reader.error(wrong.hint("leave `components` out, or name the suite without `/` at its end"));
        return Vec::new();
    }
    let components: Vec<_> = said.into_iter().filter_map(|component| plain(component, reader)).collect();
    if components.is_empty() && !flat { vec!["main".to_owned()] } else { components }
}

/// A suite, or the directory of a flat repository: `debian13/`, and `./` or `/` for the repository's own.
fn directory(mut text: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    if matches!(text.value.as_str(), "./" | "/") {
        return Some("./".to_owned());
    }
    let flat = text.value.ends_with('/');
    text.value.truncate(text.value.len() - usize::from(flat));
    let end = if flat { "/" } else { "" };
    plain(text, reader).map(|name| format!("{name}{end}"))
}

/// What becomes a part of an address: letters, digits, `.`, `_`, `-`, and `/` between two of those.
fn plain(text: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    let legal = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(plain)
    };
    if text.value.split('/').all(legal) {
        return Some(text.value);
    }
    let wrong = Diagnostic::new(text.span, format!("`{}` cannot be a part of an address", text.value));
    reader.error(wrong.label("letters, digits, `.`, `_`, `-` and single `/` only"));
    None
}

//! Why requests cannot be satisfied, with what may have been meant.

use super::pool::Pool;
use super::{Problem, Unsolvable};
use crate::base::Span;
use crate::debian::packages::Index;
use crate::recipe::nearest;
use crate::recipe::packages::PackageRequest;

/// Names that a hint offers.
const MAX_NEAR: usize = 3;

/// A request that cannot be satisfied, whatever the others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// Where it was asked for; `None` for what a set contains without asking.
    pub span: Option<Span>,
    /// One sentence.
    pub message: String,
    /// What may have been meant, or the way out.
    pub help: Option<String>,
    /// The name, where no archive of the set has any package of that name.
    pub unknown: Option<String>,
}

impl std::fmt::Display for RefusedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {help}"))
    }
}

impl RefusedRequest {
    /// Adds another thing that may help.
    pub fn helped(&mut self, more: &str) {
        self.help = Some(match self.help.take() {
            Some(help) => format!("{help}; {more}"),
            None => more.to_owned(),
        });
    }
}

/// A name that several packages provide.
pub(super) fn ambiguous(pool: &Pool<'_>, request: &PackageRequest, providers: &[super::pool::Ver]) -> RefusedRequest {
    let names: Vec<&str> = providers.iter().map(|version| pool.version(*version).stanza.name()).collect();
    RefusedRequest {
        span: Some(request.span),
        message: format!("`{}` is a virtual package", request.name),
        help: Some(format!("request one of its providers instead: {}", names.join(", "))),
        unknown: None,
    }
}

/// A name, a version or an archive that leads to nothing.
pub(super) fn unknown(problem: &Problem<'_>, pool: &Pool<'_>, request: &PackageRequest) -> RefusedRequest {
    let PackageRequest { name, archive, version, span } = request;
    let mut message = format!("package `{name}`");
    version.iter().for_each(|version| message.push_str(&format!(" with version {version}")));
    match archive {
        Some(archive) => message.push_str(&format!(" is not in archive `{archive}`")),
        None => message.push_str(&format!(" is not in {}", archives(problem))),
    }
    let package = pool.package_named(name);
    let versions = package.map(|package| pool.packages[package].versions.clone()).unwrap_or_default();
    let unusable = unusable(problem, name);
    let mut hints = Vec::new();
    if problem.exclude.contains(name) {
        hints.push("the set excludes it".to_owned());
    } else if !versions.is_empty() {
        let offered: Vec<String> = versions.iter().map(|version| pool.origin(*version)).collect();
        hints.push(format!("there is {}", offered.join(", ")));
        hints.extend(unusable);
    } else if unusable.is_some() {
        hints.extend(unusable);
    } else {
        hints.extend(near(problem, name));
        hints.extend(mentioned(problem, name));
    }
    let help = (!hints.is_empty()).then(|| hints.join("; "));
    let unknown = versions.is_empty().then(|| name.clone());
    RefusedRequest { span: Some(*span), message, help, unknown }
}

/// `archive `a``, or `archives `a`, `b``.
fn archives(problem: &Problem<'_>) -> String {
    let mut names: Vec<String> = problem
        .offers
        .iter()
        .filter(|offer| !offer.archive.is_local())
        .map(|offer| format!("`{}`", offer.archive))
        .collect();
    names.dedup();
    format!("{} {}", if names.len() == 1 { "archive" } else { "archives" }, names.join(", "))
}

/// Why the archive's entry of that name cannot be used, where there is one.
fn unusable(problem: &Problem<'_>, name: &str) -> Option<String> {
    problem.offers.iter().find_map(|offer| {
        let found = offer.index.unusable().find(|one| one.package == name)?;
        Some(format!("the entry of it in {} cannot be used: {}", offer.archive, found.reason))
    })
}

/// Names that are nearly the one asked for, else those that begin with it.
fn near(problem: &Problem<'_>, name: &str) -> Option<String> {
    let names = || problem.offers.iter().flat_map(|offer| offer.index.names());
    let mut near: Vec<(usize, &str)> =
        names().filter_map(|known| Some((nearest::closeness(name, known)?, known))).collect();
    if near.is_empty() {
        let continues = |known: &&str| known.strip_prefix(name).is_some_and(|rest| !rest.is_empty());
        near = names().filter(continues).map(|known| (known.len(), known)).collect();
    }
    near.sort_unstable();
    near.dedup();
    let near: Vec<String> = near.iter().take(MAX_NEAR).map(|(_, name)| format!("`{name}`")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// A name that packages of the set speak of, although no archive has it: `wine32` of amd64.
fn mentioned(problem: &Problem<'_>, name: &str) -> Option<String> {
    let speaks = |index: &Index| index.find(name).is_some();
    let architecture = problem.architecture;
    problem.offers.iter().any(|offer| speaks(offer.index)).then(|| {
        format!(
            "other packages refer to it, but there is none for {architecture}; if it exists for another architecture \
             only: foreign architectures are not mixed into a set"
        )
    })
}

/// An error unless there are none.
pub(super) fn none(refused: Vec<RefusedRequest>) -> Result<(), Unsolvable> {
    if refused.is_empty() { Ok(()) } else { Err(Unsolvable::Requests(refused)) }
}

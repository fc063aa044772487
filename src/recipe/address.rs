//! `url "https://..." sha256:...`: a file on the network, pinned by the recipe or by its lock.

use super::kinds::FromValue;
use super::report::Diagnostics;
use super::value::Value;
use crate::base::{Diagnostic, Digest, Spanned};

/// Where a file was published, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https://HOST/PATH`, or the same with `http`.
    pub url: String,
    /// Absent means: pinned by the lock.
    pub digest: Option<Digest>,
}

/// Whether an address is one that git clones from.
fn is_repository(scheme: &str, url: &str) -> bool {
    matches!(scheme, "git" | "ssh") || scheme.starts_with("git+") || url.ends_with(".git") || url.starts_with("git@")
}

/// The arguments of `url`; `value` is the whole of it.
pub(super) fn read(value: &Spanned<Value>, arguments: &[Spanned<Value>], report: &Diagnostics) -> Option<Address> {
    let [address, digest @ ..] = arguments else { return None };
    let url = String::read(address, report)?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let graphic = rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
    if !matches!(scheme, "https" | "http") || rest.is_empty() || rest.starts_with('/') || !graphic {
        let wrong = Diagnostic::new(address.span, "unsupported URL")
            .label("expected `https://HOST/PATH` or `http://HOST/PATH`");
        let local = "a file beside the recipe is written `file \"PATH\"`, relative to the recipe; its size does not matter. A \
                     directory is written `directory \"PATH\"`";
        let git = "kiln clones no repositories: name a tarball of it, or clone it and write `directory \"PATH\"`";
        report.push(match scheme {
            "file" => wrong.hint(local),
            _ if url.starts_with('/') => wrong.hint(local),
            _ if is_repository(scheme, &url) => wrong.hint(git),
            _ => wrong,
        });
        return None;
    }
    match digest {
        [] => Some(Address { url, digest: None }),
        [digest] => Some(Address { url, digest: Some(Digest::read(digest, report)?) }),
        [_, extra, ..] => {
            let wrong = Diagnostic::new(extra.span, "`url` takes an address and a digest").label("unexpected");
            report.push(wrong.related(value.span, "in this"));
            None
        }
    }
}

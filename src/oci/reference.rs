//! What artifacts are called: `registry.example/team/small:v1@sha256:...`, or `oci:DIR:TAG` and `oci:DIR@sha256:...` for an image
//! layout.

use std::fmt;
use std::path::PathBuf;

use super::{OciDigest, OciError};

/// The tag of a reference that has none.
const LATEST: &str = "latest";
/// What an image layout's reference begins with, as skopeo has it.
const LAYOUT: &str = "oci:";
/// Docker's own registry has another name than its references.
const DOCKER: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// The specification's limit.
const MAX_TAG: usize = 128;
/// Registries limit the name with its host.
const MAX_NAME: usize = 255;

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Registry(RegistryReference),
    Layout(LayoutReference),
}

/// An artifact in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryReference {
    /// As the user writes it, which is how their configuration names it: `docker.io`, `127.0.0.1:5000`.
    pub host: String,
    /// `team/small`
    pub name: String,
    pub which: Which,
}

/// Which manifest of a repository or an image layout: the one with the digest, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    pub tag: Option<String>,
    pub digest: Option<OciDigest>,
}

/// An artifact in an image layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutReference {
    pub directory: PathBuf,
    pub which: Which,
}

impl Reference {
    /// Reads a reference.
    pub fn parse(text: &str) -> Result<Reference, OciError> {
        let wrong = |problem| OciError::Reference { text: text.to_owned(), problem };
        match text.strip_prefix(LAYOUT) {
            Some(rest) => layout(rest).map(Reference::Layout).map_err(wrong),
            None => registry(text).map(Reference::Registry).map_err(wrong),
        }
    }

    /// Whether a word, where a path could stand as well, is a reference: it begins with `oci:`, or with a host name that has
    /// a dot or a port, and is no name of a recipe.
    pub fn is_meant(text: &str) -> bool {
        let Some((host, rest)) = text.split_once('/') else { return text.starts_with(LAYOUT) };
        let is_host = host == "localhost" || host.contains(':') || (host.contains('.') && !host.starts_with('.'));
        text.starts_with(LAYOUT) || (is_host && !rest.ends_with(".kiln"))
    }
}

impl RegistryReference {
    /// Whom to ask.
    pub fn server(&self) -> &str {
        if self.host == DOCKER.0 { DOCKER.1 } else { &self.host }
    }
}

impl Which {
    /// The tag, where a tag is needed.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(LATEST)
    }
    /// By its tag.
    pub fn tagged(tag: &str) -> Which {
        Which { tag: Some(tag.to_owned()), digest: None }
    }

    /// `:TAG@sha256:DIGEST`, as far as they are stated.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl Reference {
    /// Which of the manifests there.
    pub fn which(&self) -> &Which {
        match self {
            Reference::Registry(reference) => &reference.which,
            Reference::Layout(reference) => &reference.which,
        }
    }

    /// The same place by a tag alone.
    pub fn by_tag(&self) -> Reference {
        let which = Which::tagged(self.which().tag());
        match self.clone() {
            Reference::Registry(reference) => Reference::Registry(RegistryReference { which, ..reference }),
            Reference::Layout(reference) => Reference::Layout(LayoutReference { which, ..reference }),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Registry(reference) => write!(f, "{reference}"),
            Reference::Layout(LayoutReference { directory, which }) => {
                write!(f, "{LAYOUT}{}", directory.display())?;
                which.write(f)
            }
        }
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegistryReference { host, name, which } = self;
        write!(f, "{host}/{name}")?;
        match (&which.tag, &which.digest) {
            (None, None) => write!(f, ":{LATEST}"),
            _ => which.write(f),
        }
    }
}

/// What a digest is not.
const NO_DIGEST: &str = "its digest is not `sha256:` and 64 digits";

fn layout(rest: &str) -> Result<LayoutReference, &'static str> {
    // Directories may have an `@` in their names, so only what begins as a digest is one.
    let is_digest = |text: &str| (text.starts_with("sha256:") || text.starts_with("sha512:")) && !text.contains('/');
    let (rest, digest) = match rest.rsplit_once('@').filter(|(_, digest)| is_digest(digest)) {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| NO_DIGEST)?)),
        None => (rest, None),
    };
    let (directory, tag) = match rest.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag)),
        _ => (rest, None),
    };
    if directory.is_empty() {
        return Err("it names no directory: write oci:DIR, oci:DIR:TAG or oci:DIR@sha256:DIGEST");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("its tag is not valid");
    }
    let which = Which { tag: tag.map(str::to_owned), digest };
    Ok(LayoutReference { directory: directory.into(), which })
}

fn registry(text: &str) -> Result<RegistryReference, &'static str> {
    if text.contains("://") {
        return Err("write it without a scheme: registry.example/NAME:TAG");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| NO_DIGEST)?)),
        None => (text, None),
    };
    let (host, rest) = rest.split_once('/').ok_or("it names no registry: write registry.example/NAME:TAG")?;
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (rest, None),
    };
    if !is_host(host) {
        return Err("its registry is not a host name with a dot, a port, or `localhost`");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("its tag is not valid");
    }
    let implied = host == DOCKER.0 && !name.contains('/');
    let name = if implied { format!("library/{name}") } else { name.to_owned() };
    if !is_name(&name) {
        return Err(
            "its name has other characters than lower-case letters, digits and single `.`, `_`, `-` between them",
        );
    }
    let which = Which { tag: tag.map(str::to_owned), digest };
    Ok(RegistryReference { host: host.to_ascii_lowercase(), name, which })
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            return rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        }
        Some(_) => return false,
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let is_legal =
        !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_word) && !name.starts_with(['.', '-']);
    let is_known = name == "localhost" || name.contains('.') || port.is_some();
    is_legal && is_known && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes.
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
        let separators = part.split(is_inner).filter(|text| !text.is_empty());
        part.starts_with(is_inner) && part.ends_with(is_inner) && separators.into_iter().all(is_separator)
    };
    name.len() <= MAX_NAME && name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || ".-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back_as_they_are_written() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for text in [
            "registry.example/team/small:v1".to_owned(),
            "127.0.0.1:5000/a:1".to_owned(),
            "localhost/a__b/c--d:x".to_owned(),
            "[::1]:5000/a:x".to_owned(),
            format!("registry.example/a@{digest}"),
            format!("registry.example/a:v1@{digest}"),
            "oci:out/layout:v1".to_owned(),
            "oci:/tmp/with:colon/layout".to_owned(),
            "oci:me@host:v1".to_owned(),
            "oci:a@sha256:b/layout".to_owned(),
            format!("oci:out/layout@{digest}"),
            format!("oci:out/layout:v1@{digest}"),
        ] {
            assert_eq!(Reference::parse(&text).unwrap().to_string(), text);
            assert!(Reference::is_meant(&text), "{text}");
        }
        assert_eq!(Reference::parse("registry.example/a").unwrap().to_string(), "registry.example/a:latest");
        let Reference::Registry(docker) = Reference::parse("docker.io/debian").unwrap() else { panic!("a registry") };
        assert_eq!((docker.server(), docker.name.as_str()), ("registry-1.docker.io", "library/debian"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "small",
            "team/small",
            "https://registry.example/a",
            "registry.example/A",
            "registry.example/a:",
            "registry.example/",
            "registry.example/../a",
            "registry.example//a",
            "registry.example/a:b:c",
            "registry.example/a?x=y",
            "registry.example:99999/a",
            "user@registry.example/a",
            "registry.example/a@sha256:00",
            "registry.example/a:b\nc",
            "registry.example/a#b",
            "oci:",
            "oci::tag",
            "oci:out@sha256:00",
            "oci:out:@sha256:00",
            &format!("oci:out@sha512:{}", "a".repeat(128)),
            &format!("oci:@sha256:{}", "a".repeat(64)),
            "-o.example/a",
            ".example/a",
            "[::1/a",
            "a b.example/c",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        for path in
            ["small.kiln", "recipes/small.kiln", "./small", "../x/small", "lab.d/small.kiln", "result/small", "/a.b/c"]
        {
            assert!(!Reference::is_meant(path), "{path}");
        }
    }
}

//! Why a package is in a set.
//!
//! A lock spells it in words. They are read back, since whether a locked set still answers the recipe follows from them.

use std::fmt;
use std::str::FromStr;

use crate::debian::relation::is_package_name;

/// The first reason that was found for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is asked for.
    Requested,
    /// These names are asked for: virtual ones that the package provides, and its own if that is asked for as well.
    RequestedAs(Vec<String>),
    /// It is `Essential: yes`.
    Essential,
    /// It is `Priority: required`.
    Required,
    /// This package depends on it.
    DependencyOf(String),
    /// This package recommends it.
    RecommendationOf(String),
}

/// Words that are not a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a reason for a package to be in a set")]
pub struct NotAReason(pub String);

impl Why {
    /// The requests of a recipe that the package of this name answers.
    pub fn requests<'a>(&'a self, package: &'a str) -> Vec<&'a str> {
        match self {
            Why::Requested => vec![package],
            Why::RequestedAs(names) => names.iter().map(String::as_str).collect(),
            Why::Essential | Why::Required | Why::DependencyOf(_) | Why::RecommendationOf(_) => Vec::new(),
        }
    }

    /// The same for a package that also answers this request.
    pub(super) fn and_requested(&self, package: &str, request: &str) -> Why {
        let mut names = self.requests(package);
        if !names.contains(&request) {
            names.push(request);
        }
        match names[..] {
            [only] if only == package => Why::Requested,
            _ => Why::RequestedAs(names.into_iter().map(str::to_owned).collect()),
        }
    }

    /// The package that is to blame, if another one is.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Why::DependencyOf(name) | Why::RecommendationOf(name) => Some(name),
            Why::Requested | Why::RequestedAs(_) | Why::Essential | Why::Required => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Requested => f.write_str("requested"),
            Why::RequestedAs(names) => write!(f, "requested as {}", names.join(" and ")),
            Why::Essential => f.write_str("essential"),
            Why::Required => f.write_str("required"),
            Why::DependencyOf(name) => write!(f, "dependency of {name}"),
            Why::RecommendationOf(name) => write!(f, "recommendation of {name}"),
        }
    }
}

impl FromStr for Why {
    type Err = NotAReason;

    fn from_str(text: &str) -> Result<Why, NotAReason> {
        let named = |prefix: &str, reason: fn(String) -> Why| {
            let name = text.strip_prefix(prefix).filter(|name| is_package_name(name));
            name.map(|name| reason(name.to_owned()))
        };
        match text {
            "requested" => return Ok(Why::Requested),
            "essential" => return Ok(Why::Essential),
            "required" => return Ok(Why::Required),
            _ => {}
        }
        let names = |list: &str| {
            let names: Vec<String> = list.split(" and ").map(str::to_owned).collect();
            names.iter().all(|name| is_package_name(name)).then_some(Why::RequestedAs(names))
        };
        text.strip_prefix("requested as ")
            .and_then(names)
            .or_else(|| named("dependency of ", Why::DependencyOf))
            .or_else(|| named("recommendation of ", Why::RecommendationOf))
            .ok_or_else(|| NotAReason(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_and_nothing_else_does() {
        let name = || "libc6".to_owned();
        let reasons = [
            Why::Requested,
            Why::RequestedAs(vec![name()]),
            Why::RequestedAs(vec![name(), "libc-dev".to_owned()]),
            Why::Essential,
            Why::Required,
            Why::DependencyOf(name()),
            Why::RecommendationOf(name()),
        ];
        for why in reasons {
            assert_eq!(why.to_string().parse(), Ok(why));
        }
        for text in [
            "",
            "Requested",
            "requested ",
            "requested as",
            "requested as a and ",
            "dependency of ",
            "dependency of a b",
            "because",
        ] {
            assert_eq!(text.parse::<Why>(), Err(NotAReason(text.to_owned())));
        }
    }
}

//! Why a launch file is not one.

use crate::base::Foreign;

/// `launch.json` cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Not JSON, or not this JSON.
    #[error("launch.json cannot be read: {}", Foreign(.0))]
    Json(String),
    /// Another format.
    #[error(
        "launch.json has format {0}, but this version of kiln reads format {known}\n  help: run `kiln build` \
         again; command lines in result directories are never executed",
        known = super::FORMAT
    )]
    Format(u32),
    /// A name that could lead somewhere else.
    #[error("launch.json contains an unexpected name: `{}`", Foreign(.0))]
    Name(String),
    /// Something that the reader of recipes or a rule refuses.
    #[error("launch.json describes a machine that no recipe could: {}", Foreign(.0))]
    Machine(String),
    /// More of something than is worth reading.
    #[error("launch.json has {found} {what} (limit {most})")]
    Many {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// A port of the host that is not for strangers to choose.
    #[error(
        "launch.json forwards host port {0}, but a result directory may only use ports from {first} on\n  help: to \
         forward a lower port, write it into a recipe and `kiln run` the recipe",
        first = super::FIRST_PORT
    )]
    Port(u16),
    /// A place that no artifact can fill.
    #[error("launch.json has an artifact for `{0}`, which is not a file of a build")]
    Place(&'static str),
    /// A place that no artifact fills.
    #[error("launch.json has no artifact for `{0}`")]
    Unfilled(&'static str),
}

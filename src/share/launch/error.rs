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
        "launch.json has format {0}, and this kiln reads format {known} only\n  help: `kiln build` the recipe again; \
         a command line that a directory brings along is not run",
        known = super::FORMAT
    )]
    Format(u32),
    /// A name that could lead somewhere else.
    #[error("launch.json has a name that kiln does not give: `{}`", Foreign(.0))]
    Name(String),
    /// Something that the reader of recipes or a rule refuses.
    #[error("launch.json describes a machine that no recipe could: {}", Foreign(.0))]
    Machine(String),
    /// A place that no artifact can fill.
    #[error("launch.json has an artifact for `{0}`, which is not a file of a build")]
    Place(&'static str),
    /// A place that no artifact fills.
    #[error("launch.json has no artifact for `{0}`")]
    Unfilled(&'static str),
}

//! Why a launch file is not one.

use crate::base::Foreign;

/// `launch.json` cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Not JSON, or not this JSON.
    #[error("launch.json cannot be read: {}", Foreign(.0))]
    Json(String),
    /// Another format.
    #[error("launch.json has format {0}, and this kiln knows format {known}", known = super::FORMAT)]
    Format(u32),
    /// A name that could lead somewhere else.
    #[error("launch.json has a name that kiln does not give: `{}`", Foreign(.0))]
    Name(String),
    /// A word of the argv whose places cannot be read.
    #[error("launch.json has a word with an unknown place: `{}`", Foreign(.0))]
    Word(String),
    /// A place that no artifact fills.
    #[error("launch.json has no artifact for `{0}`")]
    Unfilled(&'static str),
}

//! What servers say instead of a file, and what becomes of that.
//!
//! Input: errors of requests. Output: whether asking again helps, when, and what is told of it.

use std::time::Duration;

use super::WorldError;

/// A server is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerWait {
    pub host: String,
    pub seconds: u64,
    /// What it said.
    pub reason: String,
}

/// Who hears of waiting; called from any thread.
pub type Told<'a> = &'a (dyn Fn(ServerWait) + Sync);

/// What a server says that wants to be left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    pub why: String,
    /// For how long, if it says so.
    pub after: Option<Duration>,
}

/// A place that was asked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAnswer {
    pub url: String,
    pub why: String,
    pub kind: AnswerKind,
}

/// What is known after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// The server does not have the file.
    Missing,
    /// Not even whether it has the file.
    Failed,
}

/// Why no place gave a file.
#[derive(Debug)]
pub enum Nobody<E> {
    /// All were asked.
    Asked(Vec<ServerAnswer>),
    /// The downloads were called off.
    Stopped,
    /// Asking anybody is useless.
    Fatal(E),
}

/// Why one place did not give a file.
#[derive(Debug)]
pub enum Refusal<E> {
    /// Asking again may help.
    Again(String),
    /// Asking again may help after a while.
    Later(Throttle),
    /// The place does not have the file.
    Missing(String),
    /// Asking this place again is useless.
    Useless(String),
    /// The downloads were called off.
    Stopped,
    /// Asking anybody is useless.
    Fatal(E),
}

impl<E> From<WorldError> for Refusal<E> {
    fn from(error: WorldError) -> Refusal<E> {
        match error {
            WorldError::Fetch { reason, missing: true, .. } => Refusal::Missing(reason),
            WorldError::Refused { reason, .. } => Refusal::Useless(reason),
            WorldError::Fetch { reason, .. } | WorldError::Busy { reason, .. } => Refusal::Again(reason),
            other => Refusal::Again(other.to_string()),
        }
    }
}

impl<E> Refusal<E> {
    /// What the place at a URL said, if others may still be asked.
    pub(super) fn answer(self, url: String) -> Result<ServerAnswer, Nobody<E>> {
        match self {
            Refusal::Missing(why) => Ok(ServerAnswer { url, why, kind: AnswerKind::Missing }),
            Refusal::Again(why) | Refusal::Useless(why) | Refusal::Later(Throttle { why, .. }) => {
                Ok(ServerAnswer { url, why, kind: AnswerKind::Failed })
            }
            Refusal::Stopped => Err(Nobody::Stopped),
            Refusal::Fatal(error) => Err(Nobody::Fatal(error)),
        }
    }
}

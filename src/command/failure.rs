//! Why a command did not succeed, and the exit code that scripts see.

use std::error::Error;

use super::progress;
use super::signals;
use crate::base::{render, tell};
use crate::ops::{ErrorClass, OpsError};

/// What the user is told after a signal while machines ran: everything that can be built had been built.
const MACHINES_ENDED: &str = "interrupted; the machines were ended. Run the same command to start them again.";

/// The end of a command that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An operation did not succeed.
    #[error(transparent)]
    Ops(OpsError),
    /// A file, a network or the host did not do what it was asked.
    #[error(transparent)]
    World(Box<dyn Error + Send + Sync>),
    /// A sentence of the command's own.
    #[error("{text}")]
    Stated {
        /// Whose failure it is.
        class: ErrorClass,
        /// What is said after `error: `.
        text: String,
    },
    /// A program that was run ended so, and has said why by itself.
    #[error("the program ended with exit code {code}")]
    Program {
        /// Its exit code, which becomes kiln's.
        code: u8,
    },
}

impl Failure {
    /// A recipe that cannot be read.
    pub fn recipe(text: impl Into<String>) -> Failure {
        Failure::Stated { class: ErrorClass::Recipe, text: text.into() }
    }

    /// The command line asks for what cannot be done.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::Stated { class: ErrorClass::Usage, text: text.into() }
    }

    /// Bits differ, or a test failed.
    pub fn mismatch(text: impl Into<String>) -> Failure {
        Failure::Stated { class: ErrorClass::Mismatch, text: text.into() }
    }

    /// A failure of the host, with its source.
    pub fn world(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::World(error.into())
    }

    /// Whose failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Failure::Ops(error) => error.class(),
            Failure::World(_) | Failure::Program { .. } => ErrorClass::Host,
            Failure::Stated { class, .. } => *class,
        }
    }

    /// See `docs/errors.md`.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Program { code } => *code,
            _ => self.class().exit_code(),
        }
    }

    /// Says it on standard error.
    pub fn tell(&self) {
        match self {
            Failure::Ops(error) => match error.report() {
                Some(mistakes) => {
                    let color = progress::is_drawn_on();
                    tell::report(render::render(&mistakes.sources, &mistakes.diagnostics, color).trim_end());
                }
                None => crate::tell!("{}", self.text().trim_end()),
            },
            Failure::Program { .. } => {}
            _ => crate::tell!("{}", self.text().trim_end()),
        }
    }

    /// What is said on standard error, without colours.
    pub fn text(&self) -> String {
        if let Failure::Ops(error) = self
            && let Some(mistakes) = error.report()
        {
            return render::render(&mistakes.sources, &mistakes.diagnostics, false);
        }
        match self.class() {
            ErrorClass::Interrupted if matches!(self, Failure::Ops(OpsError::Guest(_))) => MACHINES_ENDED.to_owned(),
            ErrorClass::Interrupted => signals::INTERRUPTED_MESSAGE.to_owned(),
            _ => format!("error: {self}"),
        }
    }
}

impl<E: Into<OpsError>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Ops(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::fs;

    #[test]
    fn a_failure_keeps_its_sources() {
        let failure = Failure::from(fs::read("/nowhere/at/all".as_ref(), 1).unwrap_err());
        let source = failure.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
        assert_eq!(failure.code(), 4);
        assert!(failure.text().starts_with("error: cannot open /nowhere/at/all"), "{}", failure.text());
        let ended = Failure::from(crate::guest::GuestError::Interrupted);
        assert_eq!((ended.code(), ended.text().as_str()), (130, MACHINES_ENDED));
        assert_eq!(Failure::from(OpsError::Interrupted).text(), signals::INTERRUPTED_MESSAGE);
        let other = Failure::world(std::fmt::Error);
        assert!(matches!(&other, Failure::World(error) if error.is::<std::fmt::Error>()));
    }
}

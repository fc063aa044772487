//! Why a command did not succeed, and the exit code that scripts see.

use std::fmt::Display;

use crate::base::tell;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The recipe is wrong: reports with carets, of `base::render`.
    Reported(String),
    /// The recipe is wrong, or does not fit its lock: in one sentence, that begins with `error: `.
    Mistakes(String),
    /// The command line is wrong.
    Usage(String),
    /// Bits are not what they should be, or a test of the recipe failed.
    Differs(String),
    /// A file, a network, a kernel did not do what it was asked.
    World(String),
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl Failure {
    /// 1 mistakes in the recipe, 2 usage, 3 bits differ, 4 the world failed, 130 interrupted.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Reported(_) | Failure::Mistakes(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Differs(_) => 3,
            Failure::World(_) => 4,
            Failure::Interrupted => 130,
        }
    }

    /// A failure of the world, in the words of a layer's error.
    pub fn world(error: impl Display) -> Failure {
        Failure::World(error.to_string())
    }

    /// The same kind of failure in other words, where the words of this one have been said.
    pub fn saying(self, text: String) -> Failure {
        match self {
            // Mistakes are rendered where they are made; this is a line of its own.
            Failure::Reported(_) | Failure::Mistakes(_) => Failure::Mistakes(format!("error: {text}")),
            Failure::Usage(_) => Failure::Usage(text),
            Failure::Differs(_) => Failure::Differs(text),
            Failure::World(_) => Failure::World(text),
            Failure::Interrupted => Failure::Interrupted,
        }
    }

    /// Says it on standard error.
    pub fn tell(&self) {
        match self {
            Failure::Reported(text) => tell::report(text.trim_end()),
            _ => crate::tell!("{}", self.text().trim_end()),
        }
    }

    /// What is said on standard error.
    pub fn text(&self) -> String {
        match self {
            Failure::Reported(text) | Failure::Mistakes(text) => text.clone(),
            Failure::Usage(text) | Failure::Differs(text) | Failure::World(text) => format!("error: {text}"),
            Failure::Interrupted => crate::exec::interrupt::INTERRUPTED_MESSAGE.to_owned(),
        }
    }
}

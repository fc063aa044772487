//! Three-valued logic as Kconfig has it: n < m < y, "and" is the minimum, "or" the maximum.

use std::fmt;

/// Off, module, on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tri {
    /// Off.
    N,
    /// A module.
    M,
    /// Built in.
    Y,
}

impl Tri {
    /// Reads `y`, `m` or `n`.
    pub fn parse(text: &str) -> Option<Tri> {
        match text {
            "y" => Some(Tri::Y),
            "m" => Some(Tri::M),
            "n" => Some(Tri::N),
            _ => None,
        }
    }

    /// What is left of it when it is not on, and the other way round; a module stays one.
    pub fn negated(self) -> Tri {
        match self {
            Tri::N => Tri::Y,
            Tri::M => Tri::M,
            Tri::Y => Tri::N,
        }
    }
}

impl fmt::Display for Tri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tri::N => "n",
            Tri::M => "m",
            Tri::Y => "y",
        })
    }
}

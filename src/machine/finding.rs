//! What the rules found.

use crate::base::Diagnostic;

/// Mistakes that stop a build, and doubts that do not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// QEMU refuses it, or the guest fails in silence.
    pub errors: Vec<Diagnostic>,
    /// It works, slowly or only with care.
    pub warnings: Vec<Diagnostic>,
}

impl Findings {
    /// Adds a mistake.
    pub fn error(&mut self, mistake: Diagnostic) {
        self.errors.push(mistake);
    }

    /// Adds a doubt.
    pub fn warning(&mut self, doubt: Diagnostic) {
        self.warnings.push(doubt);
    }

    /// Adds what another check found.
    pub fn extend(&mut self, other: Findings) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
}

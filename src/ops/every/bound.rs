//! How much of what is wrong with one file is listed: a file that somebody sent could have a mistake in every line, and names of a
//! megabyte in its messages.

use super::{ErrorClass, FindingSeverity, RecipeFinding, RecipeVerdict};
use crate::base::counted;

/// Findings of one file.
pub const MAX_FINDINGS: usize = 100;
/// Notes of one.
const MAX_NOTES: usize = 4;
/// Bytes of the message of one, of its help, and of a note.
const MAX_TEXT_BYTES: usize = 4 << 10;

impl RecipeVerdict {
    /// Leaves out what is too much, warnings first, and says so in a finding of its own.
    pub(super) fn bound(&mut self) {
        let is_error = |finding: &RecipeFinding| finding.severity == FindingSeverity::Error;
        let errors = self.findings.iter().filter(|finding| is_error(finding)).count();
        let left_errors = errors.saturating_sub(MAX_FINDINGS);
        let left_warnings = self.findings.len().saturating_sub(errors.max(MAX_FINDINGS));
        let class = self.class();
        let (mut errors, mut warnings) = (MAX_FINDINGS, MAX_FINDINGS.saturating_sub(errors));
        self.findings.retain(|finding| {
            let left = if is_error(finding) { &mut errors } else { &mut warnings };
            let fits = *left > 0;
            *left = left.saturating_sub(1);
            fits
        });
        for finding in &mut self.findings {
            cut(&mut finding.message);
            finding.help.iter_mut().for_each(cut);
            finding.notes.truncate(MAX_NOTES);
            finding.notes.iter_mut().for_each(cut);
        }
        let (severity, class) = match (left_errors, class) {
            (1.., Some(class)) => (FindingSeverity::Error, class),
            _ => (FindingSeverity::Warning, ErrorClass::Recipe),
        };
        let number = |count: usize, word: &str| (count > 0).then(|| counted(count, word));
        let left: Vec<String> =
            [number(left_errors, "error"), number(left_warnings, "warning")].into_iter().flatten().collect();
        if !left.is_empty() {
            let message = format!("{} more not listed (limit {MAX_FINDINGS} for a file)", left.join(" and "));
            self.findings.push(RecipeFinding { severity, class, place: None, message, help: None, notes: Vec::new() });
        }
    }
}

fn cut(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        let end = text.floor_char_boundary(MAX_TEXT_BYTES);
        let left = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("... ({left} more bytes)"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ops::every::RecipeState;

    fn verdict(findings: &[(FindingSeverity, usize)]) -> RecipeVerdict {
        let finding = |severity, at: usize| RecipeFinding {
            severity,
            class: ErrorClass::Mismatch,
            place: None,
            message: format!("m{at}"),
            help: Some("h".repeat(at)),
            notes: vec!["n".repeat(at); at.min(9)],
        };
        let findings = findings.iter().flat_map(|(severity, count)| (0..*count).map(move |at| finding(*severity, at)));
        let mut verdict =
            RecipeVerdict { recipe: PathBuf::new(), state: RecipeState::Failed, findings: findings.collect() };
        verdict.bound();
        verdict
    }

    #[test]
    fn what_is_too_much_is_counted_and_an_error_stays_one() {
        use FindingSeverity::{Error, Warning};
        assert_eq!(verdict(&[(Warning, 60), (Error, 40)]).findings.len(), 100);
        let mixed = verdict(&[(Warning, 5000), (Error, 40), (Warning, 1)]);
        let last = mixed.findings.last().unwrap();
        assert_eq!(last.message, "4941 warnings more not listed (limit 100 for a file)");
        assert_eq!((last.severity, mixed.findings.len()), (Warning, 101));
        assert_eq!(mixed.findings.iter().filter(|finding| finding.severity == Error).count(), 40);
        assert_eq!(mixed.class(), Some(ErrorClass::Mismatch));
        let errors = verdict(&[(Warning, 2), (Error, 101)]);
        let last = errors.findings.last().unwrap();
        assert_eq!(last.message, "1 error and 2 warnings more not listed (limit 100 for a file)");
        assert_eq!((last.severity, errors.findings.len()), (Error, 101));
        let long = verdict(&[(Error, 1)]);
        assert_eq!(long.findings[0].help.as_deref(), Some(""));
    }

    #[test]
    fn a_long_text_ends_at_a_character() {
        let mut text = "ü".repeat(3000);
        cut(&mut text);
        assert_eq!(text, format!("{}... (1904 more bytes)", "ü".repeat(2048)));
    }
}

//! Findings as workflow commands: lines of a log that GitHub Actions, and Forgejo's, show beside the files.

use super::{FindingSeverity, RecipeFinding, RecipeVerdict};

/// A line for each finding.
pub fn annotations(verdict: &RecipeVerdict) -> Vec<String> {
    verdict.findings.iter().map(|finding| line(verdict, finding)).collect()
}

fn line(verdict: &RecipeVerdict, finding: &RecipeFinding) -> String {
    let command = match finding.severity {
        FindingSeverity::Error => "error",
        FindingSeverity::Warning => "warning",
    };
    let place = match &finding.place {
        Some(place) => {
            format!("file={},line={},col={}", property(&place.file.to_string_lossy()), place.line, place.column)
        }
        None => format!("file={}", property(&verdict.recipe.to_string_lossy())),
    };
    format!("::{command} {place},title=kiln verify::{}", data(&finding.text()))
}

/// A line end would end the command, and another could begin.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_another_command() {
        assert_eq!(data("a\n::error::b\r50%"), "a%0A::error::b%0D50%25");
        assert_eq!(property("a,line=1:b"), "a%2Cline=1%3Ab");
    }
}

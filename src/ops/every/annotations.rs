//! Verdicts as the lines of a log that GitHub Actions, and Forgejo's, show beside the files.

use super::{FindingSeverity, RecipeFinding, RecipeVerdict};

/// A line for each finding.
pub fn annotations(verdicts: &[RecipeVerdict]) -> String {
    let line = |verdict: &RecipeVerdict, finding: &RecipeFinding| {
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
        format!("::{command} {place},title=kiln verify::{}\n", data(&finding.text()))
    };
    verdicts.iter().flat_map(|verdict| verdict.findings.iter().map(move |finding| line(verdict, finding))).collect()
}

/// What a line end in a message would end is the command, and another could begin.
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

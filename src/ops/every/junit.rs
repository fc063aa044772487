//! Verdicts as JUnit XML: a test case for each recipe.

use super::{FindingSeverity, RecipeVerdict};
use crate::base::xml::escape;

/// The document.
pub fn junit(verdicts: &[RecipeVerdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| verdict.class().is_some()).count();
    let cases: String = verdicts.iter().map(case).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"kiln verify\" tests=\"{}\" \
         failures=\"{failed}\" errors=\"0\" skipped=\"0\">\n{cases}  </testsuite>\n</testsuites>\n",
        verdicts.len()
    )
}

fn case(verdict: &RecipeVerdict) -> String {
    let name = escape(&verdict.recipe.to_string_lossy());
    let head = format!("    <testcase name=\"{name}\" classname=\"kiln.verify\"");
    if verdict.findings.is_empty() {
        return format!("{head}/>\n");
    }
    let (mut failures, mut output) = (String::new(), String::new());
    for finding in &verdict.findings {
        let place = finding.place.as_ref();
        let place =
            place.map_or(String::new(), |place| format!("{}:{}:{}: ", place.file.display(), place.line, place.column));
        let text = escape(&format!("{place}{}", finding.text()));
        match finding.severity {
            FindingSeverity::Error => failures.push_str(&format!("      <failure message=\"{text}\"/>\n")),
            FindingSeverity::Warning => output.push_str(&format!("      <system-out>{text}</system-out>\n")),
        }
    }
    // The schema wants failures before what was printed.
    format!("{head}>\n{failures}{output}    </testcase>\n")
}

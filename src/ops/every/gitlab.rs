//! Findings as a Code Quality report of GitLab, which shows them in merge requests.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FindingSeverity, RecipeFinding, RecipeVerdict};
use crate::base::Digest;

/// The document: each finding once, however many recipes import the file that it is in.
pub fn code_quality(verdicts: &[RecipeVerdict]) -> Value {
    let mut seen = BTreeSet::new();
    let all = verdicts.iter().flat_map(|verdict| verdict.findings.iter().map(move |finding| (verdict, finding)));
    let issues = all.map(|(verdict, finding)| issue(verdict, finding));
    Value::Array(issues.filter(|issue| seen.insert(issue["fingerprint"].to_string())).collect())
}

fn issue(verdict: &RecipeVerdict, finding: &RecipeFinding) -> Value {
    let severity = match finding.severity {
        FindingSeverity::Error => "major",
        FindingSeverity::Warning => "minor",
    };
    let file = finding.place.as_ref().map_or(&verdict.recipe, |place| &place.file).to_string_lossy();
    let (line, column) = finding.place.as_ref().map_or((1, 1), |place| (place.line, place.column));
    // Two findings with the same one are the same to GitLab.
    let fingerprint = Digest::of(format!("kiln finding 1\n{file}\n{line} {column}\n{}", finding.text()).as_bytes());
    json!({
        "description": finding.text(),
        "check_name": format!("kiln.{}", finding.rule()),
        "fingerprint": fingerprint.hex(),
        "severity": severity,
        "location": {"path": file, "lines": {"begin": line}},
    })
}

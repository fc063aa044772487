//! Verdicts as SARIF 2.1.0 (OASIS), which code hosts show beside the lines.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::{Value, json};

use super::finding::RULES;
use super::{FindingSeverity, RecipeFinding, RecipeVerdict};

/// The document: each finding once, however many recipes import the file that it is in.
pub fn sarif(verdicts: &[RecipeVerdict]) -> Value {
    let all = verdicts.iter().flat_map(|verdict| verdict.findings.iter().map(move |finding| result(verdict, finding)));
    let mut seen = BTreeSet::new();
    let results: Vec<Value> = all.filter(|result| seen.insert(result.to_string())).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kiln",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": RULES.map(|(_, id, text)| json!({"id": id, "shortDescription": {"text": text}})),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(verdict: &RecipeVerdict, finding: &RecipeFinding) -> Value {
    let level = match finding.severity {
        FindingSeverity::Error => "error",
        FindingSeverity::Warning => "warning",
    };
    let file = finding.place.as_ref().map_or(&verdict.recipe, |place| &place.file);
    // Code hosts show nothing without a line.
    let (line, column) = finding.place.as_ref().map_or((1, 1), |place| (place.line, place.column));
    json!({
        "ruleId": finding.rule(),
        "level": level,
        "message": {"text": finding.text()},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(file)},
            "region": {"startLine": line, "startColumn": column},
        }}],
    })
}

/// A path as a relative reference (RFC 3986): what is not plain is written as numbers, byte for byte.
fn uri(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~+@".contains(&byte);
    let mut uri = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match plain(byte) {
            true => uri.push(char::from(byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri(Path::new("recipes/a b:%ü.kiln")), "recipes/a%20b%3A%25%C3%BC.kiln");
        assert_eq!(uri(Path::new(OsStr::from_bytes(b"\xff?#.kiln"))), "%FF%3F%23.kiln");
    }
}

//! Verdicts as SARIF 2.1.0 (OASIS), which code hosts show beside the lines.

use serde_json::{Value, json};

use super::{FindingSeverity, RecipeFinding, RecipeVerdict};
use crate::ops::error::ErrorClass;

/// The document.
pub fn sarif(verdicts: &[RecipeVerdict]) -> Value {
    let results: Vec<Value> = verdicts
        .iter()
        .flat_map(|verdict| verdict.findings.iter().map(move |finding| result(verdict, finding)))
        .collect();
    json!({
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

/// What can be wrong, as the classes of errors tell it apart.
const RULES: [(ErrorClass, &str, &str); 5] = [
    (ErrorClass::Recipe, "recipe", "The recipe, or the lock that belongs to it, is wrong."),
    (ErrorClass::Mismatch, "mismatch", "Bits are not what they should be."),
    (ErrorClass::Input, "input", "A package or a source is damaged or hostile, or a program of one failed."),
    (ErrorClass::Host, "host", "A file, a network or the host did not do what it was asked."),
    (ErrorClass::Bug, "bug", "Kiln contradicts itself."),
];

fn result(verdict: &RecipeVerdict, finding: &RecipeFinding) -> Value {
    let rule = RULES.iter().find(|(class, ..)| *class == finding.class).map_or("recipe", |(_, id, _)| *id);
    let level = match finding.severity {
        FindingSeverity::Error => "error",
        FindingSeverity::Warning => "warning",
    };
    let file = finding.place.as_ref().map_or(&verdict.recipe, |place| &place.file);
    let mut location = json!({"artifactLocation": {"uri": uri(&file.to_string_lossy())}});
    if let Some(place) = &finding.place {
        location["region"] = json!({"startLine": place.line, "startColumn": place.column});
    }
    json!({
        "ruleId": rule,
        "level": level,
        "message": {"text": finding.text()},
        "locations": [{"physicalLocation": location}],
    })
}

/// A path as a relative reference (RFC 3986): what is not plain is written as numbers.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~+@".contains(&byte);
    let mut uri = String::new();
    for byte in path.bytes() {
        match plain(byte) {
            true => uri.push(char::from(byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("recipes/a b:%ü.kiln"), "recipes/a%20b%3A%25%C3%BC.kiln");
    }
}

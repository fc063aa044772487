//! Everything that can be said of one option under a configuration.
//!
//! Input: Kconfig files, a configuration, an option and what somebody wants it to be. Output: [`Explanation`], whose text
//! is in `sentence`.

use super::dotconfig::DotConfig;
use super::explain::{OptionReason, why};
use super::remedy::remedies;
use super::tree::KconfigTree;
use super::value::Tri;

/// What is known of an option under a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Without `CONFIG_`.
    pub option: String,
    /// What a person would see in the configuration menus.
    pub prompt: Option<String>,
    /// Where it is defined: file, line, what it depends on.
    pub places: Vec<(String, u32, String)>,
    /// Its value in its spelling; `n` when it has none.
    pub value: String,
    /// What the question is about.
    pub wanted: Tri,
    /// Options that select it, those that do so now first, with the value that they force now.
    pub selected_by: Vec<(String, Tri)>,
    /// Why it is not on.
    pub why: OptionReason,
    /// The options that would resolve it, those that others wait for first.
    pub remedies: Vec<(String, Tri)>,
}

/// Why `option` is below `wanted` (or, for [`Tri::N`], above it).
pub fn explain(tree: &KconfigTree, config: &DotConfig, option: &str, wanted: Tri) -> Explanation {
    let symbol = tree.symbols.get(option);
    let definitions = symbol.map_or(&[][..], |symbol| &symbol.definitions);
    let mut selected_by: Vec<(String, Tri)> =
        tree.selectors(option, config).into_iter().map(|s| (s.name, s.force.unwrap_or(Tri::N))).collect();
    selected_by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let why = match why(tree, config, option, wanted) {
        OptionReason::Unknown(_) => OptionReason::Unknown(near(tree, option)),
        why => why,
    };
    Explanation {
        option: option.to_owned(),
        prompt: definitions.iter().find_map(|definition| definition.prompt.as_ref()).map(|(text, _)| text.clone()),
        places: definitions.iter().map(|d| (d.file.clone(), d.line, d.depends.to_string())).collect(),
        value: config.value(option).to_owned(),
        wanted,
        selected_by,
        remedies: remedies(tree, config, (option, wanted), &why),
        why,
    }
}

/// Names that differ in one or two letters.
fn near(tree: &KconfigTree, option: &str) -> Vec<String> {
    let similar = tree.symbols.keys().filter(|name| name.len().abs_diff(option.len()) <= 2);
    let mut found: Vec<(usize, &String)> = similar
        .map(|name| (distance(name.as_bytes(), option.as_bytes()), name))
        .filter(|(distance, _)| *distance <= 2)
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// Levenshtein's distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

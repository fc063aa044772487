//! Everything that can be said of one option under a configuration.
//!
//! Input: Kconfig files, a configuration, an option and what somebody wants it to be. Output: [`Explanation`], whose text
//! is in `sentence`.

use std::collections::BTreeMap;

use super::dotconfig::DotConfig;
use super::explain::OptionReason;
use super::near::near;
use super::reasoner::Reasoner;
use super::remedy::remedies;
use super::tree::KconfigTree;
use super::value::Tri;
use crate::recipe::kernel::OptionValue;

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
    /// Whether somebody may choose its value; if not, it follows from other options.
    pub settable: bool,
    /// Why it is not on.
    pub why: OptionReason,
    /// The options that would resolve it, those that others wait for first.
    pub remedies: Vec<(String, Tri)>,
}

/// What somebody wants to know of an option.
#[derive(Debug, Clone, Copy)]
pub(super) struct OptionQuestion<'a> {
    pub(super) option: &'a str,
    pub(super) wanted: Tri,
    /// What a text or a number shall be.
    pub(super) value: Option<&'a OptionValue>,
    /// What the recipe states: ways that do not contradict it come first.
    pub(super) stated: &'a BTreeMap<String, Tri>,
}

/// Why `option` is below `wanted` (or, for [`Tri::N`], above it).
pub fn explain(tree: &KconfigTree, config: &DotConfig, option: &str, wanted: Tri) -> Explanation {
    answer(tree, config, OptionQuestion { option, wanted, value: None, stated: &BTreeMap::new() })
}

pub(super) fn answer(tree: &KconfigTree, config: &DotConfig, question: OptionQuestion<'_>) -> Explanation {
    let OptionQuestion { option, wanted, value, stated } = question;
    let symbol = tree.symbols.get(option);
    let definitions = symbol.map_or(&[][..], |symbol| &symbol.definitions);
    let mut selected_by: Vec<(String, Tri)> =
        tree.selectors(option, config).into_iter().map(|s| (s.name, s.force.unwrap_or(Tri::N))).collect();
    selected_by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let reasoner = Reasoner::new(tree, config, stated);
    let valued = value.and_then(|value| reasoner.explain_value(option, value));
    let why = match valued.unwrap_or_else(|| reasoner.explain(option, wanted)) {
        OptionReason::Unknown { elsewhere, .. } => {
            let near = if elsewhere.is_none() { near(tree, option) } else { Vec::new() };
            OptionReason::Unknown { near, elsewhere }
        }
        why => why,
    };
    Explanation {
        option: option.to_owned(),
        prompt: definitions.iter().find_map(|definition| definition.prompt.as_ref()).map(|(text, _)| text.clone()),
        places: definitions.iter().map(|d| (d.file.clone(), d.line, d.depends.to_string())).collect(),
        value: config.value(option).to_owned(),
        wanted,
        selected_by,
        settable: symbol.is_some_and(|symbol| tree.visible(symbol, config) != Some(Tri::N)),
        remedies: remedies(&reasoner, (option, wanted), &why),
        why,
    }
}

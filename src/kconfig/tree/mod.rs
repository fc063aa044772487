//! The Kconfig files of a source tree, as options and what they depend on.
//!
//! Input: files by path, and the variables that the build sets. Output: [`KconfigTree`]. Questions to the compiler stay
//! questions: only the kernel's own program asks them. It must not know what a recipe asks for.

mod eval;
mod parse;

use std::collections::BTreeMap;

pub use eval::Selector;
pub use parse::{KconfigSource, NotKconfig};

use super::expr::Expr;

/// Every option of a source tree.
#[derive(Debug, Clone, Default)]
pub struct KconfigTree {
    /// By name.
    pub symbols: BTreeMap<String, Symbol>,
    /// The `choice` blocks, in order.
    pub choices: Vec<Choice>,
    /// Options that only other architectures have, each with a file that defines it.
    pub elsewhere: BTreeMap<String, String>,
    /// By option: who selects it.
    selectors: BTreeMap<String, Vec<Reverse>>,
    /// By option: who implies it.
    impliers: BTreeMap<String, Vec<Reverse>>,
}

/// `select` or `imply`, seen from the option that it acts on.
#[derive(Debug, Clone)]
struct Reverse {
    by: String,
    when: Expr,
}

/// An option.
#[derive(Debug, Clone, Default)]
pub struct Symbol {
    /// What values it takes; `None` when it is only mentioned, never given a type.
    pub kind: Option<Type>,
    /// Its definitions: an option may be defined in several places.
    pub definitions: Vec<Definition>,
}

/// What values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `y` or `n`.
    Bool,
    /// `y`, `m` or `n`.
    Tristate,
    /// A text.
    String,
    /// A decimal number.
    Int,
    /// A hexadecimal number.
    Hex,
}

/// One `config` block.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file, relative to the source tree.
    pub file: String,
    /// The line of its `config`.
    pub line: u32,
    /// Its own dependencies and those of the blocks around it.
    pub depends: Expr,
    /// What a person would see, and under which further condition. An option without one cannot be asked for.
    pub prompt: Option<(String, Expr)>,
    /// Values in order of preference, each with its further condition.
    pub defaults: Vec<(Expr, Expr)>,
    /// Options that this one forces, each with its further condition.
    pub selects: Vec<(String, Expr)>,
    /// Options that this one suggests.
    pub implies: Vec<(String, Expr)>,
    /// The `choice` it is a member of.
    pub choice: Option<usize>,
    /// Bounds of a number, in order of preference.
    pub ranges: Vec<Bounds>,
}

/// `range LOW HIGH if CONDITION`
#[derive(Debug, Clone)]
pub struct Bounds {
    /// A number, or an option that has one.
    pub low: Expr,
    pub high: Expr,
    /// With the dependencies of the definition.
    pub when: Expr,
}

/// A `choice` block: exactly one of its members is on.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What a person would see.
    pub prompt: String,
    /// Members in order.
    pub members: Vec<String>,
}

impl KconfigTree {
    /// Who turns an option on that nobody chooses, and under which condition each of them does: what selects it, and what
    /// suggests it where its own dependencies hold.
    pub(crate) fn turning_on(&self, option: &str) -> Vec<(&str, Expr)> {
        let edges = |edges: &BTreeMap<String, Vec<Reverse>>| edges.get(option).cloned().unwrap_or_default();
        let depends: Vec<Expr> = self
            .symbols
            .get(option)
            .map_or(&[][..], |symbol| &symbol.definitions)
            .iter()
            .map(|d| d.depends.clone())
            .collect();
        let depends = if depends.len() == 1 { depends[0].clone() } else { Expr::Any(depends) };
        let by = |edge: &Reverse| self.symbols.get_key_value(&edge.by).map(|(name, _)| name.as_str());
        let selecting = edges(&self.selectors).into_iter().filter_map(|edge| Some((by(&edge)?, edge.when)));
        let implying =
            edges(&self.impliers).into_iter().filter_map(|edge| Some((by(&edge)?, edge.when.and(depends.clone()))));
        selecting.chain(implying).collect()
    }

    /// Adds the reverse edges once all definitions are there.
    fn index(&mut self) {
        for (name, symbol) in &self.symbols {
            for definition in &symbol.definitions {
                let reverse =
                    |when: &Expr| Reverse { by: name.clone(), when: when.clone().and(definition.depends.clone()) };
                for (target, when) in &definition.selects {
                    self.selectors.entry(target.clone()).or_default().push(reverse(when));
                }
                for (target, when) in &definition.implies {
                    self.impliers.entry(target.clone()).or_default().push(reverse(when));
                }
            }
        }
    }
}

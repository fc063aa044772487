//! Values that an option cannot have, whatever it depends on: of another type, out of its range, a module where there are
//! none.
//!
//! Input: an option, a value that somebody asks for, the final configuration. Output: [`Misfit`], whose text says what
//! to write instead.

use super::check::parse_number;
use super::dotconfig::DotConfig;
use super::fragment::spelled;
use super::tree::{KconfigTree, Symbol, Type};
use super::value::Tri;
use crate::recipe::kernel::OptionValue;

/// Why an option cannot have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    option: String,
    value: OptionValue,
    kind: MisfitKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum MisfitKind {
    /// The value is of another type.
    Type(Type),
    /// `m` for a bool.
    NoModule,
    /// `m` for a tristate of a kernel without modules.
    WithoutModules,
    /// The bounds, in the spelling of the Kconfig file.
    Range(String, String),
}

/// Whether a value fits its option; `None` if so, or if the source does not have the option.
pub(super) fn misfit(tree: &KconfigTree, config: &DotConfig, option: &str, value: &OptionValue) -> Option<Misfit> {
    let symbol = tree.symbols.get(option)?;
    let kind = match (symbol.kind?, value) {
        (Type::Bool | Type::Tristate, OptionValue::Yes | OptionValue::No) => return None,
        (Type::Bool, OptionValue::Module) => MisfitKind::NoModule,
        (Type::Tristate, OptionValue::Module) if config.tri("MODULES") == Tri::N => MisfitKind::WithoutModules,
        (Type::Tristate, OptionValue::Module) | (Type::String, OptionValue::Text(_)) => return None,
        (Type::Int, OptionValue::Number(number)) if number.parse::<i128>().is_ok() => {
            outside(tree, config, symbol, number.parse().ok()?)?
        }
        (Type::Hex, OptionValue::Number(number)) if is_hex(number) => {
            outside(tree, config, symbol, parse_number(number)?)?
        }
        // Off is what an option is that is not there at all.
        (Type::String | Type::Int | Type::Hex, OptionValue::No) if !config.values.contains_key(option) => return None,
        (kind, _) => MisfitKind::Type(kind),
    };
    Some(Misfit { option: option.to_owned(), value: value.clone(), kind })
}

fn is_hex(number: &str) -> bool {
    number.len() == 1 || number.starts_with("0x") || number.starts_with("0X")
}

/// The first range whose condition holds decides, as for the kernel's own program (`sym_get_range_prop`).
fn outside(tree: &KconfigTree, config: &DotConfig, symbol: &Symbol, number: i128) -> Option<MisfitKind> {
    let ranges = symbol.definitions.iter().flat_map(|definition| &definition.ranges);
    let active = ranges.into_iter().find(|range| tree.eval(&range.when, config).is_some_and(|when| when != Tri::N))?;
    let (low, high) = (tree.text(&active.low, config)?, tree.text(&active.high, config)?);
    let inside = parse_number(&low)? <= number && number <= parse_number(&high)?;
    (!inside).then_some(MisfitKind::Range(low, high))
}

impl Misfit {
    /// Whether the value might fit if the option could be set: another range may hold then.
    pub(super) fn is_conditional(&self) -> bool {
        matches!(self.kind, MisfitKind::Range(..))
    }

    /// Whether it is a kernel without modules that it does not fit.
    pub(super) fn lacks_modules(&self) -> bool {
        self.kind == MisfitKind::WithoutModules
    }

    /// What is wrong, and what to write instead; the statement is a `option` or a `require`.
    pub(super) fn text(&self, statement: &str) -> String {
        let option = &self.option;
        let write = |value: &OptionValue| format!("write `{statement} {option} = {}`", spelled(value));
        match &self.kind {
            MisfitKind::NoModule => {
                format!("{option} is a bool, which cannot be a module; {}", write(&OptionValue::Yes))
            }
            MisfitKind::WithoutModules => {
                format!("this kernel has no modules; {}, or `modules = true` in the kernel", write(&OptionValue::Yes))
            }
            MisfitKind::Range(low, high) => format!("{option} takes {low} to {high}"),
            MisfitKind::Type(kind) => {
                let (noun, example) = match kind {
                    Type::Bool => ("a bool", OptionValue::Yes),
                    Type::Tristate => ("a tristate", OptionValue::Yes),
                    Type::String => ("a string", OptionValue::Text(self.written().unwrap_or("...").to_owned())),
                    Type::Int => ("a decimal number", self.number(|number| number.to_string(), "...")),
                    Type::Hex => ("a hexadecimal number", self.number(|number| format!("{number:#x}"), "0x...")),
                };
                format!("{option} is {noun}; {}", write(&example))
            }
        }
    }

    /// The number of somebody who wrote one.
    fn written(&self) -> Option<&str> {
        match &self.value {
            OptionValue::Number(number) => Some(number),
            _ => None,
        }
    }

    fn number(&self, spell: impl Fn(i128) -> String, unknown: &str) -> OptionValue {
        let number = match &self.value {
            OptionValue::Number(text) | OptionValue::Text(text) => parse_number(text),
            _ => None,
        };
        OptionValue::Number(number.map_or_else(|| unknown.to_owned(), spell))
    }
}

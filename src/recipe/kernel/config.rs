//! `option X = y` and `require X = y`, in `config` and `kernel` blocks.

use std::collections::BTreeMap;

use super::{ConfigBlock, OptionValue};
use crate::base::{Diagnostic, Spanned};
use crate::recipe::kinds::{FromValue, Name};
use crate::recipe::reader::{Reader, duplicate};
use crate::recipe::scope::Scope;
use crate::recipe::value::{EvaluatedNode, Value};

/// Options by name.
type Options = BTreeMap<String, Spanned<OptionValue>>;

/// Reads one `config` block.
pub fn config(node: &EvaluatedNode, scope: &Scope) -> Option<ConfigBlock> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let (options, require) = (options(&mut reader, "option"), options(&mut reader, "require"));
    reader.finish();
    Some(ConfigBlock { name: name?.value, options, require, span: node.head() })
}

/// Every statement of one kind.
pub(super) fn options(reader: &mut Reader<'_>, keyword: &'static str) -> Options {
    let mut options = Options::new();
    let mut first: BTreeMap<String, &EvaluatedNode> = BTreeMap::new();
    for node in reader.statements(keyword) {
        let Some((name, value)) = option(node, reader) else { continue };
        if let Some(earlier) = first.get(&name) {
            reader.error(duplicate(node, earlier, &format!("`{keyword} {name}`")));
            continue;
        }
        first.insert(name.clone(), node);
        options.insert(name, value);
    }
    options
}

fn option(node: &EvaluatedNode, outer: &Reader<'_>) -> Option<(String, Spanned<OptionValue>)> {
    let mut reader = Reader::new(node, outer.report());
    let name = reader.argument::<Name>("the name of a kernel option");
    reader.finish();
    let Spanned { value: Name(name), span } = name?;
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let plain = name.strip_prefix("CONFIG_").unwrap_or(&name);
    if !legal || plain != name {
        let wrong = Diagnostic::new(span, format!("`{name}` is not the name of a kernel option"));
        let hint =
            if legal { format!("write `{plain}`: `CONFIG_` is understood") } else { "as in `CXL_REGION`".to_owned() };
        outer.error(wrong.label("not a Kconfig symbol").hint(hint));
        return None;
    }
    let Some(value) = &node.value else {
        let wrong = Diagnostic::new(node.head(), format!("the option `{name}` has no value")).label("`= y` is missing");
        outer.error(wrong.hint(format!("write `{} {name} = y`", node.keyword.value)));
        return None;
    };
    Some((name, Spanned::new(OptionValue::read(value, outer.report())?, value.span)))
}

impl FromValue for OptionValue {
    const EXPECTED: &'static str = "`y`, `m`, `n`, a string or a number";

    fn convert(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) if name == "y" => Some(OptionValue::Yes),
            Value::Name(name) if name == "m" => Some(OptionValue::Module),
            Value::Name(name) if name == "n" => Some(OptionValue::No),
            Value::Text(text) => Some(OptionValue::Text(text.clone())),
            Value::Integer(number) => Some(OptionValue::Number(number.to_string())),
            Value::Hex(number) => Some(OptionValue::Number(format!("{number:#x}"))),
            _ => None,
        }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Boolean(true) => Some("write `y` for built in, or `m` for a module".to_owned()),
            Value::Boolean(false) => Some("write `n`".to_owned()),
            Value::Name(name) => Some(format!("a string option needs quotes: `\"{name}\"`")),
            _ => None,
        }
    }
}

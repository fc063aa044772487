//! The arguments of a QMP command: fields become members of a JSON object, blocks become objects in it.

use serde_json::{Map, Value as Json};

use crate::base::Diagnostic;
use crate::recipe::report::Report;
use crate::recipe::value::{Form, Node, Value};

/// The JSON object that the entries of a block describe.
pub(super) fn object(node: &Node, report: &Report) -> Option<Map<String, Json>> {
    let mut object = Map::new();
    for child in &node.children {
        let value = match (child.form(), &child.value) {
            (Form::Field, Some(value)) => json(&value.value),
            (Form::Block, _) if child.arguments.is_empty() => object_of(child, report),
            _ => None,
        };
        let Some(value) = value else {
            let wrong = Diagnostic::new(child.span, "this cannot be an argument of a QMP command");
            let hint = "fields with texts, numbers, sizes, booleans and lists of those, or blocks without a name";
            report.push(wrong.label("has no JSON").hint(hint));
            return None;
        };
        if object.insert(child.keyword.value.clone(), value).is_some() {
            let wrong = Diagnostic::new(child.head(), format!("`{}` is given twice", child.keyword.value));
            report.push(wrong.label("again here"));
        }
    }
    Some(object)
}

fn object_of(node: &Node, report: &Report) -> Option<Json> {
    object(node, report).map(Json::Object)
}

fn json(value: &Value) -> Option<Json> {
    match value {
        Value::Text(text) | Value::Name(text) => Some(Json::from(text.as_str())),
        Value::Integer(number) => Some(Json::from(*number)),
        Value::Hex(number) | Value::Size(number) => Some(Json::from(*number)),
        Value::Boolean(boolean) => Some(Json::from(*boolean)),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect::<Option<Vec<_>>>().map(Json::from),
        _ => None,
    }
}

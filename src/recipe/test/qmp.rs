//! The arguments of a QMP command: fields become members of a JSON object, blocks become objects in it, and blocks with a
//! name become the items of a list: `extents first { offset = 0 }` is `"extents": [{"offset": 0}]`.

use serde_json::{Map, Value as Json};

use crate::base::Diagnostic;
use crate::recipe::report::Diagnostics;
use crate::recipe::value::{EvaluatedNode, Form, Value};

/// The JSON object that the entries of a block describe.
pub(super) fn object(node: &EvaluatedNode, report: &Diagnostics) -> Option<Map<String, Json>> {
    let mut object = Map::new();
    for child in &node.children {
        if child.form() == Form::Block && child.arguments.len() == 1 {
            let list = object.entry(child.keyword.value.clone()).or_insert_with(|| Json::Array(Vec::new()));
            let Json::Array(items) = list else {
                report.push(twice(child));
                continue;
            };
            items.push(object_of(child, report)?);
            continue;
        }
        let value = match (child.form(), &child.value) {
            (Form::Field, Some(value)) => json(&value.value),
            (Form::Block, _) if child.arguments.is_empty() => object_of(child, report),
            _ => None,
        };
        let Some(value) = value else {
            let wrong = Diagnostic::new(child.span, "this cannot be an argument of a QMP command");
            let hint = "fields with texts, numbers, sizes, booleans and lists of those, or blocks";
            report.push(wrong.label("has no JSON").hint(hint));
            return None;
        };
        if object.insert(child.keyword.value.clone(), value).is_some() {
            report.push(twice(child));
        }
    }
    Some(object)
}

fn twice(child: &EvaluatedNode) -> Diagnostic {
    Diagnostic::new(child.head(), format!("`{}` is given more than once", child.keyword.value)).label("again here")
}

fn object_of(node: &EvaluatedNode, report: &Diagnostics) -> Option<Json> {
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

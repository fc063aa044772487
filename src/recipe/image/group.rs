//! Reads `group "name" { ... }` in an image.

use super::Group;
use super::user::login;
use crate::recipe::reader::Reader;
use crate::recipe::report::Diagnostics;
use crate::recipe::value::EvaluatedNode;

/// Every group of an image.
pub(super) fn groups(reader: &mut Reader<'_>) -> Vec<Group> {
    let report = reader.report();
    reader.distinct("group", |node| group(node, report), |group| &group.name)
}

fn group(node: &EvaluatedNode, report: &Diagnostics) -> Option<Group> {
    let mut reader = Reader::new(node, report);
    let name = reader.argument::<String>("the name of a group in quotes").and_then(|name| login(name, &reader));
    let gid = reader.integer("gid", 0..=65_533).map(|gid| gid.value as u32);
    reader.finish();
    Some(Group { name: name?, gid, span: node.head() })
}

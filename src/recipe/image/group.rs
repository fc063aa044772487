//! Reads `group "name" { ... }` in an image.

use std::collections::BTreeMap;

use super::Group;
use super::user::login;
use crate::recipe::reader::{Reader, duplicate};
use crate::recipe::value::EvaluatedNode;

/// Every group of an image.
pub(super) fn groups(reader: &mut Reader<'_>) -> Vec<Group> {
    let mut first: BTreeMap<String, &EvaluatedNode> = BTreeMap::new();
    let mut groups = Vec::new();
    for node in reader.blocks("group") {
        let Some(group) = group(node, reader) else { continue };
        match first.get(&group.name) {
            Some(earlier) => reader.error(duplicate(node, earlier, &format!("group `{}`", group.name))),
            None => {
                first.insert(group.name.clone(), node);
                groups.push(group);
            }
        }
    }
    groups
}

fn group(node: &EvaluatedNode, outer: &Reader<'_>) -> Option<Group> {
    let mut reader = Reader::new(node, outer.report());
    let name = reader.argument::<String>("the name of a group in quotes").and_then(|name| login(name, &reader));
    let gid = reader.integer("gid", 0..=65_533).map(|gid| gid.value as u32);
    reader.finish();
    Some(Group { name: name?, gid, span: node.head() })
}

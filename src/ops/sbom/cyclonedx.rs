//! A bill of materials in the words of CycloneDX 1.6, as JSON.
//!
//! `components` has what is delivered or runs it. What was only needed to build that is in `formulation`, where a workflow for each thing
//! that is made lists what it was made from and with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::model::{Bill, Component, ComponentKind, RelationKind};
use super::serial;

/// The document; its serial number follows from everything else in it.
pub(super) fn write(bill: &Bill) -> Value {
    let contents = bill.contents();
    let inside = |id: &str| contents.contains(id) && id != bill.root;
    let list = |wanted: &dyn Fn(&str) -> bool| -> Vec<Value> {
        let chosen = bill.components.iter().filter(|(id, _)| wanted(id));
        chosen.map(|(id, component)| self::component(id, component)).collect()
    };
    let transient = list(&|id| !contents.contains(id));
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": bill.created.to_string(),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "kiln", "version": env!("CARGO_PKG_VERSION")}]},
            "component": component(&bill.root, &bill.components[&bill.root]),
            "properties": [{"name": "kiln:lock", "value": bill.lock}],
        },
        "components": list(&inside),
        "dependencies": dependencies(bill, &contents),
    });
    let workflows = workflows(bill);
    if !transient.is_empty() || !workflows.is_empty() {
        let mut formula = json!({"bom-ref": "build"});
        for (name, part) in [("components", transient), ("workflows", workflows)] {
            if !part.is_empty() {
                formula[name] = Value::Array(part);
            }
        }
        document["formulation"] = json!([formula]);
    }
    document["serialNumber"] = json!(serial(&document));
    document
}

fn component(id: &str, component: &Component) -> Value {
    let mut value = json!({"bom-ref": id, "type": kind(component.kind), "name": component.name});
    if let Some(version) = &component.version {
        value["version"] = json!(version);
    }
    if let Some(digest) = component.sha256 {
        value["hashes"] = json!([{"alg": "SHA-256", "content": digest}]);
    }
    if let Some(license) = &component.license {
        value["licenses"] = json!([{"expression": license, "acknowledgement": "declared"}]);
    }
    if let Some(maintainer) = &component.maintainer {
        value["supplier"] = json!({"name": maintainer});
    }
    if let Some(purl) = &component.purl {
        value["purl"] = json!(purl);
    }
    if let Some(url) = &component.download {
        value["externalReferences"] = json!([{"type": "distribution", "url": url}]);
    }
    let source = component.source.as_ref().map(|source| format!("{} {}", source.name, source.version));
    let step = component.step.map(|step| step.to_string());
    let properties = [("kiln:source-package", source), ("kiln:step", step)];
    let properties: Vec<Value> =
        properties.into_iter().filter_map(|(name, value)| Some(json!({"name": name, "value": value?}))).collect();
    if !properties.is_empty() {
        value["properties"] = Value::Array(properties);
    }
    value
}

fn kind(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Image | ComponentKind::Kernel => "operating-system",
        ComponentKind::Emulator => "platform",
        ComponentKind::Recipe | ComponentKind::Build | ComponentKind::Tools => "application",
        ComponentKind::Package => "library",
        ComponentKind::Source | ComponentKind::Artifact | ComponentKind::RecipeFile => "file",
    }
}

/// What each component of the contents has inside or runs on.
fn dependencies(bill: &Bill, contents: &BTreeSet<&str>) -> Vec<Value> {
    let mut graph: BTreeMap<&str, Vec<&str>> = contents.iter().map(|id| (*id, Vec::new())).collect();
    for relation in bill.relations.iter().filter(|it| matches!(it.kind, RelationKind::Contains | RelationKind::RunsOn))
    {
        if let Some(inside) = graph.get_mut(relation.from.as_str()) {
            inside.push(&relation.to);
        }
    }
    let entry = |(id, inside): (&&str, &Vec<&str>)| {
        let mut entry = json!({"ref": id});
        if !inside.is_empty() {
            entry["dependsOn"] = json!(inside.iter().collect::<BTreeSet<_>>());
        }
        entry
    };
    graph.iter().map(entry).collect()
}

/// One for each component that something was made from or with.
fn workflows(bill: &Bill) -> Vec<Value> {
    let mut made: BTreeMap<&str, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for relation in &bill.relations {
        let to = json!({"ref": relation.to});
        match relation.kind {
            RelationKind::MadeFrom => {
                made.entry(&relation.from).or_default().0.push(json!({"resource": to}));
            }
            RelationKind::BuiltWith => made.entry(&relation.from).or_default().1.push(to),
            // A tool tree is in no dependency graph of contents: what it unpacks is said here.
            RelationKind::Contains if bill.components[&relation.from].kind == ComponentKind::Tools => {
                made.entry(&relation.from).or_default().0.push(json!({"resource": to}));
            }
            RelationKind::Contains | RelationKind::RunsOn => {}
        }
    }
    let workflow = |(id, (inputs, tools)): (&str, (Vec<Value>, Vec<Value>))| {
        let name = format!("workflow-{id}");
        let output = json!({"type": "artifact", "resource": {"ref": id}});
        let mut workflow = json!({"bom-ref": name, "uid": name, "taskTypes": ["build"], "outputs": [output]});
        for (field, items) in [("inputs", inputs), ("resourceReferences", tools)] {
            if !items.is_empty() {
                workflow[field] = Value::Array(items);
            }
        }
        workflow
    };
    made.into_iter().map(workflow).collect()
}

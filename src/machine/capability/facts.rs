//! What the locked QEMU itself said of its properties, held against the argv.
//!
//! Input: a machine, its argv, the [`Facts`] of its QEMU. Output: a diagnostic for every property that this QEMU does
//! not know, at the words of the recipe that ask for it; and what the lock remembers of the comparison.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Diagnostic, Span};
use crate::machine::argv::{CommandLine, Property, generic_port, nvdimm_file};
use crate::machine::topology::{BelowAt, ExpanderAt, PortAt, Topology};
use crate::plan::qemu::{Facts, GENERIC_PORT};
use crate::recipe::machine::Machine;
use crate::recipe::machine::cxl::Cxl;
use crate::recipe::machine::memory::Nvdimm;

/// The properties that a machine needs and its QEMU lacks.
pub fn unknown(machine: &Machine, line: &CommandLine, facts: &Facts) -> Vec<Diagnostic> {
    let program = machine.arch().facts().qemu.program;
    let mut seen = BTreeSet::new();
    let mut mistakes = Vec::new();
    for property in line.properties() {
        let Some(message) = lacks(&property, facts) else { continue };
        let span = place(machine, &property);
        if seen.insert((span, message.clone())) {
            let mistake = Diagnostic::new(span, message).label("needs it");
            let mistake = mistake.related(machine.qemu.span(), "the QEMU of this machine");
            mistakes.push(mistake.hint(format!(
                "another version of QEMU may have it; `{program} {}` lists the properties of this one",
                help(&property)
            )));
        }
    }
    mistakes
}

/// What is wrong with one property, if anything is.
fn lacks(property: &Property<'_>, facts: &Facts) -> Option<String> {
    let Property { flag, kind, .. } = property;
    let known = facts.properties.get(&format!("{flag} {kind}"));
    let version = &facts.version;
    match known {
        None if property.name.is_empty() => Some(format!("QEMU {version} has no `{flag} {kind}`")),
        Some(known) if !property.name.is_empty() && !known.contains(property.listed()) => {
            Some(format!("QEMU {version} does not know the property `{}` of `{flag} {kind}`", property.listed()))
        }
        _ => None,
    }
}

fn help(property: &Property<'_>) -> String {
    format!("{} {},help", property.flag, property.kind)
}

/// What was asked and found, for the lock: `-device cxl-type3: addr, lsa, sn`.
pub fn summary(line: &CommandLine) -> Vec<String> {
    let mut asked: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let properties = line.properties();
    for property in &properties {
        let names = asked.entry((property.flag, property.kind)).or_default();
        names.extend(Some(property.listed()).filter(|name| !name.is_empty()));
    }
    let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    asked.into_iter().map(|((flag, kind), names)| format!("{flag} {kind}: {}", joined(names))).collect()
}

/// The words of the recipe that lead to a property; the machine's own when kiln adds it by itself.
fn place(machine: &Machine, property: &Property<'_>) -> Span {
    let cxl = machine.cxl.as_ref();
    let found = match (property.flag, property.id) {
        ("-machine", _) if property.name == "nvdimm" => machine.nvdimms.first().map(|module| module.span),
        ("-machine", _) => cxl.map(|cxl| window(cxl, property.name)),
        ("-object", Some(id)) if property.kind == GENERIC_PORT => towards_port(machine, id),
        (_, Some(id)) => cxl.and_then(|cxl| in_topology(cxl, id, property.name)).or_else(|| beside(machine, id)),
        _ => None,
    };
    found.unwrap_or(machine.span)
}

/// The latency or bandwidth that gives a bridge its generic port.
fn towards_port(machine: &Machine, id: &str) -> Option<Span> {
    let towards = machine.attributes.iter().find(|attribute| generic_port(&attribute.to.value) == id);
    towards.map(|attribute| attribute.to.span)
}

/// `cxl-fmw.1.size` is a word of the second window; `cxl` of the whole block.
fn window(cxl: &Cxl, name: &str) -> Span {
    let number = name.strip_prefix("cxl-fmw.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    number.and_then(|number| cxl.windows.get(number)).map_or(cxl.span, |window| window.span)
}

/// Disks, nodes and memory modules.
fn beside(machine: &Machine, id: &str) -> Option<Span> {
    let disk = machine.disks.iter().find(|disk| disk.name.value == id).map(|disk| disk.span);
    let node = machine.nodes.iter().find(|node| id.strip_suffix(".memory") == Some(&node.name));
    let own = |module: &&Nvdimm| module.name.value == id || nvdimm_file(module) == id;
    let module = machine.nvdimms.iter().find(own).map(|module| module.span);
    disk.or(module).or(node.map(|node| node.span))
}

fn in_topology(cxl: &Cxl, id: &str, property: &str) -> Option<Span> {
    let topology = Topology::of(cxl);
    let expander = topology
        .expanders()
        .find(|at| at.id == id || id.strip_prefix(&at.id).is_some_and(|rest| rest.starts_with('.')));
    if let Some(at) = expander {
        return Some(in_expander(at, id, property));
    }
    let bridge = topology.bridges.iter().find(|at| at.id == id).map(|at| at.bridge.span);
    bridge.or_else(|| topology.bridges.iter().flat_map(|at| &at.ports).find_map(|at| in_port(at, id)))
}

fn in_port(at: &PortAt<'_>, id: &str) -> Option<Span> {
    if at.id == id {
        return Some(at.port.span);
    }
    at.below.iter().find_map(|below| match below {
        BelowAt::Switch(at) if at.id == id => Some(at.switch.span),
        BelowAt::Switch(at) if id.strip_suffix(".mailbox") == Some(&at.id) => at.switch.mailbox,
        BelowAt::Switch(at) => at.ports.iter().find_map(|at| in_port(at, id)),
        BelowAt::Expander(_) => None,
    })
}

/// The field of an expander that makes kiln write a property, or a backend.
fn in_expander(at: &ExpanderAt<'_>, id: &str, property: &str) -> Span {
    let expander = at.expander;
    let part = id.strip_prefix(&at.id).unwrap_or_default();
    let dynamic = expander.dynamic.as_ref();
    let field = match (part, property) {
        (".volatile", _) | ("", "volatile-memdev") => expander.volatile.as_ref().map(|memory| memory.span),
        (".persistent", _) | ("", "persistent-memdev") => expander.persistent.as_ref().map(|memory| memory.span),
        (".labels", _) | ("", "lsa") => expander.labels.as_ref().map(|labels| labels.span),
        (".dynamic", _) | ("", "volatile-dc-memdev") => dynamic.map(|dynamic| dynamic.memory.span),
        ("", "num-dc-regions") => dynamic.map(|dynamic| dynamic.regions.span),
        ("", "sn") => expander.serial.as_ref().map(|serial| serial.span),
        ("", "x-speed") => expander.speed.as_ref().map(|speed| speed.span),
        ("", "x-width") => expander.width.as_ref().map(|width| width.span),
        ("", "hdm-db") => expander.back_invalidate,
        ("", "x-256b-flit") => expander.flit256,
        ("", "cdat") => expander.cdat.as_ref().map(|cdat| cdat.span),
        _ => None,
    };
    field.unwrap_or(expander.span)
}

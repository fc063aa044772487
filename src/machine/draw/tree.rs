//! The tree for the terminal.

use std::fmt::Write as _;

use super::{is_generic_port, parts, summary};
use crate::base::ByteSize;
use crate::machine::address;
use crate::machine::topology::{BelowAt, ExpanderAt, PortAt, Topology};
use crate::recipe::machine::Machine;
use crate::recipe::machine::memory::{AttributeKind, MemoryCache};

/// A line with what hangs below it.
struct Branch {
    line: String,
    below: Vec<Branch>,
}

/// One machine as a tree.
pub fn tree(machine: &Machine) -> String {
    let mut branches: Vec<Branch> =
        machine.nodes.iter().enumerate().map(|(number, node)| self::node(number, node)).collect();
    if let Some(cxl) = &machine.cxl {
        let addresses = address::windows(machine);
        branches.extend(cxl.windows.iter().zip(addresses).map(|(window, start)| {
            let targets: Vec<&str> = window.targets.iter().map(|target| target.value.as_str()).collect();
            let mut line = format!("window {}  {} at 0x{start:x}", window.name.value, ByteSize(window.size.value));
            if targets.len() > 1 {
                let _ = write!(line, ", {} ways by {}", targets.len(), ByteSize(window.granularity.value));
            }
            Branch { line: format!("{line}  -> {}", targets.join(", ")), below: Vec::new() }
        }));
        branches.extend(Topology::of(cxl).bridges.iter().map(|at| {
            let mut line = format!("bridge {}  bus {}", at.bridge.name.value, at.bus);
            if is_generic_port(machine, at) {
                line.push_str(", generic port");
            }
            Branch { line, below: at.ports.iter().map(port).collect() }
        }));
    }
    branches.extend(accesses(machine));
    let mut text = format!("{}  {}\n", machine.name, summary(machine));
    write(&branches, "", &mut text);
    text
}

fn node(number: usize, node: &crate::recipe::machine::memory::Node) -> Branch {
    let cpus = if node.cpus.is_empty() { "no CPUs".to_owned() } else { format!("{} CPUs", node.cpus.len()) };
    let memory = node.memory.as_ref().map_or("no memory".to_owned(), |memory| ByteSize(memory.value.size).to_string());
    let line = format!("node {}  number {number}, {cpus}, {memory}", node.name);
    Branch { line, below: node.caches.iter().zip(1..).map(cache).collect() }
}

/// What CPUs see of memory and of bridges: a pair a line.
fn accesses(machine: &Machine) -> Vec<Branch> {
    let mut pairs: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for attribute in &machine.attributes {
        let value = match attribute.kind {
            AttributeKind::Latency => format!("{}ns", attribute.value.value),
            AttributeKind::Bandwidth => format!("{} a second", ByteSize(attribute.value.value)),
        };
        let ends = (attribute.from.value.as_str(), attribute.to.value.as_str());
        match pairs.iter_mut().find(|(from, to, _)| (*from, *to) == ends) {
            Some((.., values)) => values.push(value),
            None => pairs.push((ends.0, ends.1, vec![value])),
        }
    }
    let line = |(from, to, values): (&str, &str, Vec<String>)| format!("access {from} -> {to}  {}", values.join(", "));
    pairs.into_iter().map(|pair| Branch { line: line(pair), below: Vec::new() }).collect()
}

fn cache((cache, level): (&MemoryCache, u32)) -> Branch {
    let (size, line) = (ByteSize(cache.size.value), ByteSize(cache.line.value));
    let (associativity, policy) = (cache.associativity.name(), cache.policy.name());
    let line = format!("cache level {level}  {size}, {associativity}, {policy}, lines of {line}");
    Branch { line, below: Vec::new() }
}

fn port(at: &PortAt) -> Branch {
    let name = format!("port {}", at.port.name.value);
    let mut below: Vec<Branch> = at.below.iter().map(branch).collect();
    if below.is_empty() {
        return Branch { line: format!("{name}  empty"), below };
    }
    // The usual case, one leaf, takes one line.
    match below.pop() {
        Some(only) if below.is_empty() => Branch { line: format!("{name}  {}", only.line), below: only.below },
        last => {
            below.extend(last);
            Branch { line: name, below }
        }
    }
}

fn branch(below: &BelowAt) -> Branch {
    match below {
        BelowAt::Expander(at) => Branch { line: expander(at), below: Vec::new() },
        BelowAt::Switch(at) => {
            let mailbox = if at.switch.mailbox.is_some() { "  with mailbox" } else { "" };
            let cdat = if at.switch.cdat.is_some() { "  with cdat" } else { "" };
            let line = format!("switch {}{mailbox}{cdat}", at.switch.name.value);
            Branch { line, below: at.ports.iter().map(port).collect() }
        }
    }
}

fn expander(at: &ExpanderAt) -> String {
    let parts: Vec<String> = parts(at).iter().map(super::Part::words).collect();
    let mut line = format!("expander {}  {}", at.id, parts.join(" + "));
    if let Some(labels) = &at.expander.labels {
        let _ = write!(line, ", labels {}", ByteSize(labels.value));
    }
    let _ = write!(line, "  serial 0x{:x}", at.serial);
    if let Some(cdat) = &at.expander.cdat {
        let _ = write!(line, "  cdat {}", ByteSize(cdat.value.bytes.len() as u64));
    }
    line
}

fn write(branches: &[Branch], indent: &str, text: &mut String) {
    for (position, branch) in branches.iter().enumerate() {
        let last = position + 1 == branches.len();
        let (corner, bar) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let _ = writeln!(text, "{indent}{corner}{}", branch.line);
        write(&branch.below, &format!("{indent}{bar}"), text);
    }
}

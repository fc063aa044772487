//! The tree for the terminal.

use std::fmt::Write as _;

use super::{parts, summary};
use crate::base::ByteSize;
use crate::machine::address;
use crate::machine::topology::{BelowAt, ExpanderAt, PortAt, Topology};
use crate::recipe::machine::Machine;

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
            let line = format!("bridge {}  bus {}", at.bridge.name.value, at.bus);
            Branch { line, below: at.ports.iter().map(port).collect() }
        }));
    }
    let mut text = format!("{}  {}\n", machine.name, summary(machine));
    write(&branches, "", &mut text);
    text
}

fn node(number: usize, node: &crate::recipe::machine::memory::Node) -> Branch {
    let cpus = if node.cpus.is_empty() { "no CPUs".to_owned() } else { format!("{} CPUs", node.cpus.len()) };
    let memory = node.memory.as_ref().map_or("no memory".to_owned(), |memory| ByteSize(memory.value.size).to_string());
    Branch { line: format!("node {}  number {number}, {cpus}, {memory}", node.name), below: Vec::new() }
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
            let line = format!("switch {}{mailbox}", at.switch.name.value);
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

//! From the words of `launch.json` to a machine that passed every check that a recipe's passes.
//!
//! The words become blocks, which the reader of recipes reads and the rules judge. So whatever a stranger wrote, the
//! machine that comes out is one that some recipe could have described, and its argv one that kiln could have written.

use std::collections::BTreeMap;

use super::block::{Maker, STAND_INS, table_key};
use super::{LaunchError, wire};
use crate::base::{Diagnostic, SourceMap, Span, base64};
use crate::machine::capability::Emulator;
use crate::machine::network::networks;
use crate::machine::{Description, rules};
use crate::recipe::RecipeFile;
use crate::recipe::machine::{Machine, check};
use crate::recipe::scope::Scope;
use crate::recipe::value::EvaluatedNode;

/// Mistakes that are told; the first ones are enough.
const MAX_REPORTED: usize = 3;

/// The machine, its neighbours and its QEMU; whether there is an initramfs is for the artifacts to say.
pub(super) fn description(file: &wire::File, initrd: bool) -> Result<Description, LaunchError> {
    let nowhere = nowhere();
    let mut reading = Reading { make: Maker { nowhere }, scope: Scope::default() };
    for (kind, name) in STAND_INS {
        reading.scope.declared.entry(kind).or_default().insert(name.to_owned(), nowhere);
    }
    reading.networks(file);
    reading.memories(file);
    reading.tables(file);
    let own = reading.machine(file);
    let mut machines = reading.neighbours(file);
    let mut mistakes = reading.scope.report.into_diagnostics();
    let (Some(machine), true) = (own, mistakes.is_empty()) else { return Err(refused(&mistakes)) };
    if machines.insert(machine.name.clone(), machine.clone()).is_some() {
        return Err(LaunchError::Machine(format!("`{}` is its own neighbour", machine.name)));
    }
    mistakes.extend(machines.values().flat_map(|machine| rules::check(machine).errors));
    mistakes.extend(rules::check_among(&machines));
    if !mistakes.is_empty() {
        return Err(refused(&mistakes));
    }
    let emulator = version(&file.qemu)?;
    let (qemu, disk) = (file.qemu.clone(), file.disk_format);
    let (networks, origin) = (networks(&machines), file.origin);
    Ok(Description { networks, machine, qemu, origin, emulator, initrd, disk })
}

struct Reading {
    make: Maker,
    scope: Scope,
}

impl Reading {
    fn networks(&mut self, file: &wire::File) {
        for network in &file.networks {
            self.declare("network", &network.name);
            let read = check::network(&self.make.network(network), &self.scope);
            self.scope.networks.extend(read.map(|read| (read.name.clone(), read)));
        }
    }

    fn memories(&mut self, file: &wire::File) {
        for memory in &file.memories {
            self.declare("memory", &memory.name);
            let read = check::shared(&self.make.shared_memory(memory), &self.scope);
            self.scope.memories.extend(read.map(|read| (memory.name.clone(), read)));
        }
    }

    fn tables(&mut self, file: &wire::File) {
        for base64 in file.machine.cxl.iter().flat_map(wire::Cxl::tables) {
            match base64::decode(base64) {
                Some(bytes) => drop(self.scope.files.insert(table_key(base64), RecipeFile::held(bytes))),
                None => self.mistake("a `cdat` is not base64".to_owned()),
            }
        }
    }

    fn declare(&mut self, kind: &'static str, name: &str) {
        let known = self.scope.declared.entry(kind).or_default().insert(name.to_owned(), self.make.nowhere);
        if known.is_some() {
            self.mistake(format!("duplicate {kind}: `{name}`"));
        }
    }

    fn mistake(&self, message: String) {
        self.scope.report.push(Diagnostic::new(self.make.nowhere, message));
    }

    fn machine(&self, file: &wire::File) -> Option<Machine> {
        let join = |join: &wire::Join| {
            let network = file.networks.iter().find(|network| network.name == join.network);
            let address = network.and_then(|network| network.members.get(&file.machine.name));
            if address.is_none() {
                self.mistake(format!("it has no address on the network `{}`", join.network));
            }
            Some(self.make.join(&join.network, *address?))
        };
        let joins: Vec<EvaluatedNode> = file.machine.joins.iter().filter_map(join).collect();
        check(&self.make.machine(&file.machine, joins), &self.scope)
    }

    /// The other machines of its networks, of which nothing but their addresses matters.
    fn neighbours(&self, file: &wire::File) -> BTreeMap<String, Machine> {
        let mut joins: BTreeMap<&str, Vec<EvaluatedNode>> = BTreeMap::new();
        for network in &file.networks {
            for (member, address) in network.members.iter().filter(|(member, _)| **member != file.machine.name) {
                joins.entry(member).or_default().push(self.make.join(&network.name, *address));
            }
        }
        let blocks = joins.into_iter().map(|(name, joins)| self.make.neighbour(name, joins));
        let machines = blocks.filter_map(|block| check(&block, &self.scope));
        machines.map(|machine| (machine.name.clone(), machine)).collect()
    }
}

fn nowhere() -> Span {
    let file = SourceMap::default().add("launch.json".into(), String::new());
    Span { file, start: 0, end: 0 }
}

fn refused(mistakes: &[Diagnostic]) -> LaunchError {
    let told: Vec<&str> = mistakes.iter().take(MAX_REPORTED).map(|mistake| mistake.message.as_str()).collect();
    LaunchError::Machine(told.join("; "))
}

/// The upstream version that a lock gives: `11.1.3`.
fn version(text: &str) -> Result<Emulator, LaunchError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    let emulator = Emulator::of(text).filter(|_| text.len() <= 40 && text.bytes().all(legal));
    emulator.ok_or_else(|| LaunchError::Name(text.to_owned()))
}

//! Machines from recipe text, without the rest of a recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiln::base::render::render;
use kiln::base::{Diagnostic, SourceMap, Span, Spanned};
use kiln::lock::Lock;
use kiln::machine::capability::Emulator;
use kiln::machine::network::networks;
use kiln::machine::{Description, QemuOrigin};
use kiln::recipe::image::DiskFormat;
use kiln::recipe::machine::Machine;
use kiln::recipe::scope::Scope;
use kiln::recipe::value::{EvaluatedNode, Value};
use kiln::recipe::{Recipe, RecipeFile};
use kiln::syntax::parse;
use kiln::syntax::tree;
use kiln::world::RealWorld;

/// What a text declares, and where its words are.
pub(super) struct Read {
    pub(super) machines: Vec<Machine>,
    pub(super) mistakes: Vec<Diagnostic>,
    pub(super) sources: SourceMap,
}

impl Read {
    /// The words under a span.
    pub(super) fn words(&self, span: Span) -> &str {
        &self.sources.text(span.file)[span.start as usize..span.end as usize]
    }

    /// The only machine; every mistake is shown when there is one.
    pub(super) fn machine(self) -> Machine {
        assert!(self.mistakes.is_empty(), "{}", render(&self.sources, &self.mistakes, false));
        let mut machines = self.machines;
        assert_eq!(machines.len(), 1);
        machines.remove(0)
    }
}

/// Reads `memory`, `network` and `machine` blocks. The kernel `k`, the image `i` and the QEMU `package "qemu"` exist.
pub(super) fn read(text: &str) -> Read {
    let mut sources = SourceMap::default();
    let file = sources.add(PathBuf::from("fixture.kiln"), text.to_owned());
    let (tree, mut mistakes) = parse(file, text);
    let nowhere = Span { file, start: 0, end: 0 };
    let mut scope = Scope::default();
    for (kind, name) in [("kernel", "k"), ("image", "i"), ("build", "b")] {
        scope.declared.entry(kind).or_default().insert(name.to_owned(), nowhere);
    }
    for table in std::fs::read_dir(fixtures("cdat")).unwrap().map(|entry| entry.unwrap()) {
        let bytes = kiln::world::fs::read(&table.path(), 1 << 20).unwrap();
        scope.files.insert(table.file_name().into_string().unwrap(), RecipeFile::held(bytes));
    }
    let nodes: Vec<EvaluatedNode> = tree.entries.iter().map(node).collect();
    for node in &nodes {
        let name = match node.arguments.first().map(|argument| &argument.value) {
            Some(Value::Name(name)) => name.clone(),
            _ => continue,
        };
        match node.keyword.value.as_str() {
            "memory" => {
                scope.declared.entry("memory").or_default().insert(name.clone(), node.span);
                let memory = kiln::recipe::machine::check::shared(node, &scope);
                scope.memories.extend(memory.map(|memory| (name, memory)));
            }
            "network" => {
                scope.declared.entry("network").or_default().insert(name.clone(), node.span);
                let network = kiln::recipe::machine::check::network(node, &scope);
                scope.networks.extend(network.map(|network| (name, network)));
            }
            _ => {}
        }
    }
    let blocks = nodes.iter().filter(|node| node.keyword.value == "machine");
    let machines = blocks.filter_map(|node| kiln::recipe::machine::check(node, &scope)).collect();
    mistakes.extend(scope.report.into_diagnostics());
    Read { machines, mistakes, sources }
}

/// A machine with these lines in its block.
pub(super) fn machine(body: &str) -> Machine {
    read(&format!("machine m {{\n kernel = k\n image = i\n qemu = package \"qemu\"\n{body}\n}}\n")).machine()
}

/// A machine among others, with an initramfs, on the QEMU of upstream version `qemu`.
pub(super) fn described(machine: &Machine, machines: &BTreeMap<String, Machine>, qemu: &str) -> Description {
    let (networks, emulator) = (networks(machines), Emulator::of(qemu).unwrap());
    Description {
        machine: machine.clone(),
        networks,
        qemu: qemu.to_owned(),
        origin: QemuOrigin::Packages,
        emulator,
        initrd: true,
        disk: DiskFormat::Qcow2,
    }
}

/// What evaluation does to text without parameters, loops and interpolation.
fn node(entry: &tree::Entry) -> EvaluatedNode {
    EvaluatedNode {
        keyword: entry.keyword.clone(),
        arguments: entry.arguments.iter().map(value).collect(),
        value: entry.assign.as_ref().map(|(_, assigned)| value(assigned)),
        children: entry.body.iter().flatten().map(node).collect(),
        block: entry.body.is_some(),
        span: entry.span,
    }
}

fn value(written: &Spanned<tree::Expression>) -> Spanned<Value> {
    let plain = match &written.value {
        tree::Expression::Text(parts) => Value::Text(parts.iter().map(literal).collect()),
        tree::Expression::Integer(number) => Value::Integer(*number),
        tree::Expression::Hex(number) => Value::Hex(*number),
        tree::Expression::Size(bytes) => Value::Size(*bytes),
        tree::Expression::Duration(seconds) => Value::Duration(*seconds),
        tree::Expression::Mode(mode) => Value::Mode(*mode),
        tree::Expression::Boolean(boolean) => Value::Boolean(*boolean),
        tree::Expression::Name(name) => Value::Name(name.clone()),
        tree::Expression::List(items) => Value::List(items.iter().map(value).collect()),
        tree::Expression::Call(word, items) if word.value == "file" => match &items[0].value {
            tree::Expression::Text(parts) => Value::File(parts.iter().map(literal).collect()),
            other => panic!("`file` of a fixture has {other:?}"),
        },
        tree::Expression::Call(word, items) => Value::Call(word.clone(), items.iter().map(value).collect()),
        other => panic!("fixtures of machines have no {other:?}"),
    };
    Spanned::new(plain, written.span)
}

fn literal(part: &tree::TextPart) -> &str {
    match part {
        tree::TextPart::Literal(text) => text,
        tree::TextPart::Name(name) => panic!("fixtures of machines have no ${{{}}}", name.value),
    }
}

/// Every recipe that has a lock, by stem.
pub(super) fn recipes() -> Vec<(String, Recipe, Lock)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let locks = std::fs::read_dir(root.join("lockfiles")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<(String, Recipe, Lock)> = locks
        .filter(|path| path.extension().is_some_and(|e| e == "lock"))
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let recipe = root.join("recipes").join(format!("{stem}.kiln"));
            let recipe = kiln::recipe::check(&RealWorld::default(), &recipe, &[]);
            let recipe = recipe.unwrap_or_else(|_| panic!("{stem}: mistakes")).reachable();
            let lock = kiln::lock::read(&kiln_text(&path)).unwrap_or_else(|error| panic!("{stem}: {error}"));
            (stem, recipe, lock)
        })
        .collect();
    found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    assert!(found.len() > 5, "the locks are gone");
    found
}

/// The directory of a kind of fixture.
pub(super) fn fixtures(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/machine").join(kind)
}

/// Every `*.kiln` of a kind, by stem, with its text.
pub(super) fn every(kind: &str) -> Vec<(String, String)> {
    let directory = std::fs::read_dir(fixtures(kind)).unwrap();
    let paths =
        directory.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "kiln"));
    let mut found: Vec<(String, String)> =
        paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), kiln_text(&path))).collect();
    found.sort();
    found
}

fn kiln_text(path: &Path) -> String {
    String::from_utf8(kiln::world::fs::read(path, 1 << 20).unwrap()).unwrap()
}

/// Compares with a committed file; `KILN_UPDATE=1` writes it instead.
pub(super) fn golden(path: &Path, actual: &str) {
    #[allow(clippy::disallowed_methods, reason = "a switch for whoever changes the expected output")]
    if std::env::var_os("KILN_UPDATE").is_some() {
        kiln::world::fs::write_atomically(path, actual.as_bytes()).unwrap();
        return;
    }
    let expected = if path.exists() { kiln_text(path) } else { String::new() };
    assert_eq!(actual, expected, "{} differs; KILN_UPDATE=1 writes it", path.display());
}

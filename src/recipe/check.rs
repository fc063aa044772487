//! The whole way from a path to a checked recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::evaluate::Evaluator;
use super::files::{Files, Refused};
use super::import::Imports;
use super::partly::{self, PartlyRead};
use super::reader::{Reader, duplicate};
use super::report::{Diagnostics, LIMIT};
use super::scope::Scope;
use super::unused::Own;
use super::value::EvaluatedNode;
use super::{Recipe, alone, archive, build, image, kernel, machine, packages, qemu, test, unused};
use crate::base::{Diagnostic, SourceMap, Span, Spanned, Timestamp};
use crate::world::World;

/// What may stand at the top level.
const KINDS: [&str; 11] =
    ["archive", "packages", "config", "kernel", "build", "qemu", "image", "memory", "network", "machine", "test"];

/// Every mistake in a recipe, and the texts to show them in.
#[derive(Debug)]
pub struct Mistakes {
    /// The texts that spans point into.
    pub sources: SourceMap,
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
    /// Machines that can be looked at all the same.
    pub machines: Vec<PartlyRead>,
}

impl Mistakes {
    /// Adds what is wrong with machines, in the order of files and lines.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        let more: Vec<Diagnostic> = more.into_iter().take(LIMIT.saturating_sub(self.diagnostics.len())).collect();
        self.diagnostics.extend(more);
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    }
}

/// What whoever runs kiln says besides the recipe.
#[derive(Debug, Clone, Default)]
pub struct Given<'a> {
    /// Values of parameters.
    pub set: &'a [(String, String)],
    /// Directories, without links in their paths, that kernels are compiled from, by the kernel's name.
    pub sources: BTreeMap<String, PathBuf>,
}

/// Reads the recipe at `path` with `name=value` pairs for its parameters.
pub fn check(world: &dyn World, path: &Path, set: &[(String, String)]) -> Result<Recipe, Mistakes> {
    check_given(world, path, Given { set, sources: BTreeMap::new() })
}

/// Reads the recipe at `path` with what is given besides.
pub fn check_given(world: &dyn World, path: &Path, given: Given<'_>) -> Result<Recipe, Mistakes> {
    let Given { set, sources } = given;
    let (mut files, main) = Files::open(world, path).map_err(|error| unreadable(path, &error.to_string()))?;
    let mut scope = Scope { local_sources: sources, ..Scope::default() };
    let mut imports = Imports::default();
    let start = match imports.load(&mut files, &main, &scope.report) {
        Ok(file) => Span { file, start: 0, end: 0 },
        Err(Refused(message, _)) => return Err(unreadable(path, &message)),
    };
    if imports.partial {
        scope.report.set_partial();
    }
    let mut evaluator = Evaluator::new(&scope.report, &mut files, set, &main);
    let nodes = evaluator.run(&imports.files);
    let (params, extended) = (evaluator.params, evaluator.extended);
    scope.files = files.read;
    let root = root_block(nodes, start);
    let (epoch, tests) = parts(&root, &mut scope);
    let goals = alone::goals(&scope, start.file, &extended);
    let unused = unused::find(&scope, &goals, &Own { main: start.file, extended: &extended });
    let name = name(&main, start, &scope.report);
    if !scope.report.is_empty() {
        let found = scope.report.found();
        let machines = if imports.partial { Vec::new() } else { partly::machines(&root, &scope, &found) };
        let diagnostics = found.into_iter().map(|mistake| imports.explain(mistake)).collect();
        return Err(Mistakes { sources: files.sources, diagnostics, machines });
    }
    Ok(Recipe {
        name,
        root: files.root,
        sources: files.sources,
        files: scope.files,
        params,
        epoch,
        archives: scope.archives,
        package_sets: scope.sets,
        kernels: scope.kernels,
        builds: scope.builds,
        qemus: scope.qemus,
        images: scope.images,
        goals,
        machines: scope.machines,
        tests,
        unused,
    })
}

fn unreadable(path: &Path, message: &str) -> Mistakes {
    let mut sources = SourceMap::default();
    let file = sources.add(path.to_owned(), String::new());
    let mistake = Diagnostic::new(Span { file, start: 0, end: 0 }, message).label("not a recipe");
    Mistakes { sources, diagnostics: vec![mistake], machines: Vec::new() }
}

/// All top-level entries as the children of one block, so that they are read as any other.
fn root_block(children: Vec<EvaluatedNode>, span: Span) -> EvaluatedNode {
    let keyword = Spanned::new("recipe".to_owned(), span);
    EvaluatedNode { keyword, arguments: Vec::new(), value: None, children, block: true, span }
}

/// Checks part after part, each with everything it may name at hand.
fn parts(root: &EvaluatedNode, scope: &mut Scope) -> (Option<Timestamp>, Vec<test::Test>) {
    let blocks =
        |kind| root.children.iter().filter(|node| node.block && node.keyword.value == kind).collect::<Vec<_>>();
    scope.archives = checked("archive", &blocks("archive"), scope, archive::check);
    scope.sets = checked("packages", &blocks("packages"), scope, packages::check);
    scope.configs = checked("config", &blocks("config"), scope, kernel::config);
    // Kernels and builds name each other.
    declare("build", &blocks("build"), scope);
    scope.kernels = checked("kernel", &blocks("kernel"), scope, kernel::check);
    scope.builds = by_name(&blocks("build"), scope, build::check);
    build::settle(&scope.builds, &scope.kernels, &scope.report);
    scope.qemus = checked("qemu", &blocks("qemu"), scope, qemu::check);
    scope.images = checked("image", &blocks("image"), scope, image::check);
    scope.memories = checked("memory", &blocks("memory"), scope, machine::check::shared);
    scope.networks = checked("network", &blocks("network"), scope, machine::check::network);
    scope.machines = checked("machine", &blocks("machine"), scope, machine::check);
    packages::distinct(scope);
    let tests = blocks("test").into_iter().filter_map(|node| test::check(node, scope)).collect();
    let mut reader = Reader::new(root, &scope.report);
    KINDS.into_iter().for_each(|kind| drop(reader.blocks(kind)));
    let epoch = reader.optional::<Timestamp>("epoch").map(|epoch| epoch.value);
    reader.finish();
    (epoch, tests)
}

/// Every block of a kind by name. All are checked; of two with one name the first counts.
fn checked<T>(
    kind: &'static str,
    nodes: &[&EvaluatedNode],
    scope: &mut Scope,
    check: fn(&EvaluatedNode, &Scope) -> Option<T>,
) -> BTreeMap<String, T> {
    declare(kind, nodes, scope);
    by_name(nodes, scope, check)
}

fn by_name<T>(
    nodes: &[&EvaluatedNode],
    scope: &Scope,
    check: fn(&EvaluatedNode, &Scope) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut parts = BTreeMap::new();
    for node in nodes {
        if let (Some(part), Some(name)) = (check(node, scope), node.declared()) {
            parts.entry(name).or_insert(part);
        }
    }
    parts
}

/// Notes every name of a kind, and reports the second of two.
fn declare(kind: &'static str, nodes: &[&EvaluatedNode], scope: &mut Scope) {
    let mut first: BTreeMap<String, &EvaluatedNode> = BTreeMap::new();
    for node in nodes {
        let Some(name) = node.declared() else { continue };
        match first.get(&name) {
            Some(first) => scope.report.push(duplicate(node, first, &format!("{kind} `{name}`"))),
            None => drop(first.insert(name, node)),
        }
    }
    scope.declared.insert(kind, first.into_iter().map(|(name, node)| (name, node.head())).collect());
}

/// The stem names the lock and the directory of the result: plain characters only.
fn name(key: &str, start: Span, report: &Diagnostics) -> String {
    let stem = Path::new(key).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !stem.starts_with(|c: char| c.is_ascii_alphanumeric()) || !stem.chars().all(plain) {
        let wrong = Diagnostic::new(start, format!("`{stem}` cannot be the name of a recipe"));
        let hint = "a recipe is named after its file: letters, digits, `.`, `_` and `-`";
        report.push(wrong.label("rename this file").hint(hint));
    }
    stem
}

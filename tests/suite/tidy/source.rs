//! Source files as the rules of the tree see them: the modules they are, the paths they use, without tests and comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{files, shown};

/// The path of a module from the crate's root.
pub(super) type Module = Vec<String>;

/// A file of `src`.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) module: Module,
    /// Lines of tests, comments and what only tests compile are empty; numbers of lines are those of the file.
    pub(super) code: String,
}

/// Every file of `src` that is not only compiled for tests.
pub(super) fn sources() -> Vec<Source> {
    let mut tests = BTreeSet::new();
    let mut all = Vec::new();
    for path in files("src", "rs") {
        let name = shown(&path);
        let text = fs::read_to_string(&path).unwrap();
        let module = module_of(&name);
        tests.extend(test_modules(&text).into_iter().map(|child| [module.as_slice(), &[child]].concat()));
        all.push(Source { code: code(&text), name, module });
    }
    all.retain(|source| !(1..=source.module.len()).any(|length| tests.contains(&source.module[..length])));
    all
}

fn module_of(name: &str) -> Module {
    let path = name.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let mut module: Module = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

/// Names of the modules in files of their own that only tests compile.
fn test_modules(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let marked = lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]");
    let declared = marked.filter_map(|(at, _)| {
        let item = lines[at..].iter().find(|line| !line.starts_with("#["))?;
        // A file may be called otherwise than its module.
        let named =
            lines[at..].iter().take(3).find_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix(".rs\"]"));
        let module = item.rsplit_once("mod ")?.1.strip_suffix(';')?;
        Some(named.unwrap_or(module).to_owned())
    });
    declared.collect()
}

/// What is compiled outside tests: every item behind `#[cfg(test)]` is left out, wherever it stands, and so are comments.
/// An item ends, as rustfmt writes it, with a line that is indented like its first.
pub(in crate::suite) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut end: Option<String> = None;
    let mut skipped = false;
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let trimmed = line.trim();
        if let Some(closing) = &end {
            if line.starts_with(closing.as_str()) {
                end = None;
            }
        } else if trimmed == "#[cfg(test)]" {
            skipped = true;
        } else if skipped {
            if !trimmed.starts_with("#[") && !trimmed.starts_with("//") {
                skipped = false;
                let whole = trimmed.ends_with(';') || trimmed.ends_with(',') || trimmed.ends_with('}');
                end = (!whole).then(|| format!("{indent}}}"));
            }
        } else if !trimmed.starts_with("//") {
            code.push_str(line);
        }
        code.push('\n');
    }
    code
}

/// A path that a file names: where, and its words from `crate`, `self`, `super` or a name on.
pub(super) struct Used {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
}

/// Every path of the file that begins at the crate's root, at the module itself or above it, and all that `use` brings in.
pub(super) fn used(code: &str) -> Vec<Used> {
    let mut found: Vec<Used> =
        imports(code).into_iter().map(|import| Used { line: import.line, path: import.path }).collect();
    for (number, line) in outside_imports(code).lines().enumerate() {
        for root in ["crate::", "self::", "super::"] {
            for (at, _) in line.match_indices(root) {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                    continue;
                }
                let words = line[at..].split("::").map(|word| word.split(|c: char| !is_word(c)).next().unwrap());
                let mut path = Vec::new();
                for (word, rest) in words.zip(line[at..].split("::")) {
                    path.push(word.to_owned());
                    if word.len() != rest.len() {
                        break;
                    }
                }
                found.push(Used { line: number + 1, path });
            }
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// One name that a `use` brings in; `*` for all.
pub(super) struct Import {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
    pub(super) name: String,
}

/// The statements from `use` to their semicolons: number of the first line, text between.
fn statements(code: &str) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in code.lines().enumerate() {
        let trimmed = line.trim();
        if open.is_none() {
            let start = match trimmed.strip_prefix("pub") {
                Some(rest) => rest.trim_start_matches(|c: char| c != ' ').trim_start(),
                None => trimmed,
            };
            // `pub(in super::super) use` has blanks in its parentheses.
            let start = start.rsplit_once(") ").map_or(start, |(_, rest)| rest);
            let Some(tree) = start.strip_prefix("use ") else { continue };
            open = Some((number, tree.to_owned()));
        } else if let Some((_, tree)) = &mut open {
            tree.push_str(trimmed);
        }
        if let Some((first, tree)) = open.take_if(|(_, tree)| tree.ends_with(';')) {
            found.push((first, number, tree.trim_end_matches(';').to_owned()));
        }
    }
    found
}

/// The code without its `use` statements.
pub(super) fn outside_imports(code: &str) -> String {
    let statements = statements(code);
    let within = |number: usize| statements.iter().any(|(first, last, _)| (*first..=*last).contains(&number));
    code.lines()
        .enumerate()
        .map(|(number, line)| if within(number) { "\n".to_owned() } else { format!("{line}\n") })
        .collect()
}

pub(super) fn imports(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for (line, _, tree) in statements(code) {
        for (path, name) in leaves(&tree) {
            found.push(Import { line: line + 1, path, name });
        }
    }
    found
}

/// The leaves of a `use` tree: whole paths, and the names they get.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let words = |path: &str| path.split("::").map(|word| word.trim().to_owned()).collect::<Vec<String>>();
    let Some(open) = tree.find('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let mut path = words(path);
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let name = alias.map_or_else(|| path.last().unwrap().clone(), |alias| alias.trim().to_owned());
        return vec![(path, name)];
    };
    let prefix = words(tree[..open].trim_end_matches("::"));
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let mut found = Vec::new();
    for part in parts(inner) {
        for (path, name) in leaves(part) {
            let own = path == ["self"];
            let path = if own { prefix.clone() } else { [prefix.clone(), path].concat() };
            let name = if own && name == "self" { prefix.last().unwrap().clone() } else { name };
            found.push((path, name));
        }
    }
    found
}

/// Splits at the commas outside of braces.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found.retain(|part| !part.trim().is_empty());
    found
}

/// All modules that are files, and the names that each brings in.
pub(super) struct Crate {
    modules: BTreeSet<Module>,
    names: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

impl Crate {
    pub(super) fn new(sources: &[Source]) -> Crate {
        let modules = sources.iter().map(|source| source.module.clone()).collect();
        let named = |source: &Source| {
            let imports = imports(&source.code).into_iter().map(|import| (import.name, import.path));
            (source.module.clone(), imports.collect())
        };
        Crate { modules, names: sources.iter().map(named).collect() }
    }

    /// The module that what a path of a module names is written in; nothing for what is not of this crate.
    pub(super) fn home(&self, from: &Module, path: &[String]) -> Option<Module> {
        self.search(from, path, 8)
    }

    fn search(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => (from.clone(), path),
            name if self.modules.contains(&[from.as_slice(), &[name.to_owned()]].concat()) => (from.clone(), path),
            _ => return None,
        };
        while rest.first().is_some_and(|word| word == "super") {
            at.pop()?;
            rest = &rest[1..];
        }
        while let Some(word) = rest.first() {
            let child = [at.as_slice(), std::slice::from_ref(word)].concat();
            if self.modules.contains(&child) {
                (at, rest) = (child, &rest[1..]);
                continue;
            }
            // What a module has from elsewhere is at home there.
            let from_elsewhere = self.names.get(&at).and_then(|names| names.get(word)).filter(|_| depth > 0);
            return match from_elsewhere {
                Some(path) if path.first() != Some(word) => self.search(&at, path, depth - 1),
                _ => Some(at),
            };
        }
        Some(at)
    }
}

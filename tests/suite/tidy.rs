//! The rules of the source tree, as tests: layers, lengths, headers, locks, words that must not be there.

use std::fs;
use std::path::{Path, PathBuf};

use source::{code, sources, used};

mod benches;
mod circles;
mod crates;
mod dead;
pub(super) mod source;

/// Left may not use right; see `src/lib.rs`.
const LAYERS: [&str; 19] = [
    "base", "world", "oci", "syntax", "recipe", "kconfig", "debian", "lock", "plan", "store", "inspect", "exec",
    "machine", "guest", "deliver", "ops", "cli", "command", "main",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(below)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Macros are named from the crate's root wherever they are written.
const MACROS: [(&str, &str); 1] = [("tell", "base")];

/// The layer that a path of a module names; nothing for one that stays below the layer that it starts in.
fn layer(module: &[String], path: &[String]) -> Option<String> {
    let above = path.iter().take_while(|word| *word == "super").count();
    let from_root = match path.first()?.as_str() {
        "crate" => 1,
        "super" if above == module.len() => above,
        _ => return None,
    };
    let named = path.get(from_root).map_or("", String::as_str);
    Some(MACROS.iter().find(|(name, _)| *name == named).map_or(named, |(_, layer)| layer).to_owned())
}

fn may_use(own: &str, used: &str) -> bool {
    let rank = |layer: &str| LAYERS.iter().position(|known| *known == layer);
    match (rank(own), rank(used)) {
        _ if own == "format" => matches!(used, "base" | "format"),
        (Some(own), _) if used == "format" => Some(own) >= rank("recipe"),
        (Some(own), Some(used)) => used <= own,
        // Whoever stands nowhere uses nothing, and nobody uses it.
        _ => false,
    }
}

#[test]
fn a_layer_uses_only_what_stands_to_its_left() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = source.module.first() else { continue };
        for used in used(&source.code) {
            if let Some(layer) = layer(&source.module, &used.path).filter(|layer| !may_use(own, layer)) {
                wrong.push(format!("{}:{}: {own} uses {layer}", source.name, used.line));
            }
        }
    }
    assert!(wrong.is_empty(), "layers used against their order:\n{}", wrong.join("\n"));
}

#[test]
fn a_layer_is_seen_however_it_is_reached() {
    let module: Vec<String> = ["exec", "tree"].map(str::to_owned).into();
    let layers = |code: &str| -> Vec<String> {
        used(&source::code(code)).iter().filter_map(|used| layer(&module, &used.path)).collect()
    };
    let code = "use crate::{\n    base::Digest,\n    plan::{Step, id},\n};\nuse super::super::guest::Clock;\nuse super::near;\n\
                #[cfg(test)]\nmod tests {\n    use crate::command;\n}\nfn f() { crate::tell!(super::super::cli::X) }\n";
    assert_eq!(layers(code), ["base", "plan", "plan", "guest", "base", "cli"]);
    assert!(
        may_use("exec", "plan") && !may_use("exec", "guest") && !may_use("syntax", "format") && !may_use("exec", "new")
    );
}

/// Without the unit tests at its end.
fn lines_of_code(text: &str) -> usize {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap().lines().count()
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = files("src", "rs")
        .into_iter()
        .map(|path| (lines_of_code(&fs::read_to_string(&path).unwrap()), path))
        .filter(|(lines, _)| *lines > 400)
        .map(|(lines, path)| format!("{lines} {}", shown(&path)))
        .collect();
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_why_it_exists() {
    for path in files("src", "rs") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} has no header", shown(&path));
    }
    for layer in LAYERS {
        let path = root().join("src").join(layer).join("mod.rs");
        if let Ok(text) = fs::read_to_string(&path) {
            let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            for word in ["Input", "Output", "must not"] {
                assert!(header.contains(word), "the header of {} lacks its {word}", shown(&path));
            }
        }
    }
}

/// Recipes without a committed lock, each with its reason.
const WITHOUT_LOCK: [(&str, &str); 1] = [(
    "knative",
    "its lock would hold digests of releases that only a machine with internet can see; none is written by hand",
)];

#[test]
fn every_recipe_has_a_lock_and_every_lock_a_recipe() {
    let stems = |directory: &str, extension: &str| -> Vec<String> {
        let mut stems: Vec<String> = fs::read_dir(root().join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        stems.sort();
        stems
    };
    let mut locks = stems("lockfiles", "lock");
    for (recipe, reason) in WITHOUT_LOCK {
        assert!(!locks.contains(&recipe.to_owned()), "{recipe} has a lock, but is excused: {reason}");
        locks.push(recipe.to_owned());
    }
    locks.sort();
    assert_eq!(stems("recipes", "kiln"), locks);
}

#[test]
fn every_lock_is_the_lock_of_its_recipe_and_in_canonical_form() {
    let world = kiln::world::RealWorld::default();
    for path in files("lockfiles", "lock") {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let recipe = root().join("recipes").join(format!("{stem}.kiln"));
        let recipe =
            kiln::recipe::check(&world, &recipe, &[]).unwrap_or_else(|_| panic!("{stem}: mistakes")).reachable();
        let text = fs::read_to_string(&path).unwrap();
        let lock = kiln::lock::read(&text).unwrap_or_else(|error| panic!("{stem}: {error}"));
        kiln::lock::satisfies(&recipe, &lock).unwrap_or_else(|wrong| panic!("{stem}: {wrong:?}; run kiln lock"));
        assert_eq!(kiln::lock::write(&lock), text, "{stem}: not in canonical form; run kiln lock");
        let plan = kiln::plan::lower(&recipe, &lock);
        assert_eq!(
            lock.steps,
            kiln::plan::id::by_name(&plan),
            "{stem}: this kiln would take other steps; run kiln lock"
        );
    }
}

#[test]
fn every_recipe_is_in_canonical_form() {
    for path in files("recipes", "kiln") {
        let text = fs::read_to_string(&path).unwrap();
        let file = kiln::base::SourceMap::default().add(path.clone(), text.clone());
        let (tree, mistakes) = kiln::syntax::parse(file, &text);
        assert!(mistakes.is_empty(), "{}", shown(&path));
        assert_eq!(kiln::syntax::print::print(&tree, &text), text, "{}: run kiln fmt", shown(&path));
    }
}

#[test]
fn nothing_is_left_for_later() {
    let words =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["#[ig", "nore"].concat(), ["un", "implemented!"].concat()];
    for path in [files("src", "rs"), files("tests", "rs"), files("benches", "rs")].concat() {
        let text = fs::read_to_string(&path).unwrap();
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} contains {word}", shown(&path));
        }
    }
}

#[test]
fn unsafe_code_stays_in_the_sandbox() {
    for path in files("src", "rs") {
        let name = shown(&path);
        let text = fs::read_to_string(&path).unwrap();
        let allows = text.contains("allow(unsafe_code") || text.contains("expect(unsafe_code");
        assert!(!allows || name.starts_with("src/exec/sandbox/"), "{name} allows unsafe code");
    }
}

#[test]
fn the_snapshot_service_stands_in_one_constant() {
    let host = ["snapshot", "debian", "org"].join(".");
    let mentions: Vec<String> = files("src", "rs")
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains(&host))
        .map(|path| shown(&path))
        .collect();
    assert!(mentions.len() <= 1, "one constant, please: {mentions:?}");
}

/// Who may hold standard output or standard error, each with its reason. Asking whether one is a terminal is no use of it.
const WRITERS: [(&str, &str); 5] = [
    ("src/base/tell.rs", "the door to standard error"),
    ("src/command/output.rs", "the door to standard output"),
    ("src/guest/terminal/relay.rs", "the console of a machine that runs, which is its guest's"),
    ("src/guest/terminal/shell.rs", "a shell in such a guest"),
    ("src/exec/sandbox/inside.rs", "lines of a process inside a sandbox to the kiln that started it"),
];

#[test]
fn nothing_reaches_the_terminal_but_through_the_door() {
    let bar = "println(";
    let words = ["eprintln!", "eprint!", "println!", "print!", "dbg!", "stderr()", "stdout()", "clap::Error"];
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let name = shown(&path);
        let code = code(&fs::read_to_string(&path).unwrap());
        for (number, line) in code.lines().enumerate() {
            let uses = words.iter().any(|word| line.contains(word)) && !line.contains("is_terminal(");
            // Bars draw on the terminal by themselves; what they say goes through the door's rules, or is handed to them by the door.
            let raw =
                line.contains(bar) && !["println(tell::shown(", "tell::above("].iter().any(|door| line.contains(door));
            if (uses || raw) && !WRITERS.iter().any(|(file, _)| *file == name) {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "use crate::tell!, or command::output:\n{}", wrong.join("\n"));
}

/// What an operation must not know: whoever calls it need not have a command line or a terminal.
const NOT_IN_OPS: [&str; 6] = ["clap", "cli::", "tell!", "base::tell", "is_terminal", "RealWorld"];

#[test]
fn operations_know_no_command_line_and_no_terminal() {
    let mut wrong = Vec::new();
    for path in files("src/ops", "rs") {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let found = NOT_IN_OPS.iter().filter(|word| line.contains(*word));
            wrong.extend(found.map(|word| format!("{}:{}: {word}", shown(&path), number + 1)));
        }
    }
    assert!(wrong.is_empty(), "send an event, or take an option:\n{}", wrong.join("\n"));
}

/// Lines of code of a file in `command/`: parse, one operation, print.
const COMMAND_LINES: usize = 100;

/// Those that are no verb and may be longer, each with its reason.
const LONG_COMMANDS: [(&str, &str); 1] = [("src/command/progress.rs", "bars and lines of every event of a build")];

#[test]
fn a_command_is_short() {
    let lines = |text: &str| code(text).lines().filter(|line| !line.trim().is_empty()).count();
    let mut long = Vec::new();
    for path in files("src/command", "rs") {
        let (name, lines) = (shown(&path), lines(&fs::read_to_string(&path).unwrap()));
        let excused = LONG_COMMANDS.iter().any(|(file, _)| *file == name);
        if (lines > COMMAND_LINES) != excused {
            long.push(format!("{lines} {name}"));
        }
    }
    assert!(long.is_empty(), "what is not words belongs into src/ops (or the excuse is stale):\n{}", long.join("\n"));
}

/// Where files of packages, scripts and recipes are handled.
const TREES: [&str; 4] = ["src/exec/tree/", "src/exec/debian/", "src/exec/debian.rs", "src/exec/builtin/tools"];

/// The one file there that knows a tree by a path of the host.
const OUTSIDE: &str = "src/exec/tree/host.rs";

/// Calls that find a file by a path, following links in it wherever they lead.
const BY_PATH: [&str; 34] = [
    ".exists(",
    ".try_exists(",
    ".is_dir(",
    ".is_file(",
    ".is_symlink(",
    ".metadata(",
    ".symlink_metadata(",
    ".read_dir(",
    ".read_link(",
    ".canonicalize(",
    "fs::metadata(",
    "fs::symlink_metadata(",
    "fs::read_dir(",
    "fs::read_link(",
    "fs::remove_file(",
    "fs::remove_dir(",
    "fs::remove_dir_all(",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::hard_link(",
    "fs::set_permissions(",
    "fs::canonicalize(",
    "fs::rename(",
    "fs::write(",
    "fs::protect(",
    "fs::names(",
    "fs::remove_tree(",
    "File::options(",
    "OpenOptions",
    "lchown(",
    " chown(",
    " symlink(",
    "fs::symlink(",
    "allow(clippy::disallowed_methods",
];

/// What may be done all the same, with the reason.
const BY_PATH_ALLOWED: [(&str, &str, &str); 4] = [
    ("src/exec/debian/base.rs", "below.metadata()", "so is the archive of a layer"),
    ("src/exec/debian/deb.rs", "self.file.metadata()", "packages are inputs of the step"),
    ("src/exec/debian/finish.rs", "fs::context(\"read\", file, file.metadata())", "so are the files of a recipe"),
    ("src/exec/tree/numbers.rs", " chown(", "the name of a function there"),
];

/// What a line of such a file does by a path.
fn by_path(name: &str, line: &str) -> Vec<&'static str> {
    let found = BY_PATH.into_iter().filter(|call| line.contains(call));
    let allowed = |call: &&str| {
        let fits = |(file, text, _): &(&str, &str, &str)| *file == name && line.contains(text) && text.contains(*call);
        BY_PATH_ALLOWED.iter().any(fits)
    };
    found.filter(|call| !allowed(call)).collect()
}

#[test]
fn files_of_a_tree_are_reached_through_the_tree() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files("src", "rs") {
        let name = shown(&path);
        let tests = name.starts_with("src/exec/debian/canary") || name == "src/exec/tree/tests.rs";
        if !TREES.iter().any(|room| name.starts_with(room)) || name == OUTSIDE || tests {
            continue;
        }
        seen += 1;
        let code = code(&fs::read_to_string(&path).unwrap());
        for (number, line) in code.lines().enumerate() {
            wrong.extend(by_path(&name, line).iter().map(|call| format!("{name}:{}: {call}", number + 1)));
        }
    }
    assert!(seen > 30, "the rooms have moved");
    assert!(wrong.is_empty(), "these follow links out of the tree; use `exec::tree::Tree`:\n{}", wrong.join("\n"));
}

#[test]
fn what_every_distribution_has_in_common_knows_none() {
    let mut wrong = Vec::new();
    for path in files("src/exec/tree", "rs") {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if line.contains("debian::") || line.contains("use crate::debian") {
                wrong.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "`exec::debian` may use `exec::tree`, never the other way:\n{}", wrong.join("\n"));
}

#[test]
fn the_ban_on_paths_sees_what_it_is_for() {
    for line in [
        "if root.join(\"etc/x\").exists() {",
        "let host = job.root.join(\"usr\").is_dir();",
        "std::fs::remove_dir_all(root.join(\"var/cache/man\"))?;",
        "#![allow(clippy::disallowed_methods, reason = \"\")]",
        "std::os::unix::fs::symlink(target, root.join(\"etc/localtime\"))?;",
        "for entry in std::fs::read_dir(root.join(\"etc/ssh\"))? {",
    ] {
        assert!(!by_path("src/exec/debian/rules/new.rs", line).is_empty(), "{line}");
    }
    assert!(by_path("src/exec/debian/rules/new.rs", "if tree.has(\"etc/x\")? {").is_empty());
}

//! No two modules beside each other need each other, directly or by a third: each can be read, and changed, by itself.
//! A module and the modules below it may.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Crate, Module, Source, sources, used};

/// Circles that stand, by the module they are in, each with its reason.
const EXCUSED: &[(&str, &[&str], &str)] = &[(
    "recipe",
    &["architecture", "archive", "build", "image", "kernel", "machine", "packages", "qemu", "scope"],
    "a scope holds one of everything",
)];

/// What leads from one module to another: the first place.
type Edges = BTreeMap<(String, String), String>;

/// Modules beside each other, by the one above them.
fn siblings(sources: &[Source]) -> BTreeMap<Module, Edges> {
    let tree = Crate::new(sources);
    let mut found: BTreeMap<Module, Edges> = BTreeMap::new();
    for source in sources {
        for used in used(&source.code) {
            let Some(home) = tree.home(&source.module, &used.path) else { continue };
            let common = source.module.iter().zip(&home).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (source.module.get(common), home.get(common)) else { continue };
            let place = format!("{}:{}: {}", source.name, used.line, used.path.join("::"));
            let above = source.module[..common].to_vec();
            found.entry(above).or_default().entry((from.clone(), to.clone())).or_insert(place);
        }
    }
    found
}

/// Sets of modules each of which leads to all others of its set.
fn circles(edges: &Edges) -> BTreeSet<BTreeSet<String>> {
    let reach = |start: &String| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.clone()];
        while let Some(at) = open.pop() {
            for (_, to) in edges.keys().filter(|(from, _)| *from == at) {
                if seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|(from, _)| (from, reach(from))).collect();
    let leads = |from: &String, to: &String| reached.get(from).is_some_and(|all| all.contains(to));
    let circle = |name: &&String| -> BTreeSet<String> {
        reached[*name].iter().filter(|other| leads(other, name)).cloned().collect()
    };
    reached.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn no_modules_beside_each_other_need_each_other() {
    let mut wrong = Vec::new();
    for (above, edges) in siblings(&sources()) {
        for circle in circles(&edges) {
            let names: Vec<&str> = circle.iter().map(String::as_str).collect();
            let above = above.join("/");
            let within = |members: &[&str]| names.iter().all(|name| members.contains(name));
            if EXCUSED.iter().any(|(module, members, _)| *module == above && within(members)) {
                continue;
            }
            wrong.push(format!("src/{above}: {}", names.join(", ")));
            let within = edges.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
            wrong.extend(within.map(|((from, to), place)| format!("    {from} -> {to}: {place}")));
        }
    }
    assert!(wrong.is_empty(), "circles:\n{}", wrong.join("\n"));
}

#[test]
fn a_circle_of_three_is_seen() {
    let source = |name: &str, code: &str| {
        let module = name.split('/').filter(|part| *part != "mod").map(str::to_owned).collect();
        Source { name: format!("src/{name}.rs"), module, code: code.to_owned() }
    };
    let sources = [
        source("x/mod", "pub use b::Thing;\nmod a;\nmod b;\nmod c;\nuse a::run;\n"),
        source("x/a", "use super::Thing;\n"),
        source("x/b/mod", "fn f() { crate::x::c::g() }\n"),
        source("x/b/deep", "use super::super::c::{self, g as h};\n"),
        source("x/c", "use super::{\n    other,\n    a::{run},\n};\n"),
    ];
    let found = siblings(&sources);
    let [(above, edges)] = found.iter().collect::<Vec<_>>()[..] else { panic!("{found:?}") };
    assert_eq!(above.join("/"), "x");
    let circle: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    assert_eq!(circles(edges), BTreeSet::from([circle]));
}

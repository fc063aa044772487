//! Machines of a recipe with mistakes: the rules tell what is wrong with the rest, and nothing that only follows from a mistake.

use std::path::{Path, PathBuf};

use kiln::base::render::render;
use kiln::base::{Diagnostic, SourceMap, Span};
use kiln::machine::rules;
use kiln::recipe::{self, Mistakes};
use kiln::syntax::parse;
use kiln::syntax::tree::Entry;
use kiln::world::memory::MemoryWorld;

use super::machine_support::{every, fixtures};

/// What fixtures of machines take for granted.
const BESIDE: &str = r#"
archive trixie { keys = [file "keys/debian.asc"] }
packages tools { include = ["busybox-static", "e2fsprogs", "kmod"] }
image i { size = 512MiB tools = tools packages = ["udev"] user "root" { password-hash = "" } }
kernel k { package = package "linux-image-amd64" }
"#;

/// What is wrong with a recipe; nothing if it can be read.
fn mistakes(text: &str) -> Option<Mistakes> {
    let mut world = MemoryWorld::default();
    let mut add = |name: &str, bytes: Vec<u8>| world.files.insert(Path::new("/r").join(name), bytes);
    add("recipes/main.kiln", format!("{text}{BESIDE}").into_bytes());
    add("recipes/keys/debian.asc", b"key".to_vec());
    for table in std::fs::read_dir(fixtures("cdat")).unwrap().map(|entry| entry.unwrap()) {
        let bytes = kiln::world::fs::read(&table.path(), 1 << 20).unwrap();
        add(&format!("recipes/{}", table.file_name().to_str().unwrap()), bytes);
    }
    recipe::check(&world, Path::new("/r/recipes/main.kiln"), &[]).err()
}

/// What the rules say of what could be read.
fn judged(mistakes: &Mistakes) -> Vec<Diagnostic> {
    mistakes.machines.iter().flat_map(rules::check_partly).collect()
}

fn messages(list: &[Diagnostic]) -> Vec<&str> {
    list.iter().map(|one| one.message.as_str()).collect()
}

fn machine(body: &str) -> String {
    format!("machine m {{ kernel = k image = i qemu = package \"qemu-system-x86\"\n{body}\n}}\n")
}

#[test]
fn a_mistake_hides_no_other_one() {
    let nodes = "cpus = 8 memory = 2GiB node a { cpus = \"0-3\" memory = 1GiB } node b { cpus = \"2-5\" memory = 1GiB }\n\
                 node c { cpus = \"4-20\" } distance a b = 10 distance a a = 21";
    for (wrong, said) in [
        ("distance b a = 300", "a distance is a number from 10 (local) to 254"),
        ("distance a d = 30", "there is no node called `d`"),
        ("gdb = 1234", "unknown field `gdb` in machine `m`"),
    ] {
        let found = mistakes(&machine(&format!("{nodes}\n{wrong}"))).unwrap();
        assert_eq!(messages(&found.diagnostics), [said]);
        let expected = [
            "CPUs 2 and 3 are in two nodes",
            "CPUs 4 and 5 are in two nodes",
            "CPUs 8 to 20 do not exist",
            "the distance to another node is above 10",
            "the distance of a node to itself is always 10",
        ];
        assert_eq!(messages(&judged(&found)), expected, "{wrong}");
    }
}

#[test]
fn a_machine_is_told_of_although_another_one_has_mistakes() {
    let text = machine("memory = 1000KiB") + &machine("bounce = 3").replace("machine m", "machine n");
    let found = mistakes(&text).unwrap();
    assert_eq!(messages(&judged(&found)), ["1000KiB is not enough memory to boot"]);
}

/// Every place of a value in machines, and every statement or block in one.
fn places(text: &str) -> (Vec<Span>, Vec<Span>) {
    let file = SourceMap::default().add(PathBuf::from("main.kiln"), text.to_owned());
    let (tree, _) = parse(file, text);
    let (mut values, mut entries) = (Vec::new(), Vec::new());
    let mut open: Vec<&Entry> = tree.entries.iter().flat_map(|entry| entry.body.iter().flatten()).collect();
    while let Some(entry) = open.pop() {
        values.extend(entry.assign.iter().map(|(_, value)| value.span));
        entries.push(entry.span);
        open.extend(entry.body.iter().flatten());
    }
    (values, entries)
}

#[test]
fn nothing_is_told_that_only_follows_from_a_mistake() {
    let mut broken = 0;
    for (stem, text) in every("good").into_iter().filter(|(_, text)| !text.contains("arm64")) {
        let changed = |span: Span, new: &str| {
            let mut changed = text.clone();
            changed.replace_range(span.start as usize..span.end as usize, new);
            changed
        };
        let of = |span: Span| &text[span.start as usize..span.end as usize];
        let (values, entries) = places(&text);
        // Of no type that a field has; of a name that nothing declares; in a loop over one; not readable at all.
        let texts = values.iter().flat_map(|span| [changed(*span, "90s"), changed(*span, "\"${nothing}\"")]);
        let looped = entries.iter().map(|span| changed(*span, &format!("for x in nothing {{ {} }}", of(*span))));
        let unread = entries.iter().map(|span| changed(*span, "= ="));
        for text in texts.chain(looped).chain(unread) {
            let Some(mistakes) = mistakes(&text) else { continue };
            broken += 1;
            let said = judged(&mistakes);
            let shown =
                render(&mistakes.sources, &said, false) + &render(&mistakes.sources, &mistakes.diagnostics, false);
            assert!(said.is_empty(), "{stem}:\n{text}\n{shown}");
        }
    }
    assert!(broken > 1000, "{broken}");
}

//! Layers on top of each other, written and read back through files.

use std::io::Read;

use super::*;
use crate::exec::event::IgnoreSteps;

type Layer = Vec<(TarEntry, &'static [u8])>;

fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

fn file(at: &str, content: &'static [u8]) -> (TarEntry, &'static [u8]) {
    (TarEntry::file(path(at), 0o644, 9, content.len() as u64), content)
}

fn hard(at: &str, target: &str) -> (TarEntry, &'static [u8]) {
    (TarEntry { kind: TarEntryKind::Hardlink(path(target)), ..TarEntry::file(path(at), 0o644, 9, 0) }, b"")
}

fn directory(at: &str, mode: u32) -> (TarEntry, &'static [u8]) {
    (TarEntry::directory(path(at), mode, 9), b"")
}

fn link(at: &str, target: &str) -> (TarEntry, &'static [u8]) {
    (TarEntry::symlink(path(at), target, 9), b"")
}

/// Runs the step; gives `path kind content` of every entry.
fn merged(name: &str, layers: &[Layer]) -> Result<Vec<String>, BuiltinError> {
    let scratch = std::env::temp_dir().join(format!("kiln-merge-{name}-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let mut inputs = BTreeMap::new();
    for (number, layer) in layers.iter().enumerate() {
        let at = scratch.join(format!("{number}.tar"));
        let mut tar = TarWriter::new(fs::create(&at).unwrap());
        for (entry, content) in layer {
            tar.append(entry, *content).unwrap();
        }
        tar.finish().unwrap();
        inputs.insert(format!("{number}.tar"), at);
    }
    let context = BuiltinContext {
        step: "merge",
        inputs: &inputs,
        out: &scratch,
        scratch: &scratch,
        variation: None,
        without_stand_ins: false,
        earlier: None,
        limits: crate::exec::sandbox::Limits::default(),
        listener: &IgnoreSteps,
    };
    let result = run(&context).map(|()| listing(&scratch.join("merged.tar")));
    fs::remove_tree(&scratch).unwrap();
    result
}

fn listing(at: &std::path::Path) -> Vec<String> {
    let mut reader = TarReader::new(fs::open(at).unwrap());
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        lines.push(match &entry.kind {
            TarEntryKind::Directory => format!("{} {:o}", entry.path, entry.mode),
            TarEntryKind::Symlink(target) => format!("{} -> {}", entry.path, String::from_utf8_lossy(target)),
            TarEntryKind::Hardlink(target) => format!("{} = {target}", entry.path),
            _ => format!("{} {content}", entry.path),
        });
    }
    lines
}

#[test]
fn directories_merge_and_files_are_replaced() {
    let base = vec![directory("", 0o755), directory("etc", 0o755), file("etc/a", b"old"), file("etc/b", b"kept")];
    let top = vec![directory("etc", 0o700), file("etc/a", b"new"), file("opt/x/y", b"deep")];
    let expected = ["/ 755", "/etc 700", "/etc/a new", "/etc/b kept", "/opt 755", "/opt/x 755", "/opt/x/y deep"];
    assert_eq!(merged("plain", &[base, top]).unwrap(), expected);
}

#[test]
fn a_merged_usr_redirects_what_comes_later() {
    let base = vec![link("lib", "usr/lib"), directory("usr", 0o755), directory("usr/lib", 0o755)];
    let top = vec![directory("lib", 0o755), directory("lib/modules", 0o755), file("lib/modules/x", b"ko")];
    let expected =
        ["/ 755", "/lib -> usr/lib", "/usr 755", "/usr/lib 755", "/usr/lib/modules 755", "/usr/lib/modules/x ko"];
    assert_eq!(merged("usr", &[base.clone(), top.clone()]).unwrap(), expected);
    let absolute = vec![link("lib", "/usr/../usr/lib"), directory("usr", 0o755), directory("usr/lib", 0o755)];
    assert_eq!(merged("abs", &[absolute, top]).unwrap().last(), Some(&"/usr/lib/modules/x ko".to_owned()));
}

#[test]
fn a_replaced_file_leaves_its_other_names_alone() {
    let base = vec![file("a", b"shared"), hard("b", "a"), hard("c", "a")];
    assert_eq!(merged("hard", &[base, vec![file("a", b"own")]]).unwrap()[1..], ["/a own", "/b shared", "/c = /b"]);
}

#[test]
fn contradictions_and_loops_are_refused() {
    for (base, top, word) in [
        (vec![file("x", b"")], vec![directory("x", 0o755)], "/x is a directory in one"),
        (vec![directory("x", 0o755)], vec![link("x", "y")], "/x is a directory in one"),
        (vec![file("x", b"")], vec![file("x/y", b"")], "/x/y lies below"),
        (vec![link("p", "q"), link("q", "p")], vec![file("p/y", b"")], "too many symbolic links"),
        (vec![], vec![hard("b", "a")], "hard link"),
    ] {
        let error = merged("bad", &[base, top]).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

//! A lock that somebody changed by hand: `kiln lock --check` finds every line that can reach a bit, without a network.

use std::path::Path;

use crate::suite::live::{fail_with, kiln};

/// Sections whose lines reach bits, with a word of one such line and the text before the character that is changed.
const LINES: [(&str, &str, &str); 10] = [
    ("", "epoch = ", "epoch = \"202"),
    ("", "seed = ", "seed = \""),
    ("[recipe.files]", "lib/cxl.kiln", "= \""),
    ("[recipe.params]", "memory-size", "= \""),
    ("[sets.cxl-quick]", "name = \"cxl\"", "sha256 = \""),
    ("[sets.cxl-quick]", "name = \"udev\"", "version = \""),
    ("[sets.image-tools]", "name = \"e2fsprogs\"", "sha256 = \""),
    ("[images.cxl-quick.users]", "systemd-network", "= "),
    ("[machines.quick]", "pc-q35", "pc-q35-"),
    ("[steps]", "disk cxl-quick", "= \""),
];

#[test]
fn a_changed_line_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = std::fs::read_to_string(root.join("lockfiles/cxl-quick.lock")).unwrap();
    let scratch = std::env::temp_dir().join(format!("kiln-tampered-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    let check = |text: &str| {
        let path = scratch.join("cxl-quick.lock");
        std::fs::write(&path, text).unwrap();
        let mut command = kiln(&scratch.join("store"));
        command.args(["lock", "recipes/cxl-quick.kiln", "--check", "--lock"]).arg(path);
        command
    };
    assert!(check(&lock).output().unwrap().status.success(), "the lock itself is refused");
    for (section, line, before) in LINES {
        let start = if section.is_empty() { 0 } else { lock.find(&format!("\n{section}\n")).unwrap() };
        let line = start + lock[start..].find(line).unwrap();
        let line = lock[..line].rfind('\n').unwrap() + 1;
        let at = line + lock[line..].find(before).unwrap() + before.len();
        let other = if lock.as_bytes()[at] == b'1' { "2" } else { "1" };
        let changed = format!("{}{other}{}", &lock[..at], &lock[at + 1..]);
        let said = fail_with(&mut check(&changed), 1);
        assert!(said.contains("error"), "{section} {before}: {said}");
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}

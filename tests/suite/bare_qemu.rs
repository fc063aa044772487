//! `kiln qemu`: the locked QEMU with arguments of the user's own. The QEMU here is a script, with the shell of this host
//! packed as the archive's package.

use std::process::Command;

use super::archive_support::{Package, TinyArchive};
use super::failure_support::{Lab, RECIPE, archive, refused, text};
use super::skip::skip;

const SCRIPT: &str = "#!/bin/sh\necho \"arguments: $*\"\necho \"a warning\" >&2\nwhile [ $# -gt 0 ]; do\n\
    [ -e \"$1\" ] && echo \"sees $1\"\nshift\ndone\nread line && echo \"read: $line\"\n: >made && echo \"in $(pwd)\"\nexit 7\n";

/// The shell of this host and what it loads, by their paths in a tree.
fn shell() -> Vec<(String, Vec<u8>)> {
    let listed = Command::new("ldd").arg("/bin/sh").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    let inside = |path: &str| if path.starts_with("/usr/") { path.to_owned() } else { format!("/usr{path}") };
    libraries.chain(["/bin/sh"]).map(|path| (inside(path), std::fs::read(path).unwrap())).collect()
}

fn with_shell() -> TinyArchive {
    let mut qemu = Package::new("qemu-system-x86", "1:11.1.0-1");
    for (path, bytes) in shell() {
        qemu = qemu.file(&path, 0o755, &bytes);
    }
    let qemu = qemu.file("/usr/bin/qemu-system-x86_64", 0o755, SCRIPT.as_bytes());
    let mut archive = archive();
    archive.packages.retain(|package| package.name != "qemu-system-x86");
    archive.package(qemu)
}

#[test]
fn the_locked_qemu_has_the_users_arguments_alone_and_its_exit_code_is_kilns() {
    let lab = Lab::unlocked("bare-qemu", with_shell(), |_| RECIPE.to_owned());
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    let own = lab.directory.join("tiny.kiln");
    let mut kiln = lab.kiln();
    kiln.args(["qemu", "tiny.kiln", "--", "-device", "a b"]).arg(&own).stdin(std::fs::File::open(&own).unwrap());
    let output = kiln.output().unwrap();
    let said = text(&output);
    if said.contains("user namespace") {
        return skip(&said);
    }
    assert_eq!(output.status.code(), Some(7), "{said}");
    let expected = format!("arguments: -device a b {}\nread: \nin /kiln/run\n", own.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "the first line of its input is empty: {said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    let notice = "QEMU 11.1.0 of machine m, with your arguments alone; it sees no files and no network of the host\n";
    assert!(errors.contains(notice) && errors.contains("a warning\n") && !errors.contains("error:"), "{errors}");
    assert!(!lab.directory.join("result").exists(), "nothing is built for it");
}

#[test]
fn what_is_no_request_of_a_qemu_is_refused() {
    let lab = Lab::new("bare-qemu-refused");
    let output = lab.kiln().args(["qemu", "tiny.kiln"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let output = lab.kiln().args(["qemu", "tiny.kiln", "--machine", "n", "--", "-version"]).output().unwrap();
    refused(&output, 2, &["`n`", "m"]);
    std::fs::create_dir(lab.directory.join("built")).unwrap();
    for option in [&["--set", "a=1"][..], &["--no-cache"]] {
        let output = lab.kiln().args(["qemu", "built"]).args(option).args(["--", "-version"]).output().unwrap();
        refused(&output, 2, &[option[0], "has no effect on the result directory"]);
    }
    // The archive's QEMU is no program.
    let output = lab.kiln().args(["qemu", "tiny.kiln", "--", "-version"]).output().unwrap();
    refused(&output, 3, &["qemu-system-x86_64"]);
}

#[test]
fn a_shell_for_failures_needs_somebody_to_type() {
    let lab = Lab::new("shell-on-failure");
    let output = lab.kiln().args(["test", "tiny.kiln", "--shell-on-failure"]).output().unwrap();
    refused(&output, 2, &["--shell-on-failure needs a terminal"]);
    let output = lab.kiln().args(["test", "tiny.kiln", "--shell-on-failure", "--json"]).output().unwrap();
    refused(&output, 2, &["cannot be used with"]);
}

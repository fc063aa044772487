//! The main job on `recipes/cxl-quick.kiln`: locked afresh, built twice from nothing, judged, tampered with, booted.

use std::path::Path;
use std::process::Command;

use super::live::{Scratch, fail_with, judge, kiln, live, succeed};

const RECIPE: &str = "recipes/cxl-quick.kiln";

#[test]
fn cxl_quick_is_the_same_everywhere_and_works() {
    if !live("cxl-quick: lock, two builds from nothing, judges, boot") {
        return;
    }
    let scratch = Scratch::new("quick");
    let (lock, one, two) = (scratch.path("quick.lock"), scratch.path("one"), scratch.path("two"));
    let (store, other) = (scratch.path("store"), scratch.path("elsewhere/other-store"));
    succeed(kiln(&store).args(["lock", RECIPE, "--lock"]).arg(&lock));
    let locked = std::fs::read(&lock).unwrap();
    succeed(kiln(&store).args(["lock", RECIPE, "--check", "--lock"]).arg(&lock));
    build(&mut kiln(&store), &lock, &one);

    // Everything that could leak differs, and nothing is shared, not even downloads.
    std::fs::write(&lock, &locked).unwrap();
    let mut hostile = kiln(&other);
    hostile
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8")
        .env("HOME", scratch.path("home"))
        .env("USER", "eve");
    build(hostile.args(["--jobs", "1"]), &lock, &two);
    assert_eq!(manifest(&one), manifest(&two), "two builds of one lock differ");

    nothing_to_do_does_nothing(&store, &lock, &one);
    judges_agree(&scratch, &one);
    tampering_is_found(&store, &two);
    let report = scratch.path("junit.xml");
    let mut test = kiln(&store);
    test.args(["test", RECIPE, "--lock"])
        .arg(&lock)
        .arg("--junit")
        .arg(&report)
        .arg("--logs")
        .arg(scratch.path("logs"));
    let output = succeed(&mut test);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let junit = std::fs::read_to_string(&report).unwrap();
    assert!(junit.contains("<testcase") && !junit.contains("<failure"), "{junit}");
}

fn build(command: &mut Command, lock: &Path, out: &Path) {
    // `--jobs` may stand before the verb's own arguments only after the verb.
    let jobs: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut ordered = Command::new(command.get_program());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            ordered.env(name, value);
        }
    }
    ordered.current_dir(command.get_current_dir().unwrap());
    succeed(ordered.args(["build", RECIPE]).args(jobs).arg("--lock").arg(lock).arg("--out").arg(out));
}

fn manifest(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("manifest.json")).unwrap()
}

fn nothing_to_do_does_nothing(store: &Path, lock: &Path, out: &Path) {
    let before = manifest(out);
    let mut again = kiln(store);
    let output = succeed(again.args(["build", RECIPE, "--offline", "--lock"]).arg(lock).arg("--out").arg(out));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("running"), "a second build ran something:\n{text}");
    assert_eq!(before, manifest(out));
}

fn judges_agree(scratch: &Scratch, out: &Path) {
    let (disk, raw) = (out.join("disk.qcow2"), scratch.path("disk.raw"));
    if judge("qemu-img") {
        succeed(Command::new("qemu-img").arg("check").arg(&disk));
        succeed(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(&disk).arg(&raw));
        succeed(Command::new("qemu-img").arg("compare").arg(&disk).arg(&raw));
        if judge("e2fsck") {
            succeed(Command::new("e2fsck").arg("-fn").arg(&raw));
        }
    }
}

fn tampering_is_found(store: &Path, out: &Path) {
    succeed(kiln(store).arg("verify").arg(out));
    let victim = out.join("kernel.config");
    let mut bytes = std::fs::read(&victim).unwrap();
    bytes[100] ^= 1;
    std::fs::remove_file(&victim).unwrap();
    std::fs::write(&victim, bytes).unwrap();
    let text = fail_with(kiln(store).arg("verify").arg(out), 3);
    assert!(text.contains("kernel.config"), "{text}");
}

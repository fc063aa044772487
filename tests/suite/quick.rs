//! The main job on `recipes/cxl-quick.kiln`: locked afresh, built twice from nothing, judged, tampered with, booted.

use std::path::Path;
use std::process::Command;

use super::live::{QUICK, Quick, Scratch, fail_with, judge, kiln, live, quick, succeed};

#[test]
fn cxl_quick_is_the_same_everywhere_and_works() {
    if !live("cxl-quick: lock, two builds from nothing, judges, boot") {
        return;
    }
    let scratch = Scratch::new("quick");
    let Quick { lock, store, out: one, .. } = quick();
    succeed(kiln(store).args(["lock", QUICK, "--check", "--lock"]).arg(lock));

    // Everything that could leak differs, and nothing is shared, not even downloads. The lock knows by now what came out
    // the first time, so that a difference already ends the build.
    let two = scratch.path("two");
    let mut hostile = Command::new("sh");
    hostile.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_kiln"), "build", QUICK, "--jobs", "1"]);
    hostile.arg("--lock").arg(lock).arg("--out").arg(&two).current_dir(env!("CARGO_MANIFEST_DIR"));
    hostile.env("KILN_STORE", scratch.path("elsewhere/other-store")).env("HOME", scratch.path("home"));
    hostile.env("TZ", "Pacific/Kiritimati").env("LANG", "tr_TR.UTF-8").env("USER", "eve");
    succeed(&mut hostile);
    assert_eq!(manifest(one), manifest(&two), "two builds of one lock differ");

    nothing_to_do_does_nothing(store, lock, one);
    judges_agree(&scratch, one);
    tampering_is_found(store, &two);
    let report = scratch.path("junit.xml");
    let mut test = kiln(store);
    test.args(["test", QUICK, "--lock"]).arg(lock).arg("--junit").arg(&report).arg("--logs").arg(scratch.path("logs"));
    let output = succeed(&mut test);
    println!("{}", String::from_utf8_lossy(&output.stderr));
    let junit = std::fs::read_to_string(&report).unwrap();
    assert!(junit.contains("<testcase") && !junit.contains("<failure"), "{junit}");
}

fn manifest(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("manifest.json")).unwrap()
}

fn nothing_to_do_does_nothing(store: &Path, lock: &Path, out: &Path) {
    let before = manifest(out);
    let mut again = kiln(store);
    let output = succeed(again.args(["build", QUICK, "--offline", "--lock"]).arg(lock).arg("--out").arg(out));
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

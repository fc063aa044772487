//! One image as raw and as qcow2: the same disk for judges and guests.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::live::{QUICK, Quick, Scratch, judge, kiln, live, quick, succeed};

#[test]
fn a_raw_disk_is_the_disk_that_a_qcow2_holds() {
    if !live("disk formats: one image as raw and as qcow2, judges, boot of the raw one") {
        return;
    }
    let scratch = Scratch::new("formats");
    let Quick { lock: usual, store, out, .. } = quick();
    let recipes = scratch.path("recipes");
    succeed(Command::new("cp").args(["-r", "recipes"]).arg(&recipes).current_dir(env!("CARGO_MANIFEST_DIR")));
    let (recipe, lock, raw) = (scratch.path(QUICK), scratch.path("raw.lock"), scratch.path("raw"));
    let text = std::fs::read_to_string(&recipe).unwrap();
    let changed = text.replace("  hostname = \"cxl-quick\"\n", "  hostname = \"cxl-quick\"\n  format = raw\n");
    assert_ne!(text, changed, "the recipe has an image with a host name");
    std::fs::write(&recipe, changed).unwrap();
    std::fs::copy(usual, &lock).unwrap();
    succeed(kiln(store).arg("lock").arg(&recipe).arg("--lock").arg(&lock));
    succeed(kiln(store).arg("build").arg(&recipe).arg("--lock").arg(&lock).arg("--out").arg(&raw));

    let (disk, qcow2) = (raw.join("disk.raw"), out.join("disk.qcow2"));
    let data = disk.metadata().unwrap();
    assert!(data.blocks() * 512 < data.size() / 2, "{} of {} bytes are on the disk", data.blocks() * 512, data.size());
    if judge("qemu-img") {
        succeed(Command::new("qemu-img").args(["compare", "-f", "raw", "-F", "qcow2"]).arg(&disk).arg(&qcow2));
    }
    if judge("e2fsck") {
        succeed(Command::new("e2fsck").arg("-fn").arg(&disk));
    }
    let said = |name: &str| std::fs::read_to_string(raw.join(name)).unwrap();
    assert!(said("launch.json").contains("\"disk-format\": \"raw\""));
    assert!(said("launch.sh").contains(",format=raw,discard=unmap,snapshot=on"));
    succeed(kiln(store).arg("verify").arg(&raw));
    succeed(kiln(store).arg("test").arg(&recipe).arg("--lock").arg(&lock));
}

//! A real Debian disk in the formats of others, read by their own programs: qemu-img, e2fsck, debugfs, tar and skopeo.

use std::path::Path;
use std::process::Command;

use kiln::base::Digest;

use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};
use super::programs::Programs;

/// Every file below a directory with type, mode, owner, group, size or target, sorted; directories have no size to compare.
const LISTING: &str = r#"find . -mindepth 1 -path ./lost+found -prune -o \
    \( -type d -printf '%p d %m %U %G\n' -o -type l -printf '%p l %U %G %l\n' -o -printf '%p %y %m %U %G %s\n' \) | LC_ALL=C sort"#;

fn listing(directory: &Path) -> String {
    String::from_utf8_lossy(&succeed(Command::new("sh").args(["-c", LISTING]).current_dir(directory)).stdout)
        .into_owned()
}

#[test]
fn programs_of_others_read_what_is_exported_of_a_debian_image() {
    if !live("kiln export of a Debian image, read by qemu-img, e2fsprogs, tar and skopeo")
        || !has_its_turn("export", &SELDOM)
    {
        return;
    }
    if !["qemu-img", "e2fsck", "debugfs"].into_iter().all(judge) {
        return;
    }
    let (scratch, built) = (Scratch::new("export-live"), quick());
    let programs = Programs::unpack(&scratch.path("root"), &["skopeo"]);
    let export = |format: &str, name: &str| {
        let mut command = kiln(&built.store);
        command.arg("export").arg(&built.out).args(["--format", format, "-o"]).arg(scratch.path(name));
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let compare = |format: &str, name: &str| {
        let mut command = Command::new("qemu-img");
        command
            .args(["compare", "-f", "qcow2", "-F", format])
            .arg(built.out.join("disk.qcow2"))
            .arg(scratch.path(name));
        succeed(&mut command)
    };

    for (format, name, of_qemu) in
        [("raw", "disk.raw", "raw"), ("vhd", "disk.vhd", "vpc"), ("vmdk", "disk.vmdk", "vmdk")]
    {
        export(format, name);
        compare(of_qemu, name);
    }
    succeed(Command::new("e2fsck").arg("-fn").arg(scratch.path("disk.raw")));

    // e2fsprogs and tar unpack the same files.
    export("tar", "root.tar");
    let (ours, theirs) = (scratch.path("by-tar"), scratch.path("by-debugfs"));
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::create_dir_all(&theirs).unwrap();
    succeed(Command::new("tar").args(["--numeric-owner", "-xpf"]).arg(scratch.path("root.tar")).arg("-C").arg(&ours));
    let dump = format!("rdump / {}", theirs.display());
    succeed(Command::new("debugfs").args(["-R", &dump]).arg(scratch.path("disk.raw")));
    // debugfs leaves devices out.
    let null = succeed(Command::new("stat").args(["-c", "%F %t:%T %a"]).arg(ours.join("dev/null"))).stdout;
    assert_eq!(String::from_utf8_lossy(&null), "character special file 1:3 666\n");
    std::fs::remove_dir_all(ours.join("dev")).unwrap();
    std::fs::remove_dir_all(theirs.join("dev")).unwrap();
    let mut diff = Command::new("diff");
    succeed(diff.args(["-r", "--no-dereference", "--exclude=lost+found"]).arg(&ours).arg(&theirs));
    let (ours, theirs) = (listing(&ours), listing(&theirs));
    assert!(ours.lines().count() > 5000, "{} files", ours.lines().count());
    let other = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
    assert_eq!((other, ours.lines().count()), (None, theirs.lines().count()));

    for (format, name) in [("oci", "image.tar"), ("containerdisk", "kubevirt.tar")] {
        let said = export(format, name);
        let archive = format!("oci-archive:{}", scratch.path(name).display());
        let raw = succeed(programs.command("skopeo").args(["inspect", "--raw", &archive])).stdout;
        assert!(said.contains(&format!("image sha256:{}\n", Digest::of(&raw))), "{said}");
        let copy = format!("dir:{}", scratch.path(&format!("{name}.copied")).display());
        succeed(programs.command("skopeo").args(["--insecure-policy", "copy", &archive, &copy]));
    }
}

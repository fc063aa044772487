//! A real Debian disk in the formats of others, read by their own programs: qemu-img, e2fsck, debugfs, tar and skopeo.

use std::path::Path;
use std::process::Command;

use kiln::base::Digest;

use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};
use super::programs::Programs;

/// A file of a tree.
#[derive(Debug, Clone, PartialEq)]
struct Listed {
    path: String,
    mode: u32,
    /// Type, owner, group, and size or target; of a directory no size, which is the file system's.
    rest: String,
}

/// Path, mode, type, owner, group, and size or target.
const LISTING: &str = r#"find . -mindepth 1 -path ./lost+found -prune -o \
    \( -type d -printf '%p\t%m\td %U %G\n' -o -type l -printf '%p\t777\tl %U %G %l\n' -o -printf '%p\t%m\t%y %U %G %s\n' \) | LC_ALL=C sort"#;

/// Every file below a directory, sorted.
fn listing(directory: &Path) -> Vec<Listed> {
    let listed = succeed(Command::new("sh").args(["-c", LISTING]).current_dir(directory)).stdout;
    let one = |line: &str| {
        let [path, mode, rest] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        Listed { path: path.to_owned(), mode: u32::from_str_radix(mode, 8).unwrap(), rest: rest.to_owned() }
    };
    String::from_utf8(listed).unwrap().lines().map(one).collect()
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
    assert!(ours.len() > 5000, "{} files", ours.len());
    // debugfs unpacks no set-user-id, set-group-id and sticky bits, but says which there are.
    let special: Vec<&Listed> = ours.iter().filter(|listed| listed.mode > 0o777).collect();
    assert!(special.iter().any(|listed| listed.path == "./tmp" && listed.mode == 0o1777));
    let commands: String = special.iter().map(|listed| format!("stat {}\n", &listed.path[1..])).collect();
    std::fs::write(scratch.path("commands"), commands).unwrap();
    let mut debugfs = Command::new("debugfs");
    let said = succeed(debugfs.arg("-f").arg(scratch.path("commands")).arg(scratch.path("disk.raw"))).stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let words: Vec<&str> = said.split_whitespace().collect();
    let modes = words.windows(2).filter(|pair| pair[0] == "Mode:").map(|pair| u32::from_str_radix(pair[1], 8).unwrap());
    assert_eq!(modes.collect::<Vec<_>>(), special.iter().map(|listed| listed.mode).collect::<Vec<_>>());
    let plain = |listed: &[Listed]| -> Vec<Listed> {
        listed.iter().map(|one| Listed { mode: one.mode & 0o777, ..one.clone() }).collect()
    };
    let (ours, theirs) = (plain(&ours), plain(&theirs));
    assert_eq!(ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs), None);
    assert_eq!(ours.len(), theirs.len());

    for (format, name) in [("oci", "image.tar"), ("containerdisk", "kubevirt.tar")] {
        let said = export(format, name);
        let archive = format!("oci-archive:{}", scratch.path(name).display());
        let raw = succeed(programs.command("skopeo").args(["inspect", "--raw", &archive])).stdout;
        assert!(said.contains(&format!("image sha256:{}\n", Digest::of(&raw))), "{said}");
        let copy = format!("dir:{}", scratch.path(&format!("{name}.copied")).display());
        succeed(programs.command("skopeo").args(["--insecure-policy", "copy", &archive, &copy]));
    }
}

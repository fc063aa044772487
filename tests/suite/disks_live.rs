//! Images without a machine, and roots that grow: built from Debian, judged by tar, chroot, e2fsprogs, and the guest itself.

use std::path::Path;
use std::process::Command;

use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, succeed};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
packages uefi-boot { include = ["ovmf", "systemd-boot-efi"] }
image grown {
  size     = 1GiB
  grow     = true
  tools    = image-tools
  packages = ["systemd-sysv", "systemd-repart", "udev", "dbus", "kmod", "login", "passwd", "libpam-systemd", "util-linux"]
  dhcp     = false
  user "root" { password-hash = "" }
}
image files extends grown { format = tar serial-console = false }
image plain extends grown { format = raw }
image parted extends grown {
  format = raw
  partition "/var" { size = 512MiB }
  partition "/srv/data" { size = 64MiB }
  directory "/srv/data" { mode = 0o2770 group = "mail" }
  file "/srv/data/note" { text = "kept\n" }
}
machine direct { kernel = stock image = grown qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"] }
machine booted {
  kernel = stock image = parted qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"]
  firmware = uefi boot = uefi-boot
}
test "a whole disk" on direct {
  wait "test $(df --output=size -m / | tail -1) -gt 2600" for 120s
  run "test -b /dev/vda -a ! -e /dev/vda1"
}
test "a partition" on booted {
  wait "test $(df --output=size -m / | tail -1) -gt 2000" for 120s
  expect "findmnt -no SOURCE /" matches "^/dev/vda2$"
  expect "findmnt -no SOURCE /var" matches "^/dev/vda5$"
  expect "findmnt -no SOURCE /srv/data" matches "^/dev/vda4$"
  expect "stat -c '%a %U %G' /srv/data /srv/data/note" matches "2770 root mail\n644 root root"
  run "test -s /var/lib/dpkg/status && dpkg --audit"
  expect "systemctl list-units --failed --no-legend --plain" lacks "service"
}
"#;

#[test]
fn images_stand_alone_and_roots_grow() {
    if !live("images without a machine, and roots that grow") || !has_its_turn("disks", &SELDOM) {
        return;
    }
    let scratch = Scratch::new("disks");
    let (recipe, store, out) = (scratch.recipe("disks.kiln", RECIPE), scratch.path("store"), scratch.path("out"));
    succeed(kiln(&store).arg("lock").arg(&recipe));
    succeed(kiln(&store).arg("build").arg(&recipe).arg("--out").arg(&out));
    archive(&scratch.path("unpacked"), &out.join("files.tar"));
    disk(&out.join("plain.raw"));
    partitions(&out.join("booted/disk.raw"), &scratch.path("part.raw"));
    let mut test = kiln(&store);
    test.arg("test").arg(&recipe).args(["--disk-size", "3GiB"]).arg("--logs").arg(scratch.path("logs"));
    println!("{}", String::from_utf8_lossy(&succeed(&mut test).stderr));
    succeed(kiln(&store).args(["verify", "--rebuild"]).arg(&recipe));
}

/// A system whose own dpkg finds nothing to complain about.
fn archive(place: &Path, tar: &Path) {
    std::fs::create_dir(place).unwrap();
    let mut unpack = Command::new("tar");
    succeed(unpack.args(["--numeric-owner", "--xattrs-include=*", "-xpf"]).arg(tar).arg("-C").arg(place));
    assert!(!place.join("etc/fstab").exists(), "an archive names no disk");
    let audit = succeed(Command::new("chroot").arg(place).args(["/usr/bin/dpkg", "--audit"]));
    assert!(audit.stdout.is_empty(), "{audit:?}");
}

/// A file system that is whole, and whose table names itself.
fn disk(raw: &Path) {
    if !judge("e2fsck") || !judge("debugfs") {
        return;
    }
    succeed(Command::new("e2fsck").arg("-fn").arg(raw));
    let ask = |request: &str| {
        let output = succeed(Command::new("debugfs").args(["-R", request]).arg(raw));
        String::from_utf8(output.stdout).unwrap()
    };
    let header = ask("stats");
    let id = header.lines().find_map(|line| line.strip_prefix("Filesystem UUID:")).unwrap().trim();
    let fstab = ask("cat /etc/fstab");
    assert!(
        fstab.starts_with(&format!("UUID={id}\t/\text4\tdefaults,errors=remount-ro,x-systemd.growfs\t")),
        "{fstab}"
    );
}

/// A table that sfdisk accepts, and in each partition of Linux a file system that is whole.
fn partitions(raw: &Path, part: &Path) {
    if !judge("sfdisk") || !judge("e2fsck") {
        return;
    }
    succeed(Command::new("sfdisk").arg("--verify").arg(raw));
    let dump = String::from_utf8(succeed(Command::new("sfdisk").arg("--dump").arg(raw)).stdout).unwrap();
    let number = |line: &str, word: &str| {
        let rest = &line[line.find(word).unwrap() + word.len()..];
        rest.trim_start().split(',').next().unwrap().parse::<u64>().unwrap()
    };
    let lines: Vec<&str> = dump.lines().filter(|line| line.contains("start=")).collect();
    assert_eq!(lines.len(), 4, "{dump}");
    let names = lines.iter().map(|line| line.rsplit_once("name=").unwrap().1.trim_matches('"').to_owned());
    let mut places: Vec<(u64, String)> = lines.iter().map(|line| number(line, "start=")).zip(names).collect();
    places.sort();
    let order: Vec<&str> = places.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(order, ["boot", "srv-data", "var", "root"], "the root is last: {dump}");
    for line in lines.into_iter().filter(|line| !line.contains("name=\"boot\"")) {
        let (start, size) = (number(line, "start="), number(line, "size="));
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", raw.display())).arg(format!("of={}", part.display()));
        succeed(dd.args(["bs=512", "conv=sparse"]).arg(format!("skip={start}")).arg(format!("count={size}")));
        succeed(Command::new("e2fsck").arg("-fn").arg(part));
        std::fs::remove_file(part).unwrap();
    }
}

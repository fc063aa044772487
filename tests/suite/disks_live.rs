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
machine direct { kernel = stock image = grown qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"] }
machine booted {
  kernel = stock image = grown qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"]
  firmware = uefi boot = uefi-boot
}
test "a whole disk" on direct {
  wait "test $(df --output=size -m / | tail -1) -gt 2600" for 120s
  run "test -b /dev/vda -a ! -e /dev/vda1"
}
test "a partition" on booted {
  wait "test $(df --output=size -m / | tail -1) -gt 2600" for 120s
  expect "findmnt -no SOURCE /" matches "^/dev/vda2$"
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

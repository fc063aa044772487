//! A kernel and firmware out of a build, booted: the files of Debian's kernel and of OVMF, as a script left them.

use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, succeed};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
packages files { base = essential include = ["linux-image-cloud-amd64", "ovmf"] }
build taken {
  tools  = files
  script = """
    cp /boot/vmlinuz-* bzImage
    cp /boot/config-* config
    mkdir -p tree/lib
    cp -r /usr/lib/modules tree/lib
    tar -c -C tree --sort=name --mtime=@0 -f modules.tar lib
    cp /usr/share/OVMF/OVMF_CODE_4M.fd code.fd
    cp /usr/share/OVMF/OVMF_VARS_4M.fd variables.fd
    """
  outputs = ["bzImage", "config", "modules.tar", "code.fd", "variables.fd"]
}
kernel mine {
  image          = output "bzImage" from taken
  modules        = output "modules.tar" from taken
  config         = output "config" from taken
  initrd-modules = ["dummy"]
}
image small {
  size     = 1GiB
  tools    = image-tools
  packages = ["systemd-sysv", "udev", "dbus", "kmod", "login", "passwd", "libpam-systemd", "util-linux"]
  dhcp     = false
  user "root" { password-hash = "" }
}
machine own {
  kernel = mine image = small qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"]
  firmware = uefi boot = ["systemd-boot-efi"]
  uefi { code = output "code.fd" from taken variables = output "variables.fd" from taken }
}
test "the kernel of a build is started by firmware of a build" on own {
  run "test -d /sys/firmware/efi -a -d /sys/module/dummy"
  run "modprobe tun && test -c /dev/net/tun"
  expect "cat /proc/version" matches "^Linux version 6\\."
  expect "systemctl list-units --failed --no-legend --plain" lacks "service"
}
"#;

#[test]
fn a_kernel_and_firmware_of_a_build_boot() {
    if !live("a kernel and firmware out of a build, booted") || !has_its_turn("ready", &SELDOM) {
        return;
    }
    let scratch = Scratch::new("ready");
    let (recipe, store, out) = (scratch.recipe("ready.kiln", RECIPE), scratch.path("store"), scratch.path("out"));
    succeed(kiln(&store).arg("lock").arg(&recipe));
    succeed(kiln(&store).arg("build").arg(&recipe).arg("--out").arg(&out));
    let mut test = kiln(&store);
    println!("{}", String::from_utf8_lossy(&succeed(test.arg("test").arg(&recipe)).stderr));
    succeed(kiln(&store).args(["verify", "--rebuild"]).arg(&recipe));
    // What `launch.sh` starts QEMU with.
    let printed = succeed(std::process::Command::new("sh").arg(out.join("launch.sh")).arg("--print"));
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("ovmf-code.fd"), "{printed}");
}

//! Images of every Debian release that kiln knows: each locked, built and booted to a login.

use std::path::Path;
use std::process::Command;

use super::live::{Scratch, has_its_turn, kiln, live, succeed};

/// What the recipes have in common. Root's password is empty: a login is what a person would see and type.
const COMMON: &str = r#"
machine box { kernel = @KERNEL@ image = @IMAGE@ qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"] }
test "a login, and nothing that failed" on box {
  wait "systemctl is-active serial-getty@ttyS0.service" for 180s
  wait "pgrep -a agetty" for 60s
  expect "cat /etc/os-release" matches "VERSION_CODENAME=@CODENAME@"
  expect "uname -r" matches "cloud-amd64"
  expect "systemctl list-units --failed --no-legend --plain" lacks "service"
  expect "getent shadow root" matches "^root::"
  run "dpkg --audit"
  run "test -s /etc/machine-id -a -s /etc/ssh/ssh_host_ed25519_key"
  run "test -L /bin -a -L /lib -a -L /sbin"
}
"#;

const RELEASES: &[&str] = &["bookworm", "trixie", "forky"];

fn boots(codename: &str, head: &str, [kernel, image]: [&str; 2]) {
    if !live(&format!("Debian {codename}: lock, build, boot")) || !has_its_turn(codename, RELEASES) {
        return;
    }
    let scratch = Scratch::new(&format!("release-{codename}"));
    let (recipe, store) = (scratch.path(&format!("{codename}.kiln")), scratch.path("store"));
    let common = COMMON.replace("@KERNEL@", kernel).replace("@IMAGE@", image).replace("@CODENAME@", codename);
    std::fs::write(&recipe, format!("{head}{common}")).unwrap();
    // A copy: a recipe may not leave its root, not even through a link.
    let library = scratch.path("lib");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
    succeed(Command::new("cp").arg("-r").arg(own).arg(&library));
    if codename == "forky" {
        // Mirrors of testing are behind now and then; the release in the recipe says it where it is needed.
        let file = library.join("debian-forky.kiln");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("archive forky {\n", "archive forky {\n  check-valid-until = false\n");
        std::fs::write(&file, text).unwrap();
    }
    succeed(kiln(&store).arg("lock").arg(&recipe));
    let output = succeed(kiln(&store).arg("test").arg(&recipe).arg("--logs").arg(scratch.path("logs")));
    println!("{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn bookworm() {
    boots("bookworm", "import \"lib/debian-12.kiln\"\n", ["debian-12-stock", "debian-12"]);
}

#[test]
fn trixie() {
    let head = "import \"lib/debian-13.kiln\"\nkernel stock { package = package \"linux-image-cloud-amd64\" }\n";
    boots("trixie", head, ["stock", "debian-13"]);
}

#[test]
fn forky() {
    // Forky's kernel package keeps its kernel elsewhere than /boot, where kiln looks: Debian 13's boots it.
    let head = "import \"lib/debian-forky.kiln\"\nkernel stock { package = package \"linux-image-cloud-amd64\" }\n";
    boots("forky", head, ["stock", "debian-forky"]);
}

//! Servers whose packages make keys and databases: two builds are equal, and each machine makes its own at first boot.

use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, succeed};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image servers {
  size     = 2GiB
  tools    = image-tools
  packages = ["systemd-sysv", "udev", "dbus", "kmod", "login", "passwd", "libpam-systemd", "procps", "dropbear", "mariadb-server"]
  dhcp     = false
  user "root" { password-hash = "" }
}
machine box { kernel = stock image = servers qemu = qemu-11 cpus = 2 memory = 1GiB append = ["no_timer_check"] }
test "keys and databases are made at first boot" on box {
  wait "systemctl is-active kiln-first-boot.service" for 900s
  wait "systemctl is-active mariadb.service dropbear.service" for 300s
  expect "mariadb --skip-column-names -e 'select 6*7'" matches "42"
  run "dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key"
  run "test -e /etc/dropbear/dropbear_rsa_host_key -a -e /var/lib/kiln/configured/mariadb-server"
  expect "systemctl list-units --failed --no-legend --plain" lacks "service"
}
"#;

#[test]
fn servers_are_twice_equal_and_make_their_secrets_at_first_boot() {
    let what = "dropbear and MariaDB: two builds, and a first boot";
    if !live(what) || !has_its_turn("first-boot", &SELDOM) {
        return;
    }
    let scratch = Scratch::new("first-boot");
    let (recipe, store) = (scratch.recipe("servers.kiln", RECIPE), scratch.path("store"));
    succeed(kiln(&store).arg("lock").arg(&recipe));
    succeed(kiln(&store).arg("build").arg(&recipe).arg("--out").arg(scratch.path("out")));
    succeed(kiln(&store).args(["verify", "--rebuild"]).arg(&recipe));
    let output = succeed(kiln(&store).arg("test").arg(&recipe).arg("--logs").arg(scratch.path("logs")));
    println!("{}", String::from_utf8_lossy(&output.stderr));
}

//! What scripts of real packages make of the machine that they are told of: host names of mail servers, an answer to debconf,
//! a locale; and a swap file that the guest uses.

use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, succeed};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image small {
  size     = 2GiB
  tools    = image-tools
  packages = ["systemd-sysv", "udev", "dbus", "kmod", "login", "passwd", "libpam-systemd"]
  dhcp     = false
  user "root" { password-hash = "" }
}
image exim extends small { hostname = "mx1.example.org" packages += ["exim4-daemon-light"] }
image postfix extends small { hostname = "mx2.example.org" packages += ["postfix"] }
image shark extends small {
  packages += ["adduser", "libcap2-bin", "locales", "tshark"]
  locale    = "de_DE.UTF-8"
  swap      = 512MiB
  debconf   = ["wireshark-common wireshark-common/install-setuid boolean true"]
  user "dev" { groups = ["wireshark"] }
}
machine one { kernel = stock image = exim qemu = qemu-11 append = ["no_timer_check"] }
machine two { kernel = stock image = postfix qemu = qemu-11 append = ["no_timer_check"] }
machine three { kernel = stock image = shark qemu = qemu-11 append = ["no_timer_check"] }
test "exim has the machine's name" on one {
  expect "cat /etc/mailname" matches "^mx1\\.example\\.org$"
  expect "grep dc_other_hostnames /etc/exim4/update-exim4.conf.conf" matches "mx1\\.example\\.org"
}
test "postfix has a valid name" on two {
  run "postfix check"
  expect "postconf -h myhostname" matches "^mx2\\.example\\.org$"
}
test "an answer to debconf counts, and a locale and swap are there" on three {
  expect "getent group wireshark" matches "dev"
  expect "getcap /usr/bin/dumpcap" matches "cap_net_raw"
  expect "locale -a" matches "de_DE"
  expect "swapon --show --noheadings --bytes" matches "^/swapfile +file +536866816 "
}
"#;

#[test]
fn packages_are_configured_for_the_machine_of_the_recipe() {
    let what = "exim, postfix, tshark: host names, an answer to debconf, a locale, swap";
    if !live(what) || !has_its_turn("names", &SELDOM) {
        return;
    }
    let scratch = Scratch::new("names");
    let (recipe, store) = (scratch.recipe("names.kiln", RECIPE), scratch.path("store"));
    succeed(kiln(&store).arg("lock").arg(&recipe));
    let output = succeed(kiln(&store).arg("test").arg(&recipe).arg("--logs").arg(scratch.path("logs")));
    println!("{}", String::from_utf8_lossy(&output.stderr));
}

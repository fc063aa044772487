//! Packages that are added to a recipe with a lock: what is there is not configured again, and the bits are those of a build
//! from nothing with the same lock.

use std::path::Path;

use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, succeed};

/// What comes to it later makes users, host keys, a cluster, links to libraries, triggers of what is there, and answers.
const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image layered {
  size     = 3GiB
  tools    = image-tools
  hostname = "layered"
  packages = ["systemd-sysv", "udev", "dbus", "kmod", "login", "passwd", "libpam-systemd", "ca-certificates", "adduser"]
  dhcp     = false
  user "root" { password-hash = "" }
}
machine one { kernel = stock image = layered qemu = qemu-11 append = ["no_timer_check"] }
test "what a layer below lacks is made at first boot" on one {
  wait "test -s /etc/ssl/private/ssl-cert-snakeoil.key" for 300s
}
test "both layers work" on one {
  expect "dpkg --audit" lacks "."
  expect "dpkg -l | grep -c ^ii" matches "[0-9]{2}"
  expect "dpkg -l | tail -n +6 | cut -c 1-2 | sort -u" matches "^ii$"
  expect "ldconfig -p" matches "libssl"
}
"#;

const ADDED: [(&str, &str); 2] = [
    (r#""adduser"]"#, r#""adduser", "openssh-server", "postgresql", "man-db", "locales", "exim4-daemon-light"]"#),
    (r#""adduser", "openssh"#, r#""adduser", "hello", "nginx-light", "wireshark-common", "openssh"#),
];

fn digests(out: &Path) -> String {
    let text = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["artifacts"].to_string()
}

#[test]
fn what_is_added_is_configured_over_what_is_there() {
    if !live("packages that are added to a recipe with a lock") || !has_its_turn("layers", &SELDOM) {
        return;
    }
    let scratch = Scratch::new("layers");
    let (store, other) = (scratch.path("store"), scratch.path("other"));
    let (lock, out) = (scratch.path("layered.lock"), scratch.path("out"));
    let mut text = RECIPE.to_owned();
    let recipe = scratch.recipe("layered.kiln", &text);
    let run = |store: &Path, verb: &str, more: &[&std::ffi::OsStr]| {
        let output = succeed(kiln(store).arg(verb).arg(&recipe).arg("--lock").arg(&lock).args(more));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    run(&store, "lock", &[]);
    run(&store, "build", &["--out".as_ref(), out.as_ref()]);
    assert!(!std::fs::read_to_string(&lock).unwrap().contains("layers = ["));
    for (at, (before, after)) in ADDED.into_iter().enumerate() {
        assert!(text.contains(before), "{text}");
        text = text.replace(before, after);
        scratch.recipe("layered.kiln", &text);
        // The packages make users, which the first build with them puts into the table.
        run(&store, "lock", &["--update".as_ref(), "adduser".as_ref()]);
        let locked = std::fs::read_to_string(&lock).unwrap();
        assert_eq!(locked.matches("{ packages = ").count(), at + 1, "{locked}");
        let said = run(&store, "build", &["--out".as_ref(), out.as_ref()]);
        assert!(said.contains("base layered: running"), "{said}");
        let again = (1..=at + 1).any(|layer| said.contains(&format!("base layered layer {layer}: running")));
        assert!(!again, "what was there was configured again:\n{said}");
    }
    let here = digests(&out);
    // From nothing, in another order and place.
    run(&other, "build", &["--jobs".as_ref(), "1".as_ref(), "--out".as_ref(), out.as_ref()]);
    assert_eq!(here, digests(&out), "a build from nothing has other bits");
    let said = run(&store, "test", &["--logs".as_ref(), scratch.path("logs").as_ref()]);
    println!("{said}");
}

//! What was tried and never worked: it is to stay so. `SECURITY.md` names these tests, and older ones elsewhere.

use std::path::Path;

use super::ground::{Ground, Image, run, run_within};
use super::host;
use super::tally::say;
use crate::suite::archive_support::Package;

/// What a maintainer script tries. Where a command succeeds, its name is said.
const PROBES: [(&str, &str); 30] = [
    ("device", "mknod /tmp/disk b 8 0"),
    ("character-device", "mknod /tmp/mem c 1 1"),
    ("disk", "ls /dev/vda /dev/sda /dev/nvme0 /dev/mem /dev/kvm /dev/fuse 2>/dev/null | grep -q ."),
    ("sysctl", "echo x >/proc/sys/kernel/hostname"),
    ("core-pattern", "echo '|/bin/sh' >/proc/sys/kernel/core_pattern"),
    ("sysrq", "echo h >/proc/sysrq-trigger"),
    ("init-environment", "cat /proc/1/environ | grep -q ."),
    ("init-root", "ls /proc/1/root/"),
    ("init-directory", "ls /proc/1/cwd/"),
    ("init-program", "readlink /proc/1/exe"),
    ("init-descriptors", "readlink /proc/1/fd/0 || cat /proc/1/fd/1"),
    ("init-memory", "dd if=/proc/1/mem of=/dev/null count=1"),
    ("kernel-log", "dd if=/proc/kmsg of=/dev/null count=1"),
    ("kernel-memory", "dd if=/proc/kcore of=/dev/null count=1"),
    ("terminal", ": </dev/tty"),
    ("standard-input", "test -t 0"),
    ("mount-proc", "mount -t proc proc /srv"),
    ("mount-sysfs", "mount -t sysfs sysfs /srv"),
    ("mount-cgroup", "mount -t cgroup2 cgroup2 /srv"),
    ("mount-debugfs", "mount -t debugfs debugfs /srv"),
    ("mount-tmpfs", "mount -t tmpfs tmpfs /srv"),
    ("mount-bind", "mount --bind /etc /srv"),
    ("remount-proc", "mount -o remount,rw /proc/sys"),
    ("remount-root", "mount -o remount,suid,dev /"),
    ("umount-proc", "umount /proc/sys || umount -l /proc"),
    ("new-namespace", "unshare -Urm sh -c 'mount -t proc proc /srv && echo x >/srv/sys/kernel/hostname'"),
    ("network", "grep -v -E 'face|Inter|lo:' /proc/net/dev"),
    ("route", "grep -q '[0-9]' /proc/net/route"),
    ("environment", "env | grep -q -E 'CANARY|KILN|canary'"),
    ("descriptors", "ls /proc/self/fd | grep -v -x -E '[0-3]'"),
];

fn packages(_: &Path) -> Vec<Package> {
    let mut script = "#!/bin/sh\n".to_owned();
    for (name, text) in PROBES {
        script.push_str(&format!(
            "if ( {text} ) >/tmp/said 2>&1; then echo \"REACHED {name}: $(head -n 3 /tmp/said)\"; fi\n"
        ));
    }
    script.push_str("echo NAME $(cat /proc/sys/kernel/hostname)\nkill -9 1\necho \"ALL-TRIED $?\"\nexit 1\n");
    let probes = Package::new("probes", "1.0").depends("lent").script("postinst", &script);
    let lent = host::lent("lent", &["mount", "umount", "unshare"]);
    lent.into_iter().chain([probes]).collect()
}

#[test]
fn a_maintainer_script_finds_no_way_out() {
    let directory = Ground::place("refused");
    let ground = Ground::new(&directory, packages(&directory));
    if let Some(why) = ground.why_not() {
        return say(&format!("skipped: {why}"));
    }
    let image = Image { packages: &["probes"], ..Image::default() };
    let mut kiln = ground.kiln();
    let ended = ground.build_by("probes", &image, kiln.env("HOST_CANARY", super::canary::SECRET));
    let text = ended.text();
    let reached: Vec<&str> = text.lines().filter(|line| line.contains("REACHED ")).collect();
    assert!(text.contains("ALL-TRIED"), "{text}");
    assert!(reached.is_empty(), "{}", reached.join("\n"));
    assert!(text.contains("NAME kiln"), "{text}");
}

/// Words that would mean something else to a shell, to QEMU, to a file of `/etc` or to a path.
const LINES: [(&str, &str); 44] = [
    ("hostname", "image x { BASE hostname = \"a b\" }"),
    ("hostname with a line", "image x { BASE hostname = \"a\\nb\" }"),
    ("hostname option", "image x { BASE hostname = \"-a\" }"),
    ("hostname path", "image x { BASE hostname = \"../a\" }"),
    ("user with a colon", "image x { BASE user \"a:0:0\" { } }"),
    ("user with a line", "image x { BASE user \"a\\nroot2\" { } }"),
    ("user option", "image x { BASE user \"-a\" { } }"),
    ("user path", "image x { BASE user \"../a\" { } }"),
    ("shell with a colon", "image x { BASE user \"a\" { shell = \"/bin/sh:x\" } }"),
    ("shell with a line", "image x { BASE user \"a\" { shell = \"/bin/sh\\nroot2::0:0::/:/bin/sh\" } }"),
    ("relative shell", "image x { BASE user \"a\" { shell = \"sh\" } }"),
    ("home that climbs", "image x { BASE user \"a\" { home = \"/home/../../x\" } }"),
    ("relative home", "image x { BASE user \"a\" { home = \"home\" } }"),
    ("home with a colon", "image x { BASE user \"a\" { home = \"/home/a:x\" } }"),
    ("password with a colon", "image x { BASE user \"a\" { password-hash = \"x:0\" } }"),
    ("password with a line", "image x { BASE user \"a\" { password-hash = \"$6$x\\nroot::\" } }"),
    ("plain password", "image x { BASE user \"a\" { password-hash = \"secret\" } }"),
    ("file that climbs", "image x { BASE file \"/srv/../../x\" { text = \"\" } }"),
    ("relative file", "image x { BASE file \"srv/x\" { text = \"\" } }"),
    ("file with a line", "image x { BASE file \"/srv/a\\nb\" { text = \"\" } }"),
    ("the root as a file", "image x { BASE file \"/\" { text = \"\" } }"),
    ("directory that climbs", "image x { BASE directory \"/srv/../..\" { } }"),
    ("link that climbs", "image x { BASE link \"/srv/../../x\" = \"y\" }"),
    ("locale", "image x { BASE locale = \"C$(id)\" }"),
    ("locale with a line", "image x { BASE locale = \"C\\nX=1\" }"),
    ("time zone that climbs", "image x { BASE timezone = \"../../etc/passwd\" }"),
    ("time zone command", "image x { BASE timezone = \"$(id)\" }"),
    ("unit path", "image x { BASE enable = [\"../x.service\"] }"),
    ("unit command", "image x { BASE enable = [\"x.service; id\"] }"),
    ("file below a URL of this machine", "image x { BASE file \"/srv/x\" { source = url \"file:///etc/shadow\" } }"),
    ("file out of the project", "image x { BASE file \"/srv/x\" { source = file \"../../../../../../etc/passwd\" } }"),
    ("absolute file of the host", "image x { BASE file \"/srv/x\" { source = file \"/etc/passwd\" } }"),
    ("file by a link out", "image x { BASE file \"/srv/x\" { source = file \"out-of-here\" } }"),
    ("CPU with another value", "IMAGE machine y { MACHINE cpu = \"max,x=a b\" }"),
    ("CPU with a line", "IMAGE machine y { MACHINE cpu = \"max\\n-S\" }"),
    ("CPU with a blank", "IMAGE machine y { MACHINE cpu = \"max -monitor stdio\" }"),
    ("append with a line", "IMAGE machine y { MACHINE append = [\"a\\nb\"] }"),
    ("append with an escape", "IMAGE machine y { MACHINE append = [\"a\\u{1b}b\"] }"),
    ("import that climbs", "import \"../../../../../../etc/passwd\""),
    ("absolute import", "import \"/etc/passwd\""),
    ("import of /proc", "import \"/proc/self/environ\""),
    ("import of a link out", "import \"out-of-here\""),
    ("key file that climbs", "archive z { keys = [file \"../../../../../../etc/passwd\"] }"),
    ("suite that climbs", "archive z { suite = \"../../x\" keys = [file \"archive.asc\"] }"),
];

#[test]
fn words_of_a_recipe_stay_words() {
    let directory = Ground::place("words");
    let ground = Ground::new(&directory, Vec::new());
    std::os::unix::fs::symlink("/etc/passwd", ground.path("out-of-here")).unwrap();
    let base = "size = 64MiB tools = host-tools packages = [] base = essential serial-console = false dhcp = false";
    let head = "archive trixie { keys = [file \"archive.asc\"] }\n\
                packages host-tools { include = [\"busybox-static\", \"e2fsprogs\", \"kmod\", \"qemu-system-x86\"] base = none }\n\
                kernel stock { package = package \"linux-image-6.12.1-amd64\" }\n";
    let image = format!("image x {{ {base} }}");
    let machine = "kernel = stock image = x qemu = host-tools cpus = 1 memory = 256MiB";
    let check = |text: &str| {
        let text = text.replace("IMAGE", &format!("{image}\n")).replace("BASE", &format!("{base}\n"));
        std::fs::write(ground.path("words.kiln"), format!("{head}{}\n", text.replace("MACHINE", machine))).unwrap();
        run(ground.kiln().args(["check", "words.kiln"]))
    };
    for good in [
        "image x { BASE hostname = \"a\" user \"a\" { shell = \"/bin/sh\" home = \"/home/a\" } }",
        "IMAGE machine y { MACHINE cpu = \"max\" append = [\"a\"] }",
    ] {
        let ended = check(good);
        assert_eq!(ended.code, Some(0), "{good}: {}", ended.text());
    }
    let accepted: Vec<&str> =
        LINES.iter().filter(|(_, text)| check(text).code != Some(1)).map(|(name, _)| *name).collect();
    assert!(accepted.is_empty(), "not refused: {accepted:?}");
}

/// Names of artifacts and of files beside `launch.json`.
#[test]
fn names_in_a_directory_stay_below_it() {
    let directory = Ground::place("below");
    let ground = Ground::new(&directory, Vec::new());
    let at = ground.path("received");
    std::fs::create_dir_all(&at).unwrap();
    for name in ["../x", "/etc/passwd", "d/../../x", "", ".", "..", "a/..", "./../x"] {
        let zeros = "0".repeat(64);
        let manifest = format!(
            "{{\"format\": 1, \"recipe\": \"x\", \"output_version\": 1, \"lock\": \"{zeros}\", \"artifacts\": {{{name:?}: \
             {{\"size\": 1, \"sha256\": \"{zeros}\"}}}}, \"steps\": {{}}, \"qemu\": {{}}}}"
        );
        std::fs::write(at.join("manifest.json"), manifest).unwrap();
        for verb in ["verify", "run"] {
            let ended = run_within(ground.kiln().arg(verb).arg(&at), std::time::Duration::from_secs(60));
            let text = ended.text();
            assert!(ended.broken().is_none() && ended.code == Some(3), "{verb} {name:?}: {text}");
        }
    }
}

//! Maintainer scripts: they may do what they like with the image, and nothing with the host.

use std::path::Path;

use super::ground::{Ground, Image, victim};
use super::host;
use super::tally::{Attack, Front, Tally};
use crate::suite::archive_support::Package;

pub(super) static FRONT: Front = Front {
    name: "script",
    packages,
    attacks: &[
        Attack { row: 3, name: "script-links-to-delete", run: |ground, tally| planted(ground, tally, DELETE) },
        Attack { row: 3, name: "script-links-to-read", run: |ground, tally| planted(ground, tally, READ) },
        Attack { row: 3, name: "script-links-to-write", run: |ground, tally| planted(ground, tally, WRITE) },
        Attack { row: 3, name: "script-odd-trees", run: |ground, tally| planted(ground, tally, ODD) },
        Attack { row: 3, name: "script-that-stays", run: that_stays },
        Attack { row: 7, name: "script-device-modes", run: device_modes },
        Attack { row: 8, name: "script-keyring", run: keyring },
    ],
};

/// A name, and the postinst; `@` is the directory of the host.
type Script = (&'static str, &'static str);

const DELETE: &[Script] = &[
    ("var-backups", "rm -rf /var/backups; ln -s @ /var/backups"),
    ("var-log", "rm -rf /var/log; ln -s @ /var/log"),
    ("run", "ln -s @ /run/x; rm -rf /run; ln -s @ /run"),
    ("var-tmp", "rm -rf /var/tmp; ln -s @ /var/tmp"),
    (
        "var-cache",
        "rm -rf /var/cache; mkdir -p /srv/c; ln -s @ /srv/c/man; ln -s @ /srv/c/fontconfig; ln -s /srv/c /var/cache",
    ),
    ("var-lib-apt", "mkdir -p /var/lib/apt; ln -s @ /var/lib/apt/lists"),
    ("var-lib-dbus", "rm -rf /var/lib/dbus; ln -s @ /var/lib/dbus"),
    ("etc-ssh", "rm -rf /etc/ssh; ln -s @ /etc/ssh"),
    ("etc-ssl", "rm -rf /etc/ssl; ln -s @ /etc/ssl"),
    ("etc", "mv /etc /etc.own; ln -s @ /etc"),
    ("usr-share", "mkdir -p /srv/p; ln -s @ /srv/p/__pycache__; ln -s /srv/p /usr/share/python"),
    ("usr", "cp -a /usr /usr.own; mkdir /srv/u; ln -s @ /srv/u/__pycache__; ln -s /srv/u /usr/x"),
    ("proc-root", "rm -rf /var/backups; ln -s /proc/1/root@ /var/backups"),
];

const READ: &[Script] = &[
    ("skel", "rm -rf /etc/skel; ln -s @/sub/deeper /etc/skel"),
    ("skel-file", "ln -s @/thesis.txt /etc/skel/thesis"),
    ("skel-hops", "rm -rf /etc/skel; ln -s /srv/hop /etc/skel; ln -s @/sub/deeper /srv/hop"),
    ("passwd", "rm /etc/passwd; ln -s @/passwd /etc/passwd"),
    ("hostname", "rm -f /etc/hostname /etc/hosts; ln -s @/hostname /etc/hostname; ln -s @/hostname /etc/hosts"),
    ("zone", "mkdir -p /usr/share; ln -s @ /usr/share/zoneinfo"),
    ("release", "rm -f /etc/os-release; ln -s @/thesis.txt /etc/os-release; ln -s @/thesis.txt /usr/lib/os-release"),
    ("shells", "ln -s @/thesis.txt /etc/shells; ln -s @/thesis.txt /etc/login.defs; ln -s @/thesis.txt /etc/subuid"),
    ("by-proc", "rm -rf /etc/skel; ln -s /proc/self/root@/sub/deeper /etc/skel"),
];

const WRITE: &[Script] = &[
    ("default", "rm -rf /etc/default; ln -s @ /etc/default"),
    ("locale", "mkdir -p /etc/default; ln -s ../locale.conf /etc/default/locale; ln -s @/locale /etc/locale.conf"),
    (
        "network",
        "mkdir -p /usr/lib/systemd/system; : >/usr/lib/systemd/system/systemd-networkd.service; \
                 rm -rf /etc/systemd; mkdir /etc/systemd; ln -s @ /etc/systemd/network; ln -s true /usr/bin/systemctl",
    ),
    ("home", "rm -rf /home; ln -s @ /home"),
    ("home-bob", "mkdir -p /home; ln -s @ /home/bob"),
    ("home-ssh", "mkdir -p /home/bob; ln -s @ /home/bob/.ssh"),
    ("home-key", "mkdir -p /home/bob/.ssh; ln -s @/thesis.txt /home/bob/.ssh/authorized_keys"),
    ("shadow", "rm /etc/shadow /etc/group; ln -s @/shadow /etc/shadow; ln -s @/group /etc/group"),
    ("srv", "rm -rf /srv; ln -s @ /srv"),
    ("database", "mv /var/lib/dpkg /var/lib/dpkg.own; ln -s @ /var/lib/dpkg"),
    (
        "machine-id",
        "rm -f /etc/machine-id /etc/resolv.conf; ln -s @/machine-id /etc/machine-id; ln -s @/resolv.conf /etc/resolv.conf",
    ),
    ("dpkg-lies", "rm -rf /etc/default; ln -s @ /etc/default; cp /usr/bin/true /usr/bin/dpkg-query"),
];

/// Nothing leads out here; kiln must end, and clean up.
const ODD: &[Script] = &[
    ("pipe-passwd", "rm /etc/passwd; mkfifo /etc/passwd"),
    (
        "pipe-status",
        "rm -f /var/lib/dpkg/status-old; mkfifo /var/lib/dpkg/status-old; mkfifo /etc/default-locale; mkfifo /etc/skel/pipe",
    ),
    ("pipe-hosts", "rm -f /etc/hosts; mkfifo /etc/hosts; mkfifo /etc/machine-id; mkfifo /etc/resolv.conf"),
    ("pipe-key", "mkdir -p /etc/ssh /var/lib/apt/lists; mkfifo /etc/ssh/ssh_host_x_key /var/lib/apt/lists/x /root/key"),
    ("deep", "cd /srv; i=0; while [ $i -lt 3000 ]; do mkdir dddddddddd; cd dddddddddd; i=$((i+1)); done"),
    ("long-names", "cd /srv; n=$(printf '%0250d' 1); i=0; while [ $i -lt 30 ]; do mkdir $n; cd $n; i=$((i+1)); done"),
    ("newline", "printf x >\"/srv/a\nb\"; mkdir \"/etc/skel/c\nd\"; ln -s x \"/var/log/e\nf\""),
    ("no-mode", "mkdir /srv/closed; chmod 0 /srv/closed /etc/skel; chmod 0 /var/log"),
    ("many-links", "i=0; while [ $i -lt 300 ]; do ln /etc/group /srv/group.$i; i=$((i+1)); done"),
    (
        "loops",
        "ln -s loop /srv/loop; rm -rf /var/backups; ln -s backups /var/backups; rm -rf /etc/skel; ln -s skel /etc/skel",
    ),
    ("root-gone", "rm -rf /etc /home /srv 2>/dev/null; true"),
    ("passwd-directory", "rm /etc/passwd; mkdir /etc/passwd"),
];

fn packages(directory: &Path) -> Vec<Package> {
    let target = victim(directory, "script").display().to_string();
    let all = [DELETE, READ, WRITE, ODD].concat();
    let script = |name: &str, text: &str| {
        let text = format!("#!/bin/sh\n{}\nexit 0\n", text.replace('@', &target));
        Package::new(name, "1.0").architecture("all").script("postinst", &text)
    };
    let mut packages: Vec<Package> = all.iter().map(|(name, text)| script(&format!("script-{name}"), text)).collect();
    let stay = format!("setsid sleep {} </dev/null >/dev/null 2>&1 & sleep 0.1", marker());
    packages.push(script("stays", &stay));
    packages.push(script(
        "modes",
        "for mode in 0600 0000; do chmod $mode /dev/full && echo CHANGED; done; chown 1 /dev/full",
    ));
    packages.extend(host::lent("lent-perl", &["perl"]));
    let look = "perl -e 'my ($t, $d) = (\"user\", \"kiln-canary\"); my $k = syscall(250, 10, -3, $t, $d, 0); my $b = \"\\0\" x 100; \
                my $n = syscall(250, 11, $k, $b, 100); print \"KEY $k $n $b\\n\"'; cat /proc/keys; exit 1";
    packages.push(script("keys", look).field("Depends", "lent-perl"));
    packages
}

/// Seconds that nobody else sleeps.
fn marker() -> String {
    format!("3{:06}", std::process::id())
}

fn planted(ground: &Ground, tally: &mut Tally, scripts: &[Script]) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("script");
    for (name, text) in scripts {
        let dhcp = if *name == "network" { "  dhcp = true\n" } else { "" };
        let body = format!(
            "{dhcp}  user \"bob\" {{ authorized-keys = [\"ssh-ed25519 AAAA attacker\"] }}\n  file \"/srv/text\" {{ text = \"x\" }}"
        );
        let package = format!("script-{name}");
        let ended =
            ground.build(&format!("s-{name}"), &Image { packages: &[&package], body: &body, ..Image::default() });
        let left = std::fs::read_dir(ground.store().join("tmp")).unwrap().count();
        let left = (left > 2).then(|| format!("{left} things stayed in the store's tmp"));
        tally.case(text, ground.harm(&ended, &canary).or(left));
    }
}

fn that_stays(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let ended = ground.build("stays", &Image { packages: &["stays"], ..Image::default() });
    let mut words = ended.broken();
    let alive = || {
        let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
        let lines = all.filter_map(|path| std::fs::read(path).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&format!("sleep\0{}", marker()))).count()
    };
    if alive() > 0 {
        words = Some(format!("{} processes of a script outlived the build", alive()));
    }
    tally.case("a daemon", words);
}

/// The device nodes of a sandbox are the host's own.
fn device_modes(ground: &Ground, tally: &mut Tally) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if !tally.can_build(ground) {
        return;
    }
    let node = || std::fs::metadata("/dev/full").map(|data| (data.mode() & 0o7777, data.uid(), data.gid()));
    let Ok(before) = node() else { return tally.skip("there is no /dev/full here") };
    let ended = ground.build("modes", &Image { packages: &["modes"], ..Image::default() });
    let after = node().unwrap();
    if after != before {
        std::fs::set_permissions("/dev/full", std::fs::Permissions::from_mode(before.0)).unwrap();
        std::os::unix::fs::chown("/dev/full", Some(before.1), Some(before.2)).unwrap();
    }
    let changed = (after != before).then(|| format!("/dev/full of the host was {before:?} and became {after:?}"));
    tally.case("chmod and chown of /dev/full", changed.or(ended.broken()));
}

/// The caller has a key in the session keyring; a script looks for it.
fn keyring(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let holds = "my ($n, $t, $k, $v) = (\"kiln-test\", \"user\", \"kiln-canary\", \"HOST-SECRET\"); syscall(250, 1, $n) > 0 or exit 77; \
                 syscall(248, $t, $k, $v, 11, -3) > 0 or exit 77; exec @ARGV";
    let wrapped = ["perl", "-e", holds];
    if super::ground::run(ground.wrapped(&wrapped).arg("--version")).code != Some(0) {
        return tally.skip("no perl, or no session keyring, on this machine");
    }
    let image = Image { packages: &["keys"], ..Image::default() };
    let ended = ground.build_by("keys", &image, &mut ground.wrapped(&wrapped));
    let text = ended.text();
    let seen = ["HOST-SECRET", "kiln-canary", "kiln-test"].into_iter().find(|word| text.contains(word));
    let looked = text.contains("KEY ");
    let seen = seen.map(|word| format!("a script saw `{word}` of the caller's keyring: {text}"));
    tally.case("the caller's session keyring", seen.or((!looked).then(|| format!("the script never looked: {text}"))));
}

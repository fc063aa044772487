//! A Debian in miniature, without a network: packages made of this machine's own shell, coreutils and dpkg.
//!
//! They are enough for a whole build: real maintainer scripts run under a real dpkg in the image, tools are shell scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::suite::archive_support::Package;

/// What the image and the tools can run.
const PROGRAMS: [&str; 32] = [
    "bash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "dd",
    "dpkg",
    "dpkg-query",
    "env",
    "find",
    "grep",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mv",
    "printf",
    "readlink",
    "rm",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sleep",
    "stat",
    "tar",
    "touch",
    "true",
    "truncate",
];
/// Dpkg wants to find these before it does anything; in a build it calls none of them.
const STAND_INS: [&str; 5] = ["diff", "dpkg-deb", "dpkg-split", "ldconfig", "start-stop-daemon"];

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\nnogroup:x:65534:\n";
const SHADOW: &[u8] = b"root:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n";
const GSHADOW: &[u8] = b"root:*::\nnogroup:*::\n";

/// What every image has before any other package is configured.
const BASE_FILES: &str = "#!/bin/sh\nset -e\nmkdir -p /etc\ncp /usr/share/base-files/* /etc\nchmod 0640 /etc/shadow /etc/gshadow\n\
    mkdir -p /etc/skel /home /root /srv /var/log /var/tmp\n\
    echo 'umask 022' >/etc/skel/.profile\necho 'of this image' >/var/log/bootstrap.log\n";

/// Answers every question about properties with all names that a plain machine needs. Started as a machine it says how,
/// and does what a hostile package wants.
const QEMU: &str = r#"#!/bin/sh
case " $* " in
  *" -machine none "*) ;;
  *)
    echo "QEMU-STARTED $*"
    [ ! -e /usr/share/attack/guest ] || . /usr/share/attack/guest
    exit 0
    ;;
esac
echo '{"QMP":{"version":{"qemu":{"micro":0,"minor":1,"major":11},"package":""}}}'
list= more=
[ ! -e /usr/share/attack/properties ] || . /usr/share/attack/properties
for name in addr bootindex bus drive filename id mac netdev rng romfile serial cxl $more; do
  list="$list${list:+,}{\"name\":\"$name\",\"type\":\"x\"}"
done
while read -r line; do
  case "$line" in
    *'"quit"'*) exit 0 ;;
    *'"id":"'*) id=${line#*\"id\":\"}; id=${id%%\"*}; echo "{\"return\":[$list],\"id\":\"$id\"}" ;;
    *) echo '{"return":{}}' ;;
  esac
done
"#;

const DEPMOD: &str = "#!/bin/sh\nfor modules in \"$2\"/usr/lib/modules/*; do : >\"$modules/modules.dep\"; done\n";

/// The names of the packages of every recipe's tools.
pub(crate) const TOOLS: [&str; 6] =
    ["busybox-static", "e2fsprogs", "kmod", "libarchive13t64", "qemu-system-x86", "userland"];

/// Everything that a recipe needs besides what attacks it; `None` where this machine has no dpkg to lend.
pub(crate) fn packages() -> Option<Vec<Package>> {
    let mut userland = Package::new("userland", "1.0").essential();
    let mut libraries = BTreeMap::new();
    for program in PROGRAMS {
        let (bytes, needs) = program_of_the_host(program)?;
        userland = userland.file(&format!("/usr/bin/{program}"), 0o755, &bytes);
        libraries.extend(needs);
    }
    for (path, bytes) in &libraries {
        userland = userland.file(path, 0o755, bytes);
    }
    let mut dpkg = Package::new("dpkg", "1.21").essential();
    for name in STAND_INS {
        dpkg = dpkg.file(&format!("/usr/sbin/{name}"), 0o755, b"#!/bin/sh\nexit 0\n");
    }
    let mut base = Package::new("base-files", "13").essential();
    // Nothing of these is dpkg's: it does not miss them when a script replaces them.
    for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("shadow", SHADOW), ("gshadow", GSHADOW)] {
        base = base.file(&format!("/usr/share/base-files/{name}"), 0o644, text);
    }
    base = base.script("postinst", BASE_FILES);
    let release = "/usr/lib/modules/6.12.1-amd64";
    let builtin = "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/block/virtio_blk.ko\nkernel/fs/ext4/ext4.ko\n";
    let kernel = Package::new("linux-image-6.12.1-amd64", "6.12.1-1")
        .file("/boot/vmlinuz-6.12.1-amd64", 0o644, b"kernel")
        .file("/boot/config-6.12.1-amd64", 0o644, b"CONFIG_64BIT=y\n")
        .file(&format!("{release}/kernel/x.ko"), 0o644, b"module")
        .file(&format!("{release}/modules.builtin"), 0o644, builtin.as_bytes());
    Some(vec![
        userland,
        dpkg,
        base,
        kernel,
        Package::new("busybox-static", "1.37").file("/usr/bin/busybox", 0o755, b"busybox"),
        tool("e2fsprogs", "1.47", "/usr/sbin/mke2fs", "#!/bin/sh\nexit 1\n"),
        tool("kmod", "34", "/usr/sbin/depmod", DEPMOD),
        Package::new("libarchive13t64", "3.7").file("/usr/lib/libarchive.so.13", 0o644, b"library"),
        tool("qemu-system-x86", "1:11.1.0-1", "/usr/bin/qemu-system-x86_64", QEMU),
    ])
}

/// A package of one shell script.
pub(crate) fn tool(name: &str, version: &str, path: &str, script: &str) -> Package {
    Package::new(name, version).file(path, 0o755, script.as_bytes())
}

/// Programs of this machine as a package of their own, with the libraries that [`packages`] lacks.
pub(crate) fn lent(name: &str, programs: &[&str]) -> Option<Package> {
    let mut package = Package::new(name, "1.0");
    let of_all = PROGRAMS.iter().filter_map(|program| program_of_the_host(program));
    let known: BTreeSet<String> = of_all.flat_map(|(_, needs)| needs.into_keys()).collect();
    let mut libraries = BTreeMap::new();
    for program in programs {
        let (bytes, needs) = program_of_the_host(program)?;
        package = package.file(&format!("/usr/bin/{program}"), 0o755, &bytes);
        libraries.extend(needs.into_iter().filter(|(path, _)| !known.contains(path)));
    }
    Some(libraries.into_iter().fold(package, |package, (path, bytes)| package.file(&path, 0o755, &bytes)))
}

/// Files by the path under which programs look for them.
type Files = BTreeMap<String, Vec<u8>>;

/// A program's bytes, and its libraries.
fn program_of_the_host(name: &str) -> Option<(Vec<u8>, Files)> {
    let place = std::fs::canonicalize(format!("/usr/bin/{name}")).ok()?;
    let listed = Command::new("ldd").arg(&place).output().ok()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    let mut libraries = BTreeMap::new();
    for path in paths {
        libraries.insert(
            format!("/usr/{}", path.trim_start_matches("/usr").trim_start_matches('/')),
            std::fs::read(path).ok()?,
        );
    }
    Some((std::fs::read(place).ok()?, libraries))
}

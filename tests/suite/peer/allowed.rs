//! What may differ between kiln's tree and mmdebstrap's, and why.

use std::collections::BTreeMap;

use crate::suite::tree::Node;

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    OnlyKiln,
    OnlyPeer,
    Content,
    Kind(String),
    Owner(String),
    Capability,
}

/// What a reason covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covers {
    /// It is only in kiln's tree.
    Added,
    /// It is only in mmdebstrap's.
    Removed,
    /// Other bytes.
    Content,
    /// The same lines or stanzas in another order.
    Order,
    /// The same stanzas in another order, but for lines that begin or end like this.
    Lines(&'static str),
    /// The same but for the day of the last change (fields 3 of shadow(5)).
    Day,
    /// Another mode or owner.
    Owner,
}

/// One reason. A path that ends in `*` stands for all that begin like it.
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) covers: Covers,
    /// The package without which it is not so; after `!` the one with which it is not so; empty for every set.
    pub(super) with: &'static str,
    pub(super) why: &'static str,
}

const fn entry(path: &'static str, covers: Covers, with: &'static str, why: &'static str) -> Entry {
    Entry { path, covers, with, why }
}

use Covers::{Added, Content, Day, Lines, Order, Owner, Removed};

pub(super) const ALLOWED: &[Entry] = &[
    entry("dev/*", Owner, "", "mmdebstrap gives every device to root"),
    entry("etc/.pwd.lock", Removed, "", "a lock that nobody holds"),
    entry("etc/.updated", Added, "systemd", "the build did what the first boot would do"),
    entry("etc/apt/apt.conf.d/99mmdebstrap", Removed, "", "options of mmdebstrap's own apt"),
    entry("etc/apt/sources.list", Removed, "", "names the repository of the build"),
    entry("etc/default/locale", Added, "!systemd", "the recipe's locale"),
    entry("etc/fstab", Removed, "", "mmdebstrap's says that it is unconfigured; kiln's comes with a recipe's disk"),
    entry("etc/group", Order, "systemd", "kiln sorts accounts by number"),
    entry("etc/group-", Removed, "", "the state before the last change"),
    entry("etc/gshadow", Order, "systemd", "kiln sorts accounts by number"),
    entry("etc/gshadow-", Removed, "systemd", "the state before the last change"),
    entry("etc/hostname", Content, "", "the recipe names the machine; mmdebstrap copies the builder's"),
    entry("etc/hostname", Owner, "", "mmdebstrap's copy is executable"),
    entry("etc/hosts", Content, "netbase", "the recipe names the machine"),
    entry("etc/hosts", Added, "!netbase", "the recipe names the machine"),
    entry("etc/locale.conf", Added, "systemd", "the recipe's locale"),
    entry("etc/machine-id", Added, "!systemd", "empty, and there"),
    entry("etc/machine-id", Owner, "systemd", "0444, as systemd makes it"),
    entry("etc/nvme/host*", Removed, "nvme-cli", "names of a machine"),
    entry("etc/passwd", Order, "systemd", "kiln sorts accounts by number"),
    entry("etc/passwd-", Removed, "", "the state before the last change"),
    entry("etc/resolv.conf", Removed, "", "mmdebstrap copies the builder's"),
    entry("etc/shadow", Day, "", "kiln dates passwords to the epoch, and sorts"),
    entry("etc/shadow-", Removed, "systemd", "the state before the last change"),
    entry("etc/shells", Order, "", "kiln sorts the shells"),
    entry("etc/ssh/ssh_host_*", Removed, "openssh-server", "keys are made at first boot"),
    entry("etc/systemd/system/kiln-first-boot.service", Added, "nvme-cli", "makes the names of the machine"),
    entry("etc/systemd/system/multi-user.target.wants/kiln-first-boot.service", Added, "nvme-cli", "enables it"),
    entry("usr/lib/kiln*", Added, "nvme-cli", "what it runs"),
    entry("etc/systemd/system/kiln-ssh-host-keys.service", Added, "openssh-server", "makes them"),
    entry(
        "etc/systemd/system/multi-user.target.wants/kiln-ssh-host-keys.service",
        Added,
        "openssh-server",
        "enables it",
    ),
    entry("etc/systemd/system/kiln-ssh-rsa-host-key.*", Added, "openssh-server", "makes the RSA key after the boot"),
    entry("etc/systemd/system/timers.target.wants/kiln-ssh-rsa-host-key.timer", Added, "openssh-server", "enables it"),
    entry("etc/timezone", Added, "tzdata", "the recipe's time zone, for programs that look there"),
    entry("run/*", Removed, "", "mounted over at boot"),
    entry("usr/*/__pycache__*", Removed, "python3", "bytecode"),
    entry("var/.updated", Added, "systemd", "the build did what the first boot would do"),
    entry("var/cache/apt/archives/lock", Removed, "", "a lock that nobody holds"),
    entry("var/cache/apt/archives/partial", Owner, "", "as the package has it; apt closes it when it runs"),
    entry("var/cache/debconf/config.dat", Lines("Owners:"), "", "kiln sorts; a preinst asks under another name"),
    entry("var/cache/debconf/*", Removed, "", "the state before the last change"),
    entry("var/lib/apt/lists/lock", Removed, "", "a lock that nobody holds"),
    entry("var/lib/apt/lists/partial", Owner, "", "as the package has it; apt closes it when it runs"),
    entry("var/lib/dpkg/arch", Removed, "", "names the one architecture, which dpkg knows by itself"),
    entry("var/lib/dpkg/diversions-old", Removed, "", "the state before the last change"),
    entry(
        "var/lib/dpkg/status",
        Lines("remove-on-upgrade"),
        "procps",
        "kiln sorts, and lists only configuration files that exist",
    ),
    entry("var/lib/dpkg/statoverride", Added, "nginx", "empty, as dpkg reads one that is missing"),
    entry("var/lib/dpkg/status-old", Removed, "", "the state before the last change"),
    entry("var/lib/dpkg/triggers/File", Order, "systemd", "kiln sorts the lines"),
    entry("var/log/*", Removed, "", "logs of the build"),
];

impl Entry {
    /// Whether this is the reason of a difference.
    pub(super) fn explains(
        &self,
        path: &str,
        difference: &Difference,
        ours: &BTreeMap<String, Node>,
        peer: &BTreeMap<String, Node>,
    ) -> bool {
        let here = match self.path.strip_suffix('*') {
            // A second star, in the middle, is anything at all.
            Some(parts) => match parts.split_once('*') {
                Some((beginning, within)) => path.starts_with(beginning) && path.contains(within),
                None => path.starts_with(parts),
            },
            None => path == self.path,
        };
        here && match (self.covers, difference) {
            (Added, Difference::OnlyKiln) | (Removed, Difference::OnlyPeer) => true,
            (Content, Difference::Content) | (Owner, Difference::Owner(_)) => true,
            (Order, Difference::Content) => sorted(&ours[path], false) == sorted(&peer[path], false),
            (Lines(mark), Difference::Content) => without(&ours[path], mark) == without(&peer[path], mark),
            (Day, Difference::Content) => sorted(&ours[path], true) == sorted(&peer[path], true),
            _ => false,
        }
    }
}

/// [`sorted`] without lines that begin or end with `mark`.
fn without(node: &Node, mark: &str) -> Vec<String> {
    let kept = |part: &String| -> Vec<String> {
        part.lines().filter(|line| !line.starts_with(mark) && !line.ends_with(mark)).map(str::to_owned).collect()
    };
    let mut parts: Vec<String> = sorted(node, false).iter().map(|part| kept(part).join("\n")).collect();
    parts.sort();
    parts
}

/// Stanzas, or lines where there are none, in order; members of groups, too.
pub(super) fn sorted(node: &Node, without_day: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(&node.content).into_owned();
    let separator = if text.contains("\n\n") { "\n\n" } else { "\n" };
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        if without_day && fields.len() == 9 {
            fields[2] = "";
        }
        fields.join(":").trim().to_owned()
    };
    let mut parts: Vec<String> = text.split(separator).map(line).filter(|part| !part.is_empty()).collect();
    parts.sort();
    parts
}

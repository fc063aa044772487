//! kiln's choice of packages beside apt's own, over real archives, from the very same index files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kiln::base::span::Span;
use kiln::base::{FileId, SourceMap};
use kiln::debian::archive::ArchiveRef;
use kiln::debian::packages::{Index, IndexBuilder};
use kiln::debian::solve::{Offer, Problem, Why, solve};
use kiln::recipe::packages::{Base, PackageRequest};
use rayon::prelude::*;

use super::private_apt::{PrivateApt, SUITES};

/// What is asked for; `NAME/ARCHIVE` pins; the last field is the base.
const SETS: &[(&str, &[&str], Base)] = &[
    ("web", &["nginx", "postgresql"], Base::None),
    ("python", &["python3", "python3-venv", "build-essential"], Base::None),
    ("java", &["openjdk-21-jre-headless", "ca-certificates-java"], Base::None),
    ("containers", &["containerd", "runc", "nftables", "iptables", "containernetworking-plugins"], Base::Required),
    ("docker", &["docker.io"], Base::None),
    ("fonts", &["fontconfig", "fonts-dejavu", "man-db", "locales"], Base::None),
    ("desktop-services", &["network-manager", "openssh-server", "sudo", "polkitd", "dbus"], Base::Required),
    ("storage", &["nvme-cli", "mdadm", "lvm2", "cryptsetup"], Base::Required),
    ("mail", &["exim4", "logrotate", "cron"], Base::None),
    ("graphics", &["xserver-xorg-core", "vim", "emacs-nox"], Base::None),
    ("qemu", &["qemu-system-x86/trixie-backports"], Base::None),
    ("qemu-stable", &["qemu-system-x86", "qemu-utils"], Base::None),
    (
        "kernel-build",
        &["gcc", "make", "bc", "bison", "flex", "libelf-dev", "libssl-dev", "dwarves", "rsync", "kmod", "cpio"],
        Base::Essential,
    ),
    ("init", &["systemd-sysv", "udev", "dbus", "systemd-resolved"], Base::Required),
    ("cxl", &["ndctl", "cxl", "daxctl", "numactl"], Base::Required),
    ("kernel", &["linux-image-amd64"], Base::None),
    ("kernel-backport", &["linux-image-amd64/trixie-backports"], Base::Required),
    ("mirror", &["mmdebstrap", "debootstrap", "devscripts", "git"], Base::None),
    ("cluster", &["etcd-server", "haproxy", "keepalived", "conntrack", "ipvsadm", "socat"], Base::None),
    ("gnome", &["gnome-core"], Base::Required),
    ("kde", &["kde-plasma-desktop"], Base::None),
    ("latex", &["texlive-latex-extra", "pandoc", "r-base-core"], Base::None),
    ("sound", &["default-mta", "pipewire-audio", "apache2", "php"], Base::None),
    ("wide", &["task-ssh-server", "libreoffice-calc", "wine", "steam-devices"], Base::None),
];

/// `(set, package)`: what differs on purpose, and why. An entry that is not needed fails the test.
const EXPLAINED: &[(&str, &str, &str)] =
    &[("qemu", "libasound2t64", ONLY_WHAT_IS_NEEDED), ("qemu", "libasound2-data", ONLY_WHAT_IS_NEEDED)];

const ONLY_WHAT_IS_NEEDED: &str = "qemu-system-common wants libasound2t64 (>= 1.0.16), which stable's satisfies; apt, told \
    to take qemu-system-common from backports, takes this from there too; kiln takes from backports only what nothing else satisfies";

/// Sets that apt 2.6 refuses as they stand, because it does not take the dependencies of a pinned package from the pinned
/// archive (`have unmet dependencies`); it is told the pin of each package that kiln takes from there.
const HELPED: &[&str] = &["qemu"];

type Versions = BTreeMap<String, String>;

#[test]
fn twenty_sets_are_chosen_as_apt_chooses_them() {
    if std::env::var_os("KILN_LIVE").is_none() {
        println!("skipped without KILN_LIVE=1: kiln's choices beside apt's over Debian's archives");
        return;
    }
    let apt = PrivateApt::new(&std::env::temp_dir().join("kiln-apt-judge"));
    let indexes = indexes(&apt);
    let mut unused: BTreeSet<(String, String)> =
        EXPLAINED.iter().map(|(set, package, _)| ((*set).to_owned(), (*package).to_owned())).collect();
    let mut wrong = Vec::new();
    let chosen = SETS.par_iter().map(|(name, requests, base)| {
        let (ours, order, backports) = ours(&indexes, requests, *base);
        let theirs = simulate(&apt, &order);
        let helped = || simulate(&apt, &[order.clone(), backports].concat());
        (name, ours, theirs.clone(), theirs.or_else(|_| helped()).unwrap_or_default())
    });
    for (name, ours, alone, theirs) in chosen.collect::<Vec<_>>() {
        if alone.is_ok() == HELPED.contains(name) {
            wrong.push(format!("{name}: {alone:?}"));
        }
        for package in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (ours, theirs) = (ours.get(package), theirs.get(package));
            if ours != theirs && !unused.remove(&((*name).to_owned(), package.clone())) {
                wrong.push(format!("{name}: {package}: kiln {ours:?}, apt {theirs:?}"));
            }
        }
        println!("{name}: {} packages", ours.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.is_empty(), "explained, but equal: {unused:?}");
}

/// Our choice, and the arguments that make apt choose the same base.
fn ours(indexes: &[Index], requests: &[&str], base: Base) -> (Versions, Vec<String>, Vec<String>) {
    let span = Span { file: file(), start: 0, end: 0 };
    let requests: Vec<PackageRequest> = requests
        .iter()
        .map(|request| {
            let (name, archive) =
                request.split_once('/').map_or((*request, None), |(name, archive)| (name, Some(archive)));
            PackageRequest { name: name.to_owned(), archive: archive.map(str::to_owned), version: None, span }
        })
        .collect();
    let archives = SUITES.map(|(name, _)| ArchiveRef::current(name));
    let offers = SUITES.iter().zip(&archives).zip(indexes);
    let problem = Problem {
        offers: offers.map(|(((_, priority), archive), index)| Offer { archive, priority: *priority, index }).collect(),
        architecture: "amd64",
        requests: &requests,
        base,
        recommends: false,
        exclude: &[],
        locked: BTreeMap::new(),
    };
    let solution = solve(&problem).unwrap();
    let implied: BTreeSet<_> = solution
        .iter()
        .filter(|chosen| matches!(chosen.why, Why::Essential | Why::Required))
        .map(|c| c.stanza.name())
        .collect();
    let mut order: Vec<String> = implied.into_iter().map(str::to_owned).collect();
    order.extend(requests.iter().map(|request| match &request.archive {
        Some(archive) => format!("{}/{archive}", request.name),
        None => request.name.clone(),
    }));
    let versions =
        solution.iter().map(|chosen| (chosen.stanza.name().to_owned(), chosen.stanza.version().to_owned())).collect();
    let backports = solution.iter().filter(|chosen| chosen.archive.is_current_of("trixie-backports"));
    let backports = backports.map(|chosen| format!("{}/trixie-backports", chosen.stanza.name())).collect();
    (versions, order, backports)
}

fn file() -> FileId {
    SourceMap::default().add(PathBuf::from("test.kiln"), String::new())
}

fn simulate(apt: &PrivateApt, packages: &[String]) -> Result<Versions, String> {
    let mut arguments = vec!["-s", "--no-install-recommends"];
    arguments.extend(packages.iter().map(String::as_str));
    let output = apt.run("install", &arguments)?;
    let lines = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    let versions = lines.map(|line| {
        let (name, rest) = line.split_once(" (").unwrap();
        (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
    });
    Ok(versions.collect())
}

fn indexes(apt: &PrivateApt) -> Vec<Index> {
    let lists = apt.root.join("var/lib/apt/lists");
    let index = |suite: &str| {
        let end = format!("_dists_{suite}_main_binary-amd64_Packages");
        let found = std::fs::read_dir(&lists).unwrap().map(|entry| entry.unwrap().path());
        let path = found.into_iter().find(|path| path.to_str().unwrap().ends_with(&end)).expect("apt fetched it");
        let mut builder = IndexBuilder::default();
        builder.read(std::io::BufReader::new(std::fs::File::open(path).unwrap()), "amd64").unwrap();
        builder.finish()
    };
    SUITES.iter().map(|(suite, _)| index(suite)).collect()
}

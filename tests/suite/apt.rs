//! kiln's choice of packages beside apt's own, over real archives, from the very same index files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::base::span::Span;
use kiln::base::{FileId, SourceMap};
use kiln::debian::packages::{Builder, Index};
use kiln::debian::solve::{Offer, Problem, solve};
use kiln::recipe::packages::{Base, PackageRequest};

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
const EXPLAINED: &[(&str, &str, &str)] = &[];

/// Sets that apt 2.6 refuses as they stand, because it does not take the dependencies of a pinned package from the pinned
/// archive (`have unmet dependencies`); it is told the pin of each package that kiln takes from there.
const HELPED: &[&str] = &["qemu"];

const ARCHIVES: [(&str, i32); 4] =
    [("trixie", 500), ("trixie-updates", 500), ("trixie-security", 500), ("trixie-backports", 100)];

type Versions = BTreeMap<String, String>;

#[test]
fn twenty_sets_are_chosen_as_apt_chooses_them() {
    if std::env::var_os("KILN_LIVE").is_none() {
        println!("skipped without KILN_LIVE=1: kiln's choices beside apt's over Debian's archives");
        return;
    }
    let apt = Apt::new(&std::env::temp_dir().join("kiln-apt-judge"));
    let indexes = apt.indexes();
    let mut unused: BTreeSet<(String, String)> =
        EXPLAINED.iter().map(|(set, package, _)| ((*set).to_owned(), (*package).to_owned())).collect();
    let mut wrong = Vec::new();
    for (name, requests, base) in SETS {
        let (ours, order, backports) = ours(&indexes, requests, *base);
        let theirs = apt.simulate(&order);
        if theirs.is_ok() == HELPED.contains(name) {
            wrong.push(format!("{name}: {theirs:?}"));
        }
        let helped = || apt.simulate(&[order.clone(), backports].concat());
        let theirs = theirs.or_else(|_| helped()).unwrap_or_default();
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
    let offers = ARCHIVES.iter().zip(indexes);
    let problem = Problem {
        offers: offers.map(|((archive, priority), index)| Offer { archive, priority: *priority, index }).collect(),
        architecture: "amd64",
        requests: &requests,
        base,
        recommends: false,
        exclude: &[],
        locked: BTreeMap::new(),
    };
    let started = std::time::Instant::now();
    let solution = solve(&problem).unwrap();
    println!("  solved in {:?}", started.elapsed());
    let implied: BTreeSet<_> = solution
        .iter()
        .filter(|chosen| ["essential", "required"].contains(&chosen.why.as_str()))
        .map(|c| c.stanza.name())
        .collect();
    let mut order: Vec<String> = implied.into_iter().map(str::to_owned).collect();
    order.extend(requests.iter().map(|request| match &request.archive {
        Some(archive) => format!("{}/{archive}", request.name),
        None => request.name.clone(),
    }));
    let versions =
        solution.iter().map(|chosen| (chosen.stanza.name().to_owned(), chosen.stanza.version().to_owned())).collect();
    let backports = solution.iter().filter(|chosen| chosen.archive == "trixie-backports");
    let backports = backports.map(|chosen| format!("{}/trixie-backports", chosen.stanza.name())).collect();
    (versions, order, backports)
}

fn file() -> FileId {
    SourceMap::default().add(PathBuf::from("test.kiln"), String::new())
}

/// A private apt: its own lists, no installed packages.
struct Apt {
    root: PathBuf,
}

impl Apt {
    fn new(root: &Path) -> Apt {
        for directory in [
            "etc/apt/preferences.d",
            "etc/apt/apt.conf.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
        ] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let sources = std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources").expect("a Debian host");
        let uri = |repository: &str| {
            let uris = sources.lines().filter_map(|line| line.strip_prefix("URIs:")).flat_map(str::split_whitespace);
            uris.map(|uri| uri.trim_end_matches('/'))
                .find(|uri| uri.rsplit('/').next() == Some(repository))
                .expect("the host's sources name the repository")
                .to_owned()
        };
        let lines = ARCHIVES.iter().map(|(suite, _)| {
            let repository = if suite.ends_with("-security") { "debian-security" } else { "debian" };
            let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
            format!("deb [arch=amd64 signed-by={key}] {} {suite} main\n", uri(repository))
        });
        std::fs::write(root.join("etc/apt/sources.list"), lines.collect::<String>()).unwrap();
        let apt = Apt { root: root.to_owned() };
        apt.run("update", &[]).unwrap();
        apt
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("apt-get")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .args(["-o".to_owned(), format!("Dir={}", self.root.display())])
            .args([
                "-o",
                "Dir::State::status=/dev/null",
                "-o",
                "APT::Architecture=amd64",
                "-o",
                "APT::Architectures=amd64",
            ])
            .args([
                "-o",
                "Acquire::Languages=none",
                "-o",
                "Acquire::GzipIndexes=false",
                "-o",
                "APT::Sandbox::User=root",
            ])
            .arg(verb)
            .args(arguments)
            .output()
            .expect("apt-get runs");
        let text = String::from_utf8(output.stdout).unwrap();
        if output.status.success() { Ok(text) } else { Err(text + &String::from_utf8_lossy(&output.stderr)) }
    }

    fn simulate(&self, packages: &[String]) -> Result<Versions, String> {
        let mut arguments = vec!["-s", "--no-install-recommends"];
        arguments.extend(packages.iter().map(String::as_str));
        let output = self.run("install", &arguments)?;
        let lines = output.lines().filter_map(|line| line.strip_prefix("Inst "));
        let versions = lines.map(|line| {
            let (name, rest) = line.split_once(" (").unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
        });
        Ok(versions.collect())
    }

    fn indexes(&self) -> Vec<Index> {
        let lists = self.root.join("var/lib/apt/lists");
        let index = |suite: &str| {
            let end = format!("_dists_{suite}_main_binary-amd64_Packages");
            let found = std::fs::read_dir(&lists).unwrap().map(|entry| entry.unwrap().path());
            let path = found.into_iter().find(|path| path.to_str().unwrap().ends_with(&end)).expect("apt fetched it");
            let mut builder = Builder::default();
            builder.read(std::io::BufReader::new(std::fs::File::open(path).unwrap()), "amd64").unwrap();
            builder.finish()
        };
        ARCHIVES.iter().map(|(suite, _)| index(suite)).collect()
    }
}

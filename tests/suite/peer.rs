//! An independent builder as a judge: mmdebstrap makes a tree of the same packages in the same versions, and kiln's must
//! be the same file by file: content, kind, mode, owner, link target, capabilities. What may differ is a short list with
//! reasons, and an entry that is not needed fails.

mod allowed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::base::Digest;
use kiln::plan::root::{RootIds, RootSpec, RootUnits};

use super::live::{Scratch, has_its_turn, judge, live, succeed};
use super::packages::{self, Package};
use super::root::{SPEC, WORK, one_build_in};
use super::tree::{Node, read};
use allowed::{ALLOWED, Difference};

/// A flat repository of packages that are on this disk; versions and digests are those of the packages themselves.
fn repository(directory: &Path, packages: &[Package]) {
    std::fs::create_dir_all(directory).unwrap();
    let mut index = String::new();
    for package in packages {
        // Without the version, whose epoch would have to be quoted.
        let name = format!("{}_{}.deb", package.locked.name, package.locked.architecture);
        let bytes = std::fs::read(&package.file).unwrap();
        std::fs::write(directory.join(&name), &bytes).unwrap();
        let control = succeed(Command::new("dpkg-deb").arg("--field").arg(&package.file)).stdout;
        let control = String::from_utf8(control).unwrap();
        let (size, digest) = (bytes.len(), Digest::of(&bytes));
        index.push_str(&format!("{control}Filename: ./{name}\nSize: {size}\nSHA256: {digest}\n\n"));
    }
    std::fs::write(directory.join("Packages"), index).unwrap();
}

fn mmdebstrap(scratch: &Scratch, packages: &[Package]) -> PathBuf {
    let (place, out) = (scratch.path("repository"), scratch.path("peer.tar"));
    repository(&place, packages);
    let names: Vec<&str> = packages.iter().map(|package| package.locked.name.as_str()).collect();
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=custom", &format!("--include={}", names.join(","))]);
    // apt's own user reads the repository.
    command.arg("--aptopt=APT::Sandbox::User \"root\"").arg("trixie").arg(&out);
    succeed(command.arg(format!("deb [trusted=yes] copy://{} ./", place.display())));
    out
}

/// The numbers that mmdebstrap's scripts gave: kiln is told to give the same, for both follow from an order.
fn ids(peer: &BTreeMap<String, Node>) -> RootIds {
    let table = |path: &str| -> BTreeMap<String, u32> {
        let text = String::from_utf8(peer[path].content.clone()).unwrap();
        let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields.map(|fields| (fields[0].to_owned(), fields[2].parse().unwrap())).collect()
    };
    RootIds { users: table("etc/passwd"), groups: table("etc/group") }
}

/// Kiln's root of packages alone: no users, files or units of a recipe.
fn spec(ids: RootIds) -> RootSpec {
    RootSpec {
        users: Vec::new(),
        files: Vec::new(),
        units: RootUnits::default(),
        serial_console: false,
        dhcp: false,
        root_device: None,
        ids,
        new_ids: false,
        ..super::root::spec()
    }
}

fn compare(name: &str, set: &str) {
    let named = format!("a tree of {set} by kiln and by mmdebstrap");
    if !live(&named) || !has_its_turn(name, SETS) || !judge("mmdebstrap") {
        return;
    }
    let scratch = Scratch::new(&format!("peer-{name}"));
    let packages = packages::fetch("trixie", &set.split(' ').collect::<Vec<_>>());
    let peer = read(&mmdebstrap(&scratch, &packages));
    let work = scratch.path("kiln");
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(scratch.path("spec.json"), serde_json::to_vec(&spec(ids(&peer))).unwrap()).unwrap();
    let mut build = one_build_in(set, &work);
    succeed(build.env(SPEC, scratch.path("spec.json")).env(WORK, &work));
    let ours = read(&work.join("out/root.tar"));
    assert!(ours.len() > 3000 && peer.len() > 3000, "{} and {} files", ours.len(), peer.len());
    // Its script gives one program a capability; without it nothing would say that capabilities are compared.
    let capable = ours.values().filter(|node| node.capability.is_some()).count();
    assert_eq!(capable > 0, set.contains("mtr-tiny"), "{capable} files with capabilities");
    let (unexplained, unused) = judged(&ours, &peer, &packages);
    println!("{name}: {} files of kiln, {} of mmdebstrap", ours.len(), peer.len());
    assert!(unexplained.is_empty(), "not explained:\n{}", unexplained.join("\n"));
    assert!(unused.is_empty(), "allowed, but not needed any more:\n{}", unused.join("\n"));
}

/// Differences that nothing explains, and explanations that nothing needs.
fn judged(
    ours: &BTreeMap<String, Node>,
    peer: &BTreeMap<String, Node>,
    packages: &[Package],
) -> (Vec<String>, Vec<String>) {
    let of_set = |entry: &&allowed::Entry| {
        let there = |name: &str| packages.iter().any(|package| package.locked.name == name);
        entry.with.is_empty() || entry.with.strip_prefix('!').map_or_else(|| there(entry.with), |name| !there(name))
    };
    let entries: Vec<&allowed::Entry> = ALLOWED.iter().filter(of_set).collect();
    let mut used = vec![false; entries.len()];
    let mut unexplained = Vec::new();
    let paths: std::collections::BTreeSet<&String> = ours.keys().chain(peer.keys()).collect();
    for path in paths {
        for difference in differences(ours.get(path), peer.get(path)) {
            let reason = entries.iter().position(|entry| entry.explains(path, &difference, ours, peer));
            match reason {
                Some(at) => used[at] = true,
                None => unexplained
                    .push(format!("/{path}: {difference:?}{}", shown(&difference, ours.get(path), peer.get(path)))),
            }
        }
    }
    let unused = entries.iter().zip(used).filter(|(_, used)| !used);
    (unexplained, unused.map(|(entry, _)| format!("{} ({})", entry.path, entry.why)).collect())
}

/// The first lines or stanzas that only one of the two has.
fn shown(difference: &Difference, ours: Option<&Node>, peer: Option<&Node>) -> String {
    let (Difference::Content, Some(a), Some(b)) = (difference, ours, peer) else { return String::new() };
    let (a, b) = (allowed::sorted(a, false), allowed::sorted(b, false));
    let odd = |a: &[String], b: &[String]| -> String {
        a.iter().filter(|part| !b.contains(part)).take(2).map(|part| format!("\n  {part:.600?}")).collect()
    };
    format!("\n only kiln:{}\n only mmdebstrap:{}", odd(&a, &b), odd(&b, &a))
}

fn differences(ours: Option<&Node>, peer: Option<&Node>) -> Vec<Difference> {
    let (Some(a), Some(b)) = (ours, peer) else {
        return vec![if ours.is_some() { Difference::OnlyKiln } else { Difference::OnlyPeer }];
    };
    let mut found = Vec::new();
    if a.kind != b.kind || a.link != b.link {
        found.push(Difference::Kind(format!("{:?} {} / {:?} {}", a.kind, a.link, b.kind, b.link)));
    }
    if a.content != b.content {
        found.push(Difference::Content);
    }
    if (a.mode, a.uid, a.gid) != (b.mode, b.uid, b.gid) {
        let owner = |node: &Node| format!("{:o} {}:{}", node.mode, node.uid, node.gid);
        found.push(Difference::Owner(format!("{} / {}", owner(a), owner(b))));
    }
    if a.capability != b.capability {
        found.push(Difference::Capability);
    }
    found
}

macro_rules! sets {
    ($($name:ident: $set:expr,)*) => {
        const SETS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                compare(stringify!($name), $set);
            }
        )*
    };
}

sets! {
    server: "systemd-sysv dbus openssh-server libcap2-bin mtr-tiny sudo udev",
    web: "nginx python3 ca-certificates",
    storage: "systemd-sysv lvm2 nvme-cli cron logrotate",
}

//! Packages without scripts, whose links stand where kiln or dpkg's database goes next.

use std::path::Path;

use super::ground::{Ground, Image, victim};
use super::tally::{Attack, Front, Tally};
use crate::suite::archive_support::Package;

pub(super) static FRONT: Front = Front {
    name: "package",
    packages,
    attacks: &[
        Attack { row: 2, name: "package-links", run: links },
        Attack { row: 2, name: "package-triggers", run: triggers },
        Attack { row: 2, name: "package-odd-trees", run: odd_trees },
    ],
};

/// Each is a package that has nothing but this link.
const LINKS: [&str; 22] = [
    "/etc/apt",
    "/etc/default",
    "/etc/postgresql-common",
    "/etc/skel/.ssh",
    "/etc/ssh",
    "/etc/ssl/certs",
    "/etc/systemd",
    "/run",
    "/srv",
    "/tmp",
    "/usr/lib/systemd/system",
    "/usr/sbin/policy-rc.d",
    "/var/backups",
    "/var/cache/man",
    "/var/lib/apt/lists",
    "/var/lib/dbus",
    "/var/lib/dpkg/alternatives",
    "/var/lib/dpkg/info",
    "/var/lib/dpkg/parts",
    "/var/lib/dpkg/triggers",
    "/var/lib/dpkg/updates",
    "/var/tmp",
];

/// What makes kiln put something into a directory that it has no other reason to touch.
const BAIT: [&str; 4] =
    ["/etc/ssh/sshd_config", "/usr/sbin/sshd", "/usr/lib/postgresql/17/bin/initdb", "/usr/lib/systemd/systemd"];

fn packages(directory: &Path) -> Vec<Package> {
    let target = victim(directory, "links").display().to_string();
    let mut packages = Vec::new();
    for (number, path) in LINKS.into_iter().enumerate() {
        let mut package = Package::new(&format!("link{number}"), "1.0").architecture("all");
        for bait in BAIT.into_iter().filter(|bait| !bait.starts_with(path)) {
            package = package.file(bait, 0o755, b"#!/bin/sh\n");
        }
        let file = if path == "/usr/sbin/policy-rc.d" { "/thesis.txt" } else { "" };
        packages.push(package.link(path, &format!("{target}{file}")));
    }
    let target = victim(directory, "triggers").display().to_string();
    let lines =
        "interest-noawait /**/APT::Update::Pre-Invoke {\"touch /PWNED\";};/*\ninterest status-old\ninterest passwd\n";
    let first = Package::new("trigger0", "1.0").architecture("all").link("/var/lib/dpkg/triggers", &target);
    packages.push(first.script("triggers", lines));
    let second = Package::new("trigger1", "1.0").architecture("all").script("triggers", "interest-noawait /*/ //\n");
    packages.push(second);
    let named = Package::new("trigger2", "1.0").architecture("all");
    packages.push(
        named.script("triggers", &format!("interest ../../../../../..{target}/thesis.txt\ninterest ..\ninterest .\n")),
    );
    packages.extend(odd(directory));
    packages
}

fn links(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("links");
    for (number, path) in LINKS.into_iter().enumerate() {
        let ended = ground.build("static", &Image { packages: &[&format!("link{number}")], ..Image::default() });
        tally.case(path, ground.harm(&ended, &canary));
    }
}

fn triggers(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("triggers");
    for packages in [&["trigger0"][..], &["trigger0", "trigger1"], &["trigger2"]] {
        let ended = ground.build("triggers", &Image { packages, ..Image::default() });
        tally.case(&packages.join(" and "), ground.harm(&ended, &canary));
    }
}

/// Trees that are legal and strange.
fn odd(directory: &Path) -> Vec<Package> {
    let target = victim(directory, "odd").display().to_string();
    let new = |name: &str| Package::new(name, "1.0").architecture("all");
    let mut many = new("many-links");
    for number in 0..3000 {
        many = many.link(&format!("/srv/many/{number}"), &target);
    }
    let mut chain = new("long-chain").link("/var/cache/man", "/srv/chain/0");
    for number in 0..60 {
        chain = chain.link(&format!("/srv/chain/{number}"), &format!("{}", number + 1));
    }
    vec![
        many,
        chain.link("/srv/chain/60", &target),
        // A directory of one package is a link of the next.
        new("first-a-directory").file("/srv/both/passwd", 0o644, b"of the image\n"),
        new("then-a-link").link("/srv/both", &target),
        new("circle").link("/var/cache/man", "/var/backups").link("/var/backups", "/var/cache/man"),
        new("itself").link("/var/cache/man", "man"),
    ]
}

fn odd_trees(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("odd");
    for packages in
        [&["many-links"][..], &["long-chain"], &["first-a-directory", "then-a-link"], &["circle"], &["itself"]]
    {
        let ended = ground.build("odd", &Image { packages, ..Image::default() });
        tally.case(&packages.join(" and "), ground.harm(&ended, &canary));
    }
}

//! A recipe alone, over honest packages: links over the directories that kiln's own rules work on, pipes in the places of
//! files, names that are checked twice.

use std::time::Duration;

use super::ground::{Ground, Image, run, run_within};
use super::tally::{Attack, Front, Tally};
use crate::suite::tree;

pub(super) static FRONT: Front = Front {
    name: "recipe",
    packages: |_| Vec::new(),
    attacks: &[
        Attack { row: 1, name: "recipe-links", run: links },
        Attack { row: 1, name: "recipe-links-by-other-ways", run: other_ways },
        Attack { row: 1, name: "recipe-link-that-is-honest", run: honest },
        Attack { row: 17, name: "recipe-pipes", run: pipes },
        Attack { row: 20, name: "recipe-unit-names", run: unit_names },
    ],
};

/// Directories in which a rule or a part of a root file system reads, writes or removes something.
const DIRECTORIES: [&str; 28] = [
    "/etc/apt",
    "/etc/bind",
    "/etc/default",
    "/etc/iscsi",
    "/etc/nvme",
    "/etc/postgresql-common",
    "/etc/skel",
    "/etc/ssh",
    "/etc/ssl",
    "/etc/ssl/certs",
    "/etc/systemd",
    "/etc/systemd/network",
    "/etc/systemd/system",
    "/home/bob",
    "/run",
    "/srv/x",
    "/tmp",
    "/usr/lib/systemd",
    "/usr/share/__pycache__",
    "/var/backups",
    "/var/cache/apt/archives",
    "/var/cache/debconf",
    "/var/cache/fontconfig",
    "/var/cache/ldconfig",
    "/var/cache/man",
    "/var/lib/apt/lists",
    "/var/lib/dbus",
    "/var/log/x",
];

/// An image that links one directory to another place, and has a user whose home is made.
fn link(path: &str, target: &str) -> String {
    let home = if path == "/home/bob" { "/home/bob/deep" } else { "/home/bob" };
    format!(
        "  link \"{path}\" = \"{target}\"\n  user \"bob\" {{ home = \"{home}\" authorized-keys = [\"ssh-ed25519 AAAA attacker\"] }}"
    )
}

fn links(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("links");
    for path in DIRECTORIES {
        let body = link(path, &canary.path().display().to_string());
        let ended = ground.build("linked", &Image { body: &body, ..Image::default() });
        tally.case(path, ground.harm(&ended, &canary));
    }
}

/// Relative, in two hops, and by the kernel's own links.
fn other_ways(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("other");
    let target = canary.path().display().to_string();
    let up = "../".repeat(30);
    for (way, body) in [
        ("relative", link("/var/cache/man", &format!("{up}{}", &target[1..]))),
        ("by /proc/self/root", link("/var/cache/man", &format!("/proc/self/root{target}"))),
        ("by /proc/1/root", link("/var/backups", &format!("/proc/1/root{target}"))),
        ("by /proc/self/cwd", link("/var/cache/man", &format!("/proc/self/cwd/{up}{}", &target[1..]))),
        ("by /dev/fd", link("/var/cache/man", &format!("/dev/fd/3/{up}{}", &target[1..]))),
        ("in two hops", format!("{}\n  link \"/srv/hop\" = \"{target}\"", link("/var/cache/man", "/srv/hop"))),
        (
            "in two relative hops",
            format!("{}\n  link \"/srv/hop\" = \"{up}{}\"", link("/var/backups", "../../srv/hop"), &target[1..]),
        ),
        ("of a parent", link("/var/lib/apt", &target)),
        ("of a file", link("/etc/passwd", &format!("{target}/passwd"))),
        ("of another file", link("/etc/resolv.conf", &format!("{target}/resolv.conf"))),
        ("of a log", link("/var/log/x", &format!("{target}/thesis.txt"))),
    ] {
        let ended = ground.build("otherwise", &Image { body: &body, ..Image::default() });
        tally.case(way, ground.harm(&ended, &canary));
    }
}

/// Whoever links a directory of the image to another of the image means that one, and gets it.
fn honest(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let body = "  directory \"/srv/man\" { }\n  file \"/srv/man/index\" { text = \"of the image\" }\n  link \"/var/cache/man\" = \"/srv/man\"";
    let ended = ground.build("honest", &Image { body, ..Image::default() });
    if ended.code != Some(0) {
        return tally.case("an honest link", Some(format!("was refused: {}", ended.text())));
    }
    let lock = std::fs::read_to_string(ground.path("honest.lock")).unwrap();
    let line = lock.lines().find(|line| line.contains("honest/root.tar")).unwrap();
    let digest = line.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    let tree = tree::read(&ground.store().join("cas").join(digest));
    let there = tree.contains_key("var/cache/man") && tree.contains_key("srv/man");
    tally.case("an honest link", (!there).then(|| "the link or its target is not in the image".to_owned()));
}

/// Reading a named pipe waits for a writer who never comes.
fn pipes(ground: &Ground, tally: &mut Tally) {
    let fifo = ground.path("pipe.kiln");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(ground.path("socket.kiln")).unwrap();
    ground.recipe("tiny", &Image::default());
    std::fs::write(ground.path("importing.kiln"), "import \"pipe.kiln\"\n").unwrap();
    std::fs::write(ground.path("importing-a-socket.kiln"), "import \"socket.kiln\"\n").unwrap();
    std::fs::write(ground.path("keys.kiln"), "archive x { keys = [file \"pipe.kiln\"] }\n").unwrap();
    std::fs::create_dir_all(ground.path("below/lockfiles")).unwrap();
    ground.recipe("holding", &Image { body: "  file \"/srv/x\" { source = file \"pipe.kiln\" }", ..Image::default() });
    for words in [
        &["check", "pipe.kiln"][..],
        &["check", "importing.kiln"],
        &["check", "importing-a-socket.kiln"],
        &["check", "keys.kiln"],
        &["check", "holding.kiln"],
        &["fmt", "--check", "pipe.kiln"],
        &["fmt", "pipe.kiln"],
        &["plan", "tiny.kiln", "--lock", "pipe.kiln"],
        &["build", "tiny.kiln", "--lock", "pipe.kiln"],
        &["lock", "tiny.kiln", "--lock", "pipe.kiln"],
        &["kconfig", "diff", "pipe.kiln", "pipe.kiln"],
    ] {
        let ended = run_within(ground.kiln().args(words), Duration::from_secs(60));
        tally.case(&words.join(" "), ended.broken());
    }
    drop(socket);
}

/// What `check` passes, a build does not refuse for its name, and a name starts nothing.
fn unit_names(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    for unit in [
        "-x.service",
        "a\\\\x2dfoo.service",
        "--root=x.service",
        "a@b@c.service",
        "@.service",
        ":.service",
        "..service",
        "a..service",
    ] {
        for list in ["mask", "enable"] {
            let body = format!("  {list} = [\"{unit}\"]");
            let image = Image { body: &body, ..Image::default() };
            ground.recipe("units", &image);
            if run(ground.kiln().args(["check", "units.kiln"])).code != Some(0) {
                tally.case(unit, None);
                continue;
            }
            let ended = ground.build("units", &image);
            let late = ended.text().contains("is not the name of a");
            let late = late.then(|| format!("`check` passes it, and a build says: {}", ended.text()));
            tally.case(&format!("{list} {unit}"), ended.broken().or(late));
        }
    }
}

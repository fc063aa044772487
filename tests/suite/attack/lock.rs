//! Locks that are well-formed and say too little: an error with a way out, never a panic.

use kiln::lock::{Lock, read, write};

use super::ground::{Ground, Image, run};
use super::tally::{Attack, Front, Tally};

pub(super) static FRONT: Front = Front {
    name: "lock",
    packages: |_| Vec::new(),
    attacks: &[
        Attack { row: 15, name: "lock-lacks-a-part", run: parts },
        Attack { row: 15, name: "lock-lacks-a-package", run: packages },
        Attack { row: 15, name: "lock-lacks-a-line", run: lines },
        Attack { row: 14, name: "lock-asks-another-place", run: another_place },
    ],
};

/// Writes a lock whose checksum is right, and lets kiln read it.
fn tried(ground: &Ground, lock: &Lock) -> Option<String> {
    written(ground, &write(lock))
}

fn written(ground: &Ground, text: &str) -> Option<String> {
    std::fs::write(ground.path("crafted.lock"), text).unwrap();
    for words in
        [&["plan"][..], &["build", "--offline"], &["run", "--print"], &["lock", "--check"], &["verify", "--inputs"]]
    {
        let (verb, rest) = words.split_first().unwrap();
        let ended = run(ground.kiln().arg(verb).args(["sourced.kiln", "--lock", "crafted.lock"]).args(rest));
        if let Some(how) = ended.broken() {
            return Some(format!("{verb}: {how}"));
        }
        if *verb == "plan" && ended.code == Some(0) {
            return Some("a lock that lacks something was accepted".to_owned());
        }
    }
    None
}

/// A recipe with a file from a server, and its lock.
fn honest(ground: &Ground) -> Lock {
    ground.server.put("/some/file", b"content".to_vec());
    let body = format!("  file \"/srv/x\" {{ source = url \"{}/some/file\" }}", ground.server.url());
    let locked = ground.lock("sourced", &Image { body: &body, ..Image::default() });
    assert_eq!(locked.code, Some(0), "{}", locked.text());
    read(&std::fs::read_to_string(ground.path("sourced.lock")).unwrap()).unwrap()
}

/// A change, and what it is called.
type Change = (&'static str, fn(&mut Lock));

const CHANGES: &[Change] = &[
    ("no sets", |lock| lock.sets.clear()),
    ("empty sets", |lock| lock.sets.values_mut().for_each(Vec::clear)),
    ("no tools", |lock| _ = lock.sets.remove("host-tools")),
    ("empty tools", |lock| lock.sets.get_mut("host-tools").unwrap().clear()),
    ("no archives", |lock| lock.archives.clear()),
    ("no sources", |lock| lock.sources.clear()),
    ("empty sources", |lock| lock.sources.values_mut().for_each(|source| source.files.clear())),
];

fn parts(ground: &Ground, tally: &mut Tally) {
    let lock = honest(ground);
    for (name, change) in CHANGES {
        let mut changed = lock.clone();
        change(&mut changed);
        if changed != lock {
            tally.case(name, tried(ground, &changed));
        }
    }
    let sets: Vec<String> = lock.sets.keys().cloned().collect();
    for set in sets {
        let mut changed = lock.clone();
        changed.sets.remove(&set);
        tally.case(&format!("no set {set}"), tried(ground, &changed));
    }
}

/// Each package that a step looks for by its name.
fn packages(ground: &Ground, tally: &mut Tally) {
    let lock = honest(ground);
    for name in ["busybox-static", "e2fsprogs", "kmod", "qemu-system-x86", "linux-image-6.12.1-amd64", "dpkg"] {
        let mut changed = lock.clone();
        changed.sets.values_mut().for_each(|set| set.retain(|package| package.name != name));
        std::fs::write(ground.path("crafted.lock"), write(&changed)).unwrap();
        for words in [&["plan"][..], &["run", "--print"], &["build", "--offline"]] {
            let (verb, rest) = words.split_first().unwrap();
            let ended = run(ground.kiln().arg(verb).args(["sourced.kiln", "--lock", "crafted.lock"]).args(rest));
            tally.case(&format!("{verb} without {name}"), ended.broken());
        }
    }
}

/// Every line left out in turn, with a checksum that is right, or none.
fn lines(ground: &Ground, tally: &mut Tally) {
    let text = write(&honest(ground));
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("checksum = ")).collect();
    for at in 1..lines.len() {
        let mut kept = lines.clone();
        let line = kept.remove(at);
        if line.is_empty() {
            continue;
        }
        std::fs::write(ground.path("crafted.lock"), kept.join("\n")).unwrap();
        let ended = run(ground.kiln().args(["plan", "sourced.kiln", "--lock", "crafted.lock"]));
        tally.case(&format!("without `{line}`"), ended.broken());
    }
}

/// The recipe says where a source is, not a lock that somebody sent.
fn another_place(ground: &Ground, tally: &mut Tally) {
    let lock = honest(ground);
    let trap = super::served::Trap::new();
    let text = write(&lock);
    let lines = text.lines().filter(|line| !line.starts_with("checksum = "));
    let lines: Vec<String> = lines.map(|line| line.replace(&ground.server.url(), &trap.url())).collect();
    std::fs::write(ground.path("crafted.lock"), lines.join("\n")).unwrap();
    std::fs::write(ground.path("again.lock"), lines.join("\n")).unwrap();
    let empty = ground.path("empty-store");
    for words in [
        &["lock", "sourced.kiln", "--lock", "again.lock"][..],
        &["lock", "sourced.kiln", "--lock", "again.lock", "--update"],
        &["verify", "--inputs", "sourced.kiln", "--lock", "crafted.lock"],
        &["build", "sourced.kiln", "--lock", "crafted.lock"],
    ] {
        let ended = run(ground.kiln().env("KILN_STORE", &empty).args(words));
        let asked = trap.visits().first().map(|line| format!("a place that only the lock names was asked: {line}"));
        tally.case(&words.join(" "), asked.or(ended.broken()));
    }
}

//! Steps that take all there is, and what an error says of them. The bounds are set low here: `KILN_LIMITS`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ground::{Ended, Ground, Image, run_within};
use super::host;
use super::tally::{Attack, Front, Tally};
use crate::suite::archive_support::Package;

pub(super) static FRONT: Front = Front {
    name: "bounds",
    packages,
    attacks: &[
        Attack { row: 12, name: "bounds-of-scripts", run: scripts },
        Attack { row: 12, name: "bounds-of-tools", run: tools },
        Attack { row: 12, name: "bounds-that-are-not-hit", run: not_hit },
        Attack { row: 18, name: "bounds-logs-are-kept", run: logs },
    ],
};

/// A name, what it does, and the bound that must end it.
type Bomb = (&'static str, &'static str, &'static str);

/// Each is small enough to harm nobody where nothing bounds it, and ends well only where nothing did; but for the last,
/// whose end is not the log's. What is watched waits for a minute, which nobody does where the watch works: on a busy machine it looks late.
const BOMBS: [Bomb; 9] = [
    ("processes", "i=0; while [ $i -lt 600 ]; do sleep 5 & i=$((i+1)); done; echo MARK", "processes=100"),
    (
        "threads",
        "for i in 1 2 3 4 5 6; do (for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done; sleep 5) & done; wait; echo MARK",
        "processes=40",
    ),
    ("tmp", "head -c 400000000 /dev/zero >/tmp/x; echo MARK", "memory=128MiB"),
    ("shm", "head -c 400000000 /dev/zero >/dev/shm/x; echo MARK", "memory=128MiB"),
    ("heap", "x=$(head -c 150000000 /dev/zero | sed 's/\\x00/x/g'); y=$x$x; sleep 60; echo MARK", "memory=128MiB"),
    ("disk", "head -c 400000000 /dev/zero >$OUT/x; sleep 60; echo MARK", "disk=128MiB"),
    ("sparse", "truncate -s 900M $OUT/x; echo MARK", "disk=128MiB"),
    ("silence", "sleep 150; echo MARK", "silence=3s"),
    ("log", "i=0; l=$(printf '%01000d' 1); while [ $i -lt 60000 ]; do echo $l; i=$((i+1)); done; exit 1", "log=1MiB"),
];

fn packages(_: &Path) -> Vec<Package> {
    let mut packages = Vec::new();
    for (name, text, _) in BOMBS {
        let script = |out: &str, end: &str| format!("#!/bin/sh\nset -e\nOUT={out}\n{text}\n{end}\n");
        let of_image = script("/srv", "rm -f /tmp/x /dev/shm/x; exit 0");
        packages.push(
            Package::new(&format!("bomb-{name}"), "1.0")
                .architecture("all")
                .file("/srv/here", 0o644, b"")
                .script("postinst", &of_image),
        );
        packages.push(host::tool(&format!("zz-bomb-{name}"), "1.0", "/usr/bin/tar", &script(".", "exit 0")));
    }
    let lines = "#!/bin/sh\ni=0; while [ $i -lt 100 ]; do echo line-$i; i=$((i+1)); done; exit 1\n";
    packages.push(Package::new("wordy", "1.0").architecture("all").script("postinst", lines));
    packages.push(host::tool("zz-wordy", "1.0", "/usr/bin/tar", lines));
    packages
}

/// Under this bound the step must fail, by an error that names one, and soon.
fn ended_by(ground: &Ground, image: &Image<'_>, limit: &str) -> Option<String> {
    let locked = ground.lock("bomb", image);
    if locked.code != Some(0) {
        return Some(locked.text());
    }
    // A net below: where nothing else bounds what is written, this does.
    let mut kiln = ground.wrapped(&["sh", "-c", "ulimit -f 2000000; exec \"$0\" \"$@\""]);
    let ended = run_within(
        kiln.env("KILN_LIMITS", limit).args(["build", "--allow-leaks", "bomb.kiln"]),
        Duration::from_secs(120),
    );
    let text = ended.text();
    if ended.code == Some(0) {
        return Some("nothing ended it".to_owned());
    }
    // Where a file system is in memory, either bound may be the first that is hit.
    let names = ["memory", "processes", "disk", "silence", "log"];
    let named = text.contains("limit") && names.into_iter().any(|name| text.contains(&format!("--limit {name}=")));
    let unnamed = (!named).then(|| format!("the error does not name the limit: {text}"));
    ended.broken().or_else(|| large_log(ground)).or(unnamed)
}

fn large_log(ground: &Ground) -> Option<String> {
    let logs = std::fs::read_dir(ground.store().join("log")).ok()?;
    let sizes = logs.map(|entry| entry.unwrap().metadata().unwrap().len());
    sizes.max().filter(|size| *size > 16 << 20).map(|size| format!("a log of {size} bytes"))
}

fn scripts(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    for (name, _, limit) in BOMBS {
        let package = format!("bomb-{name}");
        tally.case(
            &format!("{name} of a script"),
            ended_by(ground, &Image { packages: &[&package], ..Image::default() }, limit),
        );
    }
}

fn tools(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    // A hole in a file that is no output takes no room.
    for (name, _, limit) in BOMBS.into_iter().filter(|(name, ..)| *name != "sparse") {
        let tool = format!("zz-bomb-{name}");
        tally.case(
            &format!("{name} of a tool"),
            ended_by(ground, &Image { tools: &[&tool], ..Image::default() }, limit),
        );
    }
}

/// The same bounds leave an honest build alone.
fn not_hit(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    for limit in ["processes=100", "memory=512MiB", "disk=512MiB", "silence=60s", "log=1MiB"] {
        let image = Image::default();
        let locked = ground.lock("honest", &image);
        let mut kiln = ground.kiln();
        let ended = run_within(
            kiln.env("KILN_LIMITS", limit).args(["build", "--allow-leaks", "--no-cache", "honest.kiln"]),
            super::ground::PATIENCE,
        );
        let refused = (ended.code != Some(0)).then(|| format!("was refused: {}{}", locked.text(), ended.text()));
        tally.case(&format!("an honest build under {limit}"), refused);
    }
}

/// The log that an error names holds what the step said.
fn logs(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let script = ground.build("wordy", &Image { packages: &["wordy"], ..Image::default() });
    let tool = ground.build("wordy", &Image { tools: &["zz-wordy"], ..Image::default() });
    for (way, ended) in [("a maintainer script", script), ("a tool", tool)] {
        tally.case(way, empty_log(&ended));
    }
}

fn empty_log(ended: &Ended) -> Option<String> {
    let text = ended.text();
    let Some((_, place)) = text.lines().find_map(|line| line.split_once("its whole log: ")) else {
        return Some(format!("no log is named: {text}"));
    };
    let log = std::fs::read_to_string(PathBuf::from(place)).unwrap_or_default();
    let whole = (0..100).all(|number| log.contains(&format!("line-{number}")));
    (!whole).then(|| format!("the log has {} bytes", log.len()))
}

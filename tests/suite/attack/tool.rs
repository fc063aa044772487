//! A hostile program in a step: what it leaves in its output directory, and what others see of it meanwhile.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ground::{Ground, Image, run, start, victim};
use super::host;
use super::tally::{Attack, Front, Tally};
use crate::suite::archive_support::Package;

pub(super) static FRONT: Front = Front {
    name: "tool",
    packages,
    attacks: &[
        Attack { row: 4, name: "tool-output-is-a-link", run: links },
        Attack { row: 4, name: "tool-odd-outputs", run: odd },
        Attack { row: 17, name: "tool-pipes", run: pipes },
        Attack { row: 6, name: "tool-set-uid-files", run: set_uid },
        Attack { row: 6, name: "store-modes", run: store_modes },
    ],
};

/// A name, and what `tar` does when it is to pack the output of the step `depmod`; `@` is the directory of the host.
type Script = (&'static str, &'static str);

/// What such a program does before, when it is to unpack the modules.
const UNPACK: &str =
    "#!/bin/sh\nPATH=/usr/bin:/usr/sbin\n[ \"$1\" = -c ] || { mkdir -p tree/usr/lib/modules/6.12.1-amd64; exit 0; }\n";

const LINKS: &[Script] = &[
    ("read", "rm -f depmod.tar; ln -s @/id_ed25519 depmod.tar"),
    ("read-zero", "rm -f depmod.tar; ln -s /dev/zero depmod.tar"),
    ("read-hops", "rm -f depmod.tar; ln -s hop depmod.tar; ln -s @/id_ed25519 hop"),
    ("read-proc", "rm -f depmod.tar; ln -s /proc/self/environ depmod.tar"),
    ("write-log", "rm -f ../log; ln -s @/thesis.txt log; ln -s @/thesis.txt ../log; false"),
];

const PIPES: &[Script] = &[
    ("pipe-raw", "rm -f depmod.tar; mkfifo depmod.tar"),
    ("pipe-both", "rm -f depmod.tar; mkfifo depmod.tar merged.tar"),
];

/// Beside an archive that is a file: what the next step makes is made where this one never was.
const BESIDE: &[Script] = &[
    ("write", "(head -c 64000 /dev/urandom; echo attacker) >depmod.tar; ln -s @/thesis.txt merged.tar"),
    ("write-new", "ln -s @/new merged.tar"),
    ("write-directory", "ln -s @ merged.tar"),
    ("pipe-merged", "mkfifo merged.tar"),
    ("pipe-beside", "mkfifo pipe; ln -s pipe merged.tar"),
    ("archive-directory", "mkdir merged.tar; echo x >merged.tar/x"),
    ("own-archive", "echo not an archive >merged.tar"),
];

const ODD: &[Script] = &[
    ("directory", "rm -f depmod.tar; mkdir depmod.tar"),
    ("no-mode", "echo x >depmod.tar; chmod 0 depmod.tar . ; true"),
    ("deep", "i=0; while [ $i -lt 3000 ]; do mkdir dddddddddd; cd dddddddddd; i=$((i+1)); done"),
    ("closed-deep", "mkdir -p a/b/c; echo x >a/b/c/d; chmod 0 a/b/c a/b a"),
    ("hard-links", "echo x >depmod.tar; i=0; while [ $i -lt 300 ]; do ln depmod.tar other.$i; i=$((i+1)); done"),
    ("not-there", "rm -f depmod.tar"),
    ("gone", "rm -rf \"$PWD\"/* \"$PWD\"; true"),
    ("hole", "truncate -s 1P depmod.tar || truncate -s 8T depmod.tar"),
];

fn packages(directory: &Path) -> Vec<Package> {
    let target = victim(directory, "tool").display().to_string();
    let tool = |name: &str, text: &str| {
        let text = text.replace('@', &target);
        // Of two packages with the same file, the later has its way in a tree of tools.
        host::tool(&format!("zz-{name}"), "1.0", "/usr/bin/tar", &format!("{UNPACK}{text}\n"))
    };
    let mut packages: Vec<Package> =
        [LINKS, PIPES, BESIDE, ODD].concat().iter().map(|(name, text)| tool(name, text)).collect();
    packages.push(tool(
        "suid",
        "cp /usr/bin/sh rootsh; chmod 6755 rootsh; mkdir open; chmod 7777 open . ; cp rootsh open/; \
                                chmod 6755 open/rootsh; sleep 2",
    ));
    packages
}

fn each(ground: &Ground, tally: &mut Tally, scripts: &[Script]) {
    if !tally.can_build(ground) {
        return;
    }
    let canary = ground.canary("tool");
    for (name, text) in scripts {
        let ended = ground.build(&format!("t-{name}"), &Image { tools: &[&format!("zz-{name}")], ..Image::default() });
        // An output that is no file of the step must not be used.
        let file = [ODD, BESIDE].iter().any(|list| scripts.as_ptr() == list.as_ptr());
        let accepted = (ended.code == Some(0) && !file).then(|| "the build succeeded".to_owned());
        let left: Vec<PathBuf> =
            std::fs::read_dir(ground.store().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let left = (left.len() > 2).then(|| format!("this stayed in the store's tmp: {left:?}"));
        tally.case(text, ground.harm(&ended, &canary).or(accepted).or(left));
    }
}

fn links(ground: &Ground, tally: &mut Tally) {
    // What is written over by the step's log is no archive.
    each(ground, tally, LINKS);
    each(ground, tally, BESIDE);
}

fn odd(ground: &Ground, tally: &mut Tally) {
    each(ground, tally, ODD);
}

fn pipes(ground: &Ground, tally: &mut Tally) {
    each(ground, tally, PIPES);
}

/// While a step runs, nobody else can reach a set-uid file that it made.
fn set_uid(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let image = Image { tools: &["zz-suid"], ..Image::default() };
    for umask in ["022", "000"] {
        let store = ground.path(&format!("store-{umask}"));
        ground.lock("suid", &image);
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut kiln = ground.wrapped(&["sh", "-c", &script]);
        kiln.env("KILN_STORE", &store).args(["build", "--allow-leaks", "suid.kiln"]);
        let mut running = start(&mut kiln);
        let mut found = None;
        while running.child.try_wait().unwrap().is_none() {
            found = found.or_else(|| reachable_set_uid(&store));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let ended = running.finish(super::ground::PATIENCE);
        let found = found.map(|path| format!("everybody could run {}", path.display()));
        let ran = ended.text().contains("depmod stock");
        let never = (!ran).then(|| format!("the tool never ran: {}", ended.text()));
        tally.case(&format!("a set-uid shell under umask {umask}"), found.or(never).or(ended.broken()));
    }
}

/// A set-uid or set-gid file of the caller below a directory, to which others have a way.
fn reachable_set_uid(directory: &Path) -> Option<PathBuf> {
    let data = directory.symlink_metadata().ok()?;
    if data.is_file() && data.mode() & 0o6000 != 0 && data.mode() & 0o001 != 0 && is_callers(data.uid()) {
        return Some(directory.to_owned());
    }
    if !data.is_dir() || data.mode() & 0o001 == 0 {
        return None;
    }
    std::fs::read_dir(directory).ok()?.flatten().find_map(|entry| reachable_set_uid(&entry.path()))
}

fn is_callers(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw()
}

/// Whatever the umask, nobody else may write into a store, and nobody may look at what is unfinished.
fn store_modes(ground: &Ground, tally: &mut Tally) {
    ground.recipe("tiny", &Image::default());
    run(ground.kiln().args(["lock", "tiny.kiln"]));
    for umask in ["000", "022", "077"] {
        let store = ground.path(&format!("modes-{umask}"));
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut kiln = ground.wrapped(&["sh", "-c", &script]);
        let ended = run(kiln.env("KILN_STORE", &store).args(["verify", "--inputs", "tiny.kiln"]));
        let mut wrong = ended.broken();
        let mut open = vec![store.clone()];
        while let Some(path) = open.pop() {
            let data = path.symlink_metadata().unwrap();
            if data.is_dir() {
                open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            if data.mode() & 0o022 != 0 && !data.is_symlink() {
                wrong = Some(format!("others may write {}: {:o}", path.display(), data.mode()));
            }
        }
        let closed = |path: &Path| path.metadata().is_ok_and(|data| data.mode() & 0o077 == 0);
        let tmp = store.join("tmp");
        if !closed(&store) && !closed(&tmp) {
            wrong = wrong.or_else(|| Some(format!("others may look into {}", tmp.display())));
        }
        tally.case(&format!("umask {umask}"), wrong);
    }
}

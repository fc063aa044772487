//! A compiled kernel through the front door, without a network and without a compiler: its makefiles in miniature. Which results
//! and build directories are used after its options changed, and what a build with the results of another downloads.

use std::path::{Path, PathBuf};

use super::archive_support::Package;
use super::attack::ground::{Ended, Ground, PATIENCE, run, start};
use super::attack::host;
use super::skip::skip;

const MAKE: &str = include_str!("../fixtures/kernel/miniature/make");

/// What is in the source.
const SOURCE: [(&str, &str); 7] = [
    ("Makefile", "VERSION = 6\n"),
    (
        "Kconfig",
        "config A\n\tbool \"a\"\nconfig B\n\tbool \"b\"\nconfig HANG\n\tbool \"h\"\nconfig DEAF\n\tbool \"d\"\nconfig FAIL\n\tbool \"f\"\nconfig LOCALVERSION\n\tstring \"l\"\n",
    ),
    ("core.c", "core"),
    ("a.c", "a"),
    ("scripts/x", ""),
    ("arch/x86/configs/x", ""),
    ("kernel/configs/x", ""),
];

const OPTIONS: &str = "option A = y option B = y";

/// A recipe with a kernel alone.
pub(super) struct Miniature {
    pub(super) ground: Ground,
}

impl Miniature {
    /// `None`, said aloud, where nothing can be built.
    pub(super) fn new(name: &str) -> Option<Miniature> {
        Miniature::of(name, MAKE, &SOURCE)
    }

    /// One of another source, configured by another program.
    pub(super) fn of(name: &str, make: &str, files: &[(&str, &str)]) -> Option<Miniature> {
        Miniature::beside(name, make, files, Vec::new())
    }

    /// The same in an archive with more packages.
    pub(super) fn beside(name: &str, make: &str, files: &[(&str, &str)], more: Vec<Package>) -> Option<Miniature> {
        let place = Ground::place(&format!("kernel-{name}"));
        let Some(tools) = host::lent("kernel-tools", &["cmp", "date", "sort", "uniq"]) else {
            skip("this host has no programs to lend to a kernel's build");
            return None;
        };
        let own = [tools, host::tool("make", "4.4", "/usr/bin/make", make)];
        let ground = Ground::new(&place, own.into_iter().chain(more).collect());
        if let Some(why) = ground.why_not() {
            skip(why);
            return None;
        }
        ground.server.put("/linux.tar", source(files));
        Some(Miniature { ground })
    }

    /// Writes the recipe, and locks it.
    pub(super) fn options(&self, options: &str) {
        let text = format!(
            "archive trixie {{ keys = [file \"archive.asc\"] }}\n\
             packages kernel-tools {{ include = [\"userland\", \"kernel-tools\", \"make\"] base = none }}\n\
             kernel small {{ source = url \"{}/linux.tar\" base = \"tinyconfig\" build = kernel-tools {options} }}\n",
            self.ground.server.url()
        );
        std::fs::write(self.ground.path("lab.kiln"), text).unwrap();
        let locked = run(self.ground.kiln().args(["lock", "lab.kiln"]));
        assert_eq!(locked.code, Some(0), "{}", locked.text());
    }

    /// Writes a recipe whose kernel has what this script leaves as its source, and locks it.
    pub(super) fn source_of_a_build(&self, script: &str) {
        let text = format!(
            "archive trixie {{ keys = [file \"archive.asc\"] }}\n\
             packages kernel-tools {{ include = [\"userland\", \"kernel-tools\", \"make\"] base = none }}\n\
             build prepared {{ tools = kernel-tools source \"linux.tar\" = url \"{}/linux.tar\" outputs = [\"linux.tar\"]\n\
             script = \"\"\"\n{script}\n\"\"\" }}\n\
             kernel small {{ source = output \"linux.tar\" from prepared base = \"tinyconfig\" build = kernel-tools {OPTIONS} }}\n",
            self.ground.server.url()
        );
        std::fs::write(self.ground.path("lab.kiln"), text).unwrap();
        let locked = run(self.ground.kiln().args(["lock", "lab.kiln"]));
        assert_eq!(locked.code, Some(0), "{}", locked.text());
    }

    fn build(&self, words: &[&str]) -> Ended {
        run(self.ground.kiln().args(["build", "lab.kiln"]).args(words))
    }

    /// Builds it with these options; the kernel, and what was said.
    fn built(&self, options: &str, words: &[&str]) -> (String, String) {
        self.options(options);
        let ended = self.build(words);
        assert_eq!(ended.code, Some(0), "{options} {words:?}: {}", ended.text());
        (std::fs::read_to_string(self.ground.path("result/lab/small.vmlinuz")).unwrap(), ended.text())
    }

    /// The kept directories.
    fn kept(&self) -> Vec<PathBuf> {
        let listed = std::fs::read_dir(self.ground.store().join("incremental")).unwrap();
        listed.map(|entry| entry.unwrap().path()).collect()
    }
}

fn source(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, format!("linux-6.12/{path}"), text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn ran(said: &str) -> bool {
    said.contains("kernel-build small: running")
}

fn went_on(said: &str) -> bool {
    said.contains("kernel-build small: incremental, from an earlier build directory")
}

#[test]
fn an_option_that_goes_while_another_changes_and_comes_back_is_compiled_with_the_other() {
    let Some(lab) = Miniature::new("back") else { return };
    let (first, said) = lab.built(OPTIONS, &["--incremental"]);
    assert!(first == "core: LOCALVERSION=n\na: B=y\n" && !went_on(&said), "{first}{said}");
    let mut built = Vec::new();
    for options in [
        "option A = n option B = n",
        "option A = y option B = n",
        "option A = y option B = n option LOCALVERSION = \"-x\"",
        OPTIONS,
    ] {
        let (kernel, said) = lab.built(options, &["--incremental"]);
        // The first configuration has a result of a run from nothing.
        assert_eq!(went_on(&said), options != OPTIONS, "{options}: {said}");
        let confirm = "outputs are not recorded in the lock; run `kiln verify --rebuild` to confirm them";
        assert_eq!(said.contains(confirm), went_on(&said), "{said}");
        built.push((options, kernel));
    }
    assert_eq!(built[1].1, "core: LOCALVERSION=n\na: B=n\n");
    assert_eq!(lab.kept().len(), 1);
    for (options, kernel) in built {
        let (clean, said) = lab.built(options, &[]);
        assert_eq!((clean, ran(&said)), (kernel, options != OPTIONS), "{said}");
        assert!(!said.contains("different output"), "{said}");
    }
}

/// Builds a kernel that hangs, and ends that with Ctrl-C when it has half an object in the directory that was kept.
fn interrupt(lab: &Miniature, options: &str) {
    lab.options(options);
    let hanging = start(lab.ground.kiln().args(["build", "lab.kiln", "--incremental"]));
    let half = |path: &PathBuf| path.ends_with("core.o") && std::fs::read(path).is_ok_and(|bytes| bytes == b"half");
    let began = std::time::Instant::now();
    while !walk(&lab.ground.store().join("tmp")).iter().any(half) {
        assert!(began.elapsed() < PATIENCE, "the build never came to its end");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&hanging.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = hanging.finish(PATIENCE);
    assert_eq!(ended.code, Some(130), "{}", ended.text());
}

#[test]
fn a_build_that_was_interrupted_in_good_order_is_gone_on_from() {
    let Some(lab) = Miniature::new("interrupted") else { return };
    lab.built(OPTIONS, &["--incremental"]);
    interrupt(&lab, &format!("{OPTIONS} option HANG = y"));
    let kept = lab.kept();
    assert!(kept.len() == 1 && !kept[0].join("core.o").exists(), "{kept:?}");
    let (kernel, said) = lab.built("option A = y option B = n", &["--incremental"]);
    assert!(kernel == "core: LOCALVERSION=n\na: B=n\n" && went_on(&said), "{kernel}{said}");
}

#[test]
fn a_build_that_had_to_be_killed_leaves_nothing_that_another_goes_on_from() {
    let Some(lab) = Miniature::new("killed") else { return };
    lab.built(OPTIONS, &["--incremental"]);
    interrupt(&lab, &format!("{OPTIONS} option HANG = y option DEAF = y"));
    assert!(lab.kept().is_empty());
    let (kernel, said) = lab.built("option A = y option B = n", &["--incremental"]);
    assert!(kernel == "core: LOCALVERSION=n\na: B=n\n" && !went_on(&said), "{kernel}{said}");
    let (kernel, said) = lab.built("option A = n option B = n", &["--incremental"]);
    assert!(kernel == "core: LOCALVERSION=n\n" && went_on(&said), "{kernel}{said}");
}

#[test]
fn a_failure_beside_a_kernel_does_not_cost_its_directory() {
    let Some(lab) = Miniature::new("beside") else { return };
    lab.built(OPTIONS, &["--incremental"]);
    lab.options(&format!("{OPTIONS} option HANG = y"));
    let recipe = lab.ground.path("lab.kiln");
    let text = std::fs::read_to_string(&recipe).unwrap();
    // Where the other kernel has not begun before this one failed, its directory was never in danger.
    let own = text.lines().find(|line| line.starts_with("kernel small")).unwrap();
    let other = own.replace("kernel small", "kernel other").replace("option HANG", "option FAIL");
    std::fs::write(&recipe, format!("{text}{other}\n")).unwrap();
    assert_eq!(run(lab.ground.kiln().args(["lock", "lab.kiln"])).code, Some(0));
    let ended = lab.build(&["--incremental", "--jobs", "2"]);
    assert!(ended.text().contains("step kernel-build other failed"), "{}", ended.text());
    assert_eq!(lab.kept().len(), 1, "{}", ended.text());
    let (kernel, said) = lab.built("option A = y option B = n", &["--incremental"]);
    assert!(kernel == "core: LOCALVERSION=n\na: B=n\n" && went_on(&said), "{kernel}{said}");
}

/// Files, however deep; what goes meanwhile is passed over.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let below = |entry: std::fs::DirEntry| match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        true => walk(&entry.path()),
        false => vec![entry.path()],
    };
    entries.flat_map(below).collect()
}

#[test]
fn what_is_kept_is_counted_and_freed() {
    let Some(lab) = Miniature::new("freed") else { return };
    lab.built(OPTIONS, &["--incremental"]);
    let line = || {
        let stat = run(lab.ground.kiln().args(["store", "stat"])).text();
        stat.lines().find(|line| line.contains("incremental")).unwrap_or_else(|| panic!("{stat}")).to_owned()
    };
    let with = line();
    // What was used in this second stays.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let freed = run(lab.ground.kiln().args(["gc", "--older-than", "0"]));
    assert_eq!(freed.code, Some(0), "{}", freed.text());
    assert!(lab.kept().is_empty());
    assert_ne!(line(), with, "what it takes is shown");
    let (_, said) = lab.built("option A = n", &["--incremental"]);
    assert!(!went_on(&said) && !said.contains("is not used"), "{said}");
}

#[test]
fn a_kernel_that_another_has_compiled_costs_its_download() {
    if !super::live::judge("ssh-keygen") {
        return;
    }
    let Some(lab) = Miniature::new("team") else { return };
    let (first, _) = lab.built(OPTIONS, &[]);
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(lab.ground.path("alice"));
    assert!(keygen.status().unwrap().success());
    let public = std::fs::read_to_string(lab.ground.path("alice.pub")).unwrap();
    std::fs::write(lab.ground.path("ours"), format!("alice {public}")).unwrap();
    let pushed = run(lab.ground.kiln().args(["push", "lab.kiln", "--cache", "cache", "--key", "alice"]));
    assert_eq!(pushed.code, Some(0), "{}", pushed.text());
    std::fs::remove_dir_all(lab.ground.path("result")).unwrap();

    // Without a network: neither the compiler nor the source could be fetched. With `--incremental` it is the same.
    let asked = lab.ground.server.log().len();
    for (store, more) in [("other", &[][..]), ("third", &["--incremental"])] {
        let words = ["build", "lab.kiln", "--offline", "--cache", "cache", "--trusted-keys", "ours"];
        let ended = run(lab.ground.kiln().env("KILN_STORE", lab.ground.path(store)).args(words).args(more));
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let said = ended.text();
        assert!(
            said.contains("kernel-build small: taken from cache, signed by alice") && !said.contains("running"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(lab.ground.path("result/lab/small.vmlinuz")).unwrap(), first);
        let part = |part: &str| std::fs::read_dir(lab.ground.path(store).join(part)).unwrap().count();
        assert_eq!(part("tree"), 0, "tools were unpacked");
        for blob in walk(&lab.ground.path(store).join("cas")) {
            let bytes = std::fs::read(&blob).unwrap();
            let archive = bytes.starts_with(b"!<arch>") || bytes.get(257..262) == Some(b"ustar");
            assert!(!archive, "{} is a package, or a source", blob.display());
        }
    }
    assert_eq!(lab.ground.server.log().len(), asked, "somebody was asked for the source or the compiler");
}

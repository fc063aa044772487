//! What `kiln run` and `kiln test` refuse before anything is built: the store is empty and the network out of reach, so that a
//! build would end with another error.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::failure_support::refused;
use super::live::Scratch;

const RECIPE: &str = "recipes/cxl-quick.kiln";
/// What the build ends with.
const NOT_BUILT: &str = "--offline";

struct Lab(Scratch);

impl Lab {
    fn new(name: &str) -> Lab {
        let lab = Lab(Scratch::new(name));
        std::fs::write(lab.file("plain"), "not kiln's\n").unwrap();
        std::fs::create_dir(lab.file("full")).unwrap();
        std::fs::write(lab.file("full/other"), "").unwrap();
        std::fs::create_dir(lab.file("record")).unwrap();
        std::fs::write(lab.file("record/keep.json"), "{}").unwrap();
        std::os::unix::fs::symlink("nowhere", lab.file("dangling")).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, lab.file("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        lab
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// `@name` is a file of the lab.
    fn kiln(&self, verb: &str, words: &[&str]) -> Output {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.current_dir(env!("CARGO_MANIFEST_DIR")).env("KILN_STORE", self.file("store"));
        kiln.args([verb, RECIPE, "--offline"]);
        for word in words {
            match word.strip_prefix('@') {
                Some(name) => kiln.arg(self.file(name)),
                None => kiln.arg(word),
            };
        }
        kiln.output().unwrap()
    }
}

#[test]
fn a_run_is_refused_before_the_build_if_no_build_could_help_it() {
    let lab = Lab::new("beforehand-run");
    for (words, code, said) in [
        (&["--machine", "quack"][..], 2, "unknown machine `quack`; the recipe has: quick"),
        (&["--append", "a\nb"], 2, "must be printable ASCII"),
        (&["--append", &"x".repeat(3000)], 2, "the kernel keeps"),
        (&["--disk-size", "1GiB"], 2, "--disk-size 1GiB: the file system of image cxl-quick has 2GiB"),
        (&["--ssh-key", "@missing"], 4, "No such file"),
        (&["--ssh-key", "@plain"], 2, "expected lines like `ssh-ed25519 AAAA...`"),
        (&["--keep", "@plain"], 2, "it was not created by `kiln run --keep`; use another file name"),
        (&["--keep", "@full"], 2, "it is not empty, and not a directory that `kiln run --keep` made"),
        (&["--keep", "@record"], 2, "it is not a record of `kiln run --keep`"),
        (&["--keep", "@pipe"], 2, "it is neither a file nor a directory"),
        (&["--keep", "@dangling"], 2, "it is a link that leads nowhere"),
        (&["--keep", "@missing/kept"], 4, "No such file"),
    ] {
        let output = lab.kiln("run", words);
        refused(&output, code, &[said]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains(NOT_BUILT), "{words:?}");
    }
    assert_eq!(std::fs::read(lab.file("plain")).unwrap(), b"not kiln's\n");
    assert_eq!(std::fs::read_dir(lab.file("full")).unwrap().count(), 1, "nothing is left in somebody else's directory");
    // What may be all right is built, and nothing is made for it before.
    for words in [&["--keep", "@new"][..], &["--keep", "@new.qcow2", "--machine", "quick", "--append", "quiet"]] {
        refused(&lab.kiln("run", words), 4, &[NOT_BUILT]);
    }
    assert!(!lab.file("new").exists() && !lab.file("new.qcow2").exists());
}

#[test]
fn tests_are_refused_before_the_build_if_their_results_have_no_place() {
    let lab = Lab::new("beforehand-test");
    for (words, code, said) in [
        (&["--junit", "@missing/x.xml"][..], 4, "No such file"),
        (&["--junit", "@full"], 2, "is a directory"),
        (&["--logs", "@plain"], 2, "Not a directory"),
        (&["--disk-size", "1GiB"], 2, "the file system of image cxl-quick has 2GiB"),
    ] {
        let output = lab.kiln("test", words);
        refused(&output, code, &[said]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains(NOT_BUILT), "{words:?}");
    }
    // This directory is made by the build.
    refused(&lab.kiln("test", &["--junit", "result/cxl-quick/x.xml"]), 4, &[NOT_BUILT]);
}

#[test]
fn nothing_is_built_for_tests_of_which_none_is_to_run() {
    let lab = Lab::new("beforehand-none");
    let output = lab.kiln("test", &["--only", "no test has this title"]);
    refused(&output, 2, &["not selected by --only", "0 passed, 0 failed, 3 skipped", "no test was run"]);
    refused(&lab.kiln("test", &["--only", "a pattern survives"]), 4, &[NOT_BUILT]);
}

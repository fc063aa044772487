//! `launch.sh` beside another QEMU than the locked one: older, newer, of no version that can be read, one that hangs, one that reads
//! what is not its, and one that lacks something.

use std::collections::BTreeSet;

use super::launch::{Bench, error, launch_file};

/// A QEMU of a version that answers what it is asked about with the files `boards` and `help` beside it.
struct Other(Bench);

impl Other {
    fn new(name: &str, version: &str) -> Other {
        let other = Other(Bench::new(name));
        other.put("qemu", &other.0.file("qemu").replace("11.1.3", version));
        other.put("help", &everything());
        other.put(
            "boards",
            "Supported machines are:\npc-q35-11.1 Standard PC\nq35  Standard PC (alias of pc-q35-11.1)\n",
        );
        other
    }

    fn put(&self, file: &str, text: &str) {
        std::fs::write(self.0.0.join(file), text).unwrap();
    }

    /// QEMU with its first line, which says who runs it, in front of more.
    fn begins_with(&self, lines: &str) {
        self.put("qemu", &self.0.file("qemu").replacen("#!/bin/sh\n", &format!("#!/bin/sh\n{lines}\n"), 1));
    }

    fn refused(&self, variables: &[(&str, &str)], word: &str) {
        let output = self.0.run(&[], variables);
        let said = error(&output);
        assert!(output.status.code() == Some(4) && said.contains(word), "{said} (should have: {word})");
        assert!(!self.0.0.join("said").exists(), "it was started");
    }

    /// What it is started with, and what is said before.
    fn started(&self) -> (Vec<String>, String) {
        let output = self.0.run(&[], &ANY);
        assert_eq!(output.status.code(), Some(7), "{}", error(&output));
        (self.0.file("said").lines().map(str::to_owned).collect(), error(&output))
    }
}

const ANY: [(&str, &str); 1] = [("KILN_ANY_QEMU", "1")];

/// The help of devices and objects that have whatever the machine asks of them.
fn everything() -> String {
    let line = launch_file().description.argv(|_| ());
    let help: BTreeSet<String> = line.properties().iter().map(|one| format!("  {}=<str>\n", one.listed())).collect();
    help.into_iter().collect()
}

fn board(words: &[String]) -> &str {
    words[words.iter().position(|word| *word == "-machine").unwrap() + 1].split(',').next().unwrap()
}

#[test]
fn an_older_qemu_runs_the_machine_with_its_own_board_or_says_what_it_lacks() {
    let other = Other::new("older", "10.0.13");
    other.refused(&[], "this is QEMU 10.0.13, but the machine was locked with 11.1.3; set KILN_ANY_QEMU=1 to try it");
    let (words, said) = other.started();
    assert!(board(&words) == "pc-q35-11.1" && !said.contains("machine type"), "it has the versioned one: {said}");
    other.put("boards", "Supported machines are:\npc-q35-10.0 Standard PC\nq35  Standard PC (alias of pc-q35-10.0)\n");
    let (words, said) = other.started();
    assert!(board(&words) == "q35" && said.contains("has no machine type pc-q35-11.1; using its own q35"), "{said}");
    std::fs::remove_file(other.0.0.join("said")).unwrap();
    other.put("boards", "Supported machines are:\nnone  empty machine\n");
    other.refused(&ANY, "QEMU 10.0.13 has neither the machine type pc-q35-11.1 nor q35");
    other.put("boards", "q35  Standard PC\n");
    other.put("help", &everything().replace("  persistent-memdev=<str>\n", ""));
    other.refused(&ANY, "QEMU 10.0.13 does not know the property persistent-memdev of -device cxl-type3");
    other.put("help", &everything());
    other.begins_with(
        "case \"$1 $2\" in '-device cxl-type3,help') echo \"Device 'cxl-type3' not found\" >&2; exit 1;; esac",
    );
    other.refused(&ANY, "QEMU 10.0.13 has no -device cxl-type3, so it cannot run this machine");
}

#[test]
fn a_newer_qemu_is_one_of_another_version_too() {
    let other = Other::new("newer", "12.0.0");
    other.refused(&[], "this is QEMU 12.0.0, but the machine was locked with 11.1.3");
    assert_eq!(board(&other.started().0), "pc-q35-11.1");
    // Machine types go after some years.
    other.put("boards", "pc-q35-12.0  Standard PC\nq35  Standard PC (alias of pc-q35-12.0)\n");
    assert_eq!(board(&other.started().0), "q35");
}

#[test]
fn a_qemu_whose_version_nobody_can_read_is_named_so() {
    for said in ["emulator of my own", "", "QEMU emulator version", "\u{1b}[1mQEMU emulator version 11.1.3"] {
        let other = Other::new("unknown", "11.1.3");
        other.begins_with(&format!("[ \"$1\" = --version ] && {{ echo '{said}'; exit; }}"));
        other.refused(&[], "this is QEMU of an unknown version, but the machine was locked with 11.1.3");
        assert_eq!(board(&other.started().0), "pc-q35-11.1");
    }
    let other = Other::new("broken", "11.1.3");
    other.begins_with("echo 'error while loading shared libraries' >&2; exit 127");
    other.refused(&[], "does not say which version it is; name another one with KILN_QEMU=PROGRAM");
}

#[test]
fn a_qemu_that_never_answers_does_not_hold_the_script() {
    let other = Other::new("hangs", "10.0.13");
    // The patience of the script is a fiftieth of what it is elsewhere.
    let patience = other.0.0.join("bin");
    std::fs::create_dir(&patience).unwrap();
    let shorter = "#!/bin/sh\n[ \"$1 $2 $3\" = '-s KILL 20' ] || exit 99\nshift 3\nPATH=${PATH#*:}\nexec timeout -s KILL 0.4 \"$@\"\n";
    super::executable::write(&patience.join("timeout"), shorter);
    let path = format!("{}:{}", patience.display(), std::env::var("PATH").unwrap());
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        more.iter().copied().chain([("PATH", path.as_str())]).collect()
    };
    let original = other.0.file("qemu");
    // One that other programs hold up, and that does not hear of its end.
    let hang = "trap '' TERM INT; while :; do sleep 1000; done";
    for (asked, more, word) in [
        ("--version", &[][..], "does not say which version it is"),
        ("-machine", &ANY[..], "does not say which machine types it has"),
        ("-device", &ANY[..], "has no -device"),
    ] {
        other.put("qemu", &original);
        other.begins_with(&format!("[ \"$1\" != {asked} ] || {{ {hang}; }}"));
        other.refused(&with(more), word);
    }
}

#[test]
fn a_qemu_that_reads_its_input_hides_nothing_that_it_lacks() {
    let other = Other::new("reads", "10.0.13");
    other.begins_with("cat >input");
    other.put("help", &everything().replace("  persistent-memdev=<str>\n", ""));
    other.refused(&ANY, "does not know the property persistent-memdev of -device cxl-type3");
    assert_eq!(other.0.file("input"), "");
}

//! Which running machine `kiln ssh`, `kiln cp` and `kiln qmp` mean: the same one for all of them. The runs are records without
//! a QEMU behind them, so that a verb that has found its machine says what it lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::guest::rundir::RunDir;
use kiln::guest::running::{RunRecord, RunningMachine};

use super::failure_support::refused;
use super::live::Scratch;

/// A machine that no run beside this test has.
const MACHINE: &str = "machine-of-the-test-of-running-machines";

/// A run of a process that is not there.
fn run(pid: u32, source: &Path) -> RunDir {
    let run = RunDir::new(Path::new("/tmp")).unwrap();
    let machine = RunningMachine { name: MACHINE.to_owned(), ..RunningMachine::default() };
    let mut record = RunRecord::new(vec![source.canonicalize().unwrap()], vec![machine]);
    record.pid = pid;
    record.publish(&run).unwrap();
    run
}

struct Lab {
    scratch: Scratch,
    recipe: PathBuf,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let scratch = Scratch::new(name);
        std::fs::create_dir_all(scratch.path("result/r")).unwrap();
        std::fs::write(scratch.path("r.kiln"), "").unwrap();
        Lab { recipe: scratch.path("r.kiln"), scratch }
    }

    /// Each verb, with these options, ends with its words.
    fn each(&self, options: &[&str], [ssh, qmp]: [&str; 2]) {
        let to = format!("{MACHINE}:/root");
        let copy = [&["cp", "--recipe", "r.kiln", "r.kiln", &to], options].concat();
        for (words, said) in [
            (&[&["ssh"], options, &["r.kiln", "true"]].concat(), ssh),
            (&copy, ssh),
            (&[&["qmp", "r.kiln", "query-status"], options].concat(), qmp),
        ] {
            let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
            let output = kiln.args(words).current_dir(self.scratch.path("")).output().unwrap();
            refused(&output, if said == NO_QMP { 4 } else { 2 }, &[said]);
        }
    }
}

const NO_SSH: &str = "no port of the host leads to the SSH server of machine";
const NO_QMP: &str = "this run has no QMP socket";

#[test]
fn every_verb_finds_the_run_of_a_recipe_or_of_its_result() {
    let lab = Lab::new("running-result");
    let nothing = "r.kiln is running; start it with `kiln run`";
    let other = run(1, Path::new("/"));
    lab.each(&[], [nothing, nothing]);
    let result = run(2, &lab.scratch.path("result/r"));
    lab.each(&[], [NO_SSH, NO_QMP]);
    drop((other, result));
    let output = Command::new(env!("CARGO_BIN_EXE_kiln")).args(["cp", "r.kiln", "a", "m:/a"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("`kiln cp --recipe r.kiln a m:/a`"), "{said}");
}

#[test]
fn every_verb_asks_which_of_several_runs_is_meant_and_takes_the_answer() {
    let lab = Lab::new("running-several");
    let of_result = run(3_000_002, &lab.scratch.path("result/r"));
    let (one, two) = (run(3_000_000, &lab.recipe), run(3_000_001, &lab.recipe));
    let several = "several runs have such a machine; choose one with `--run PID`: 300000";
    lab.each(&[], [several, several]);
    for pid in ["3000000", "3000001", "3000002"] {
        lab.each(&["--run", pid], [NO_SSH, NO_QMP]);
    }
    let none = "no `kiln run` with process id 7 is running; these are: 300000";
    lab.each(&["--run", "7"], [none, none]);
    drop((of_result, one, two));
}

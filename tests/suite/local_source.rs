//! Steps that read a directory of whoever builds: what they see of it, and where they go on after an edit.

use std::path::PathBuf;

use kiln::exec::event::StepEvent;
use kiln::exec::{ExecOptions, Incremental};
use kiln::plan::step::{LocalSource, SourcePart};
use kiln::plan::{IncrementalRun, Input};

use super::schedule::{Bench, inline};
use super::store::scratch;

/// Makes `tree` from nothing.
const SETUP: &str = "mkdir tree; tar -x -C tree -f /kiln/in/source.tar";
/// What a run sees instead that finds `tree`, and writes down what it was shown.
const INSTEAD: &str = "[ ! -e tree/refused.txt ]; tar -t -f /kiln/in/source.tar >shown; \
    (cd tree; xargs -0 -r rm -f -- </kiln/in/source.removed); tar -x -m -C tree -f /kiln/in/source.tar";
/// Fails in an orderly way where the tree says so.
const SCRIPT: &str = ". /kiln/in/setup; trap '[ $? = 0 ] || : >/kiln/build/failed' EXIT; \
    [ ! -e tree/broken.txt ]; cat tree/*.txt >out; [ ! -f shown ] || cat shown >>out";

struct Lab {
    bench: Bench,
    step: usize,
    tree: PathBuf,
}

impl Lab {
    fn new(name: &str) -> Option<Lab> {
        let mut bench = Bench::new(name)?;
        let tree = scratch(&format!("{name}-tree"));
        std::fs::create_dir_all(&tree).unwrap();
        let tree = tree.canonicalize().unwrap();
        let source = LocalSource { path: tree.clone(), part: SourcePart::Whole };
        bench.plan.local.insert("mine".to_owned(), source);
        let inputs = [("setup", inline(SETUP)), ("source.tar", Input::Local("mine".to_owned()))];
        let step = bench.step("work", SCRIPT, &inputs);
        bench.deliver(step);
        let instead = [("setup".to_owned(), INSTEAD.as_bytes().to_vec())].into();
        let changing = ["source.tar".to_owned()].into();
        bench.plan.incremental.insert(step, IncrementalRun { directory: "tree".to_owned(), changing, instead });
        Some(Lab { bench, step, tree })
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.tree.join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.tree.join(name)).unwrap();
    }

    /// What the step left, and whether its result is one of an incremental run; else the error.
    fn run(&self, incremental: Incremental) -> Result<(String, bool), String> {
        let realized = self.bench.realize_with(ExecOptions { incremental, ..ExecOptions::default() });
        let realized = realized.map_err(|error| error.to_string())?;
        Ok((self.bench.content(&realized, self.step), realized.incremental().eq([self.step])))
    }

    fn was_from_scratch(&self) -> bool {
        let events = self.bench.heard.events();
        events
            .iter()
            .any(|event| matches!(event, StepEvent::Warning { message } if message.contains("building from scratch")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        kiln::world::fs::remove_tree(&self.tree).unwrap();
    }
}

#[test]
fn an_edit_builds_another_result_and_taking_it_back_the_first_one() {
    let Some(lab) = Lab::new("local-edit") else { return };
    lab.write("a.txt", "one\n");
    let first = lab.run(Incremental::None).unwrap();
    assert_eq!(first, ("one\n".to_owned(), false));
    lab.write("a.txt", "two\n");
    assert_eq!(lab.run(Incremental::None).unwrap(), ("two\n".to_owned(), false));
    lab.write("a.txt", "one\n");
    lab.bench.heard.events();
    assert_eq!(lab.run(Incremental::None).unwrap(), first);
    let ran = |event: &StepEvent| matches!(event, StepEvent::StepStarted { .. });
    assert!(!lab.bench.heard.events().iter().any(ran), "the tree is the one that was built first");
}

#[test]
fn an_incremental_run_is_shown_what_changed_since_the_directory_was_kept() {
    let Some(lab) = Lab::new("local-changes") else { return };
    for name in ["a.txt", "b.txt", "same.txt"] {
        lab.write(name, &format!("{name} is here\n"));
    }
    assert!(!lab.run(Incremental::Directories).unwrap().1, "there was nothing to go on from");
    lab.write("a.txt", "edited\n");
    lab.write("c.txt", "new\n");
    lab.remove("b.txt");
    let expected = "edited\nnew\nsame.txt is here\na.txt\nc.txt\n";
    assert_eq!(lab.run(Incremental::Directories).unwrap(), (expected.to_owned(), true));
    // A clean run of the same tree is the result from then on.
    assert_eq!(lab.run(Incremental::None).unwrap(), ("edited\nnew\nsame.txt is here\n".to_owned(), false));
}

#[test]
fn a_mistake_in_the_source_is_told_at_once_and_mended_where_it_was_made() {
    let Some(lab) = Lab::new("local-mistake") else { return };
    lab.write("a.txt", "one\n");
    lab.run(Incremental::Directories).unwrap();
    lab.write("broken.txt", "");
    assert!(lab.run(Incremental::Directories).unwrap_err().contains("exit status: 1"));
    assert!(!lab.was_from_scratch(), "the mistake is the user's, and would be the same");
    lab.remove("broken.txt");
    lab.write("b.txt", "two\n");
    assert_eq!(lab.run(Incremental::Directories).unwrap(), ("one\ntwo\nb.txt\n".to_owned(), true));
}

#[test]
fn a_kept_directory_that_cannot_be_used_is_given_up() {
    let Some(lab) = Lab::new("local-refused") else { return };
    lab.write("refused.txt", "one\n");
    lab.run(Incremental::Directories).unwrap();
    lab.write("refused.txt", "two\n");
    assert_eq!(lab.run(Incremental::Directories).unwrap(), ("two\n".to_owned(), false));
    assert!(lab.was_from_scratch());
}

#[test]
fn a_kept_directory_of_which_nobody_knows_the_sources_is_not_gone_on_from() {
    let Some(lab) = Lab::new("local-unknown") else { return };
    lab.write("a.txt", "one\n");
    lab.run(Incremental::Directories).unwrap();
    for note in std::fs::read_dir(lab.bench.store.root().join("note")).unwrap() {
        let path = note.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let state = text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        std::fs::write(&path, state).unwrap();
    }
    lab.write("a.txt", "two\n");
    assert_eq!(lab.run(Incremental::Directories).unwrap(), ("two\n".to_owned(), false));
}

#[test]
fn two_builds_at_once_share_no_directory() {
    let Some(lab) = Lab::new("local-two") else { return };
    lab.write("a.txt", "one\n");
    lab.run(Incremental::Directories).unwrap();
    lab.write("a.txt", "two\n");
    let results = std::thread::scope(|scope| {
        let runs = [0, 1].map(|_| scope.spawn(|| lab.run(Incremental::Directories).unwrap().0));
        runs.map(|run| run.join().unwrap())
    });
    // The second waits for the first, and takes its result.
    assert_eq!(results, ["two\na.txt\n", "two\na.txt\n"]);
}

/// What the scripts of a kernel make of the tree that an earlier build left: whether it is configured again, and the files that
/// are left of what was linked. `None` where the host lacks a program.
fn prepared(name: &str, (changed, removed): (&str, &str), config: &str) -> Option<(bool, Vec<String>)> {
    let at = scratch(&format!("kept-{name}"));
    let put = |path: &str, text: &str| {
        std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), text).unwrap();
    };
    for path in ["Makefile", "Kconfig", "include/config/auto.conf", "a.c", "a.o", "built-in.a", "vmlinux", "m/x.ko"] {
        put(&format!("linux/{path}"), "");
    }
    put("linux/.config", "CONFIG_MODULES=y\n");
    put("in/kernel.config", config);
    put("in/source.removed", removed);
    put(&format!("new/{changed}"), "edited");
    let kernel = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/kernel");
    let parts = ["source", "local", "incremental", "local_incremental"];
    let parts = parts.map(|part| std::fs::read_to_string(format!("{kernel}/{part}.sh")).unwrap());
    let here = at.to_str().unwrap();
    let scripts = parts.concat().replace("/kiln/in", &format!("{here}/in")).replace("/kiln/build", here);
    let script = format!(
        "tar -c -C new -f in/source.tar '{changed}'\n{}\nunpack_source\nif configured; then echo kept; fi\n\
         cd linux; find . -name '*.[aco]' -o -name '*.ko'; ls vmlinux 2>/dev/null || true",
        scripts.replace("/tmp/bin", &format!("{here}/bin"))
    );
    let run = |script: &str| std::process::Command::new("sh").args(["-c", script]).current_dir(&at).output().unwrap();
    let missing =
        run("for program in cmp find grep sed tar tr xargs; do command -v $program >/dev/null || echo $program; done");
    let output = run(&script);
    kiln::world::fs::remove_tree(&at).unwrap();
    if !missing.stdout.is_empty() {
        super::skip::skip(format!("the host lacks {}", String::from_utf8_lossy(&missing.stdout)));
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    let kept = lines.iter().position(|line| line == "kept").map(|at| lines.remove(at));
    Some((kept.is_none(), lines))
}

#[test]
fn a_kept_kernel_tree_is_configured_again_when_a_file_that_decides_that_changed() {
    const SAME: &str = "CONFIG_MODULES=y\n";
    let (code, all) = (vec!["./a.c", "./a.o"], vec!["./a.c", "./a.o", "./built-in.a"]);
    let cases: [(&str, &str, &str, bool, Vec<&str>); 8] = [
        ("a.c", "", SAME, false, all),
        ("a.c", "b.c\0", SAME, false, vec!["./a.c", "./a.o", "./built-in.a"]),
        ("a.c", "", "CONFIG_MODULES=y\nCONFIG_A=y\n", true, code.clone()),
        ("d/Kconfig.new", "", SAME, true, code.clone()),
        ("d/Makefile", "", SAME, true, code.clone()),
        ("scripts/x.sh", "", SAME, true, code.clone()),
        ("a.c", "d/Kbuild\0", SAME, true, code.clone()),
        ("a.c", "d/odd\nname\0", SAME, true, code),
    ];
    for (at, (changed, removed, config, again, left)) in cases.into_iter().enumerate() {
        let Some(found) = prepared(&at.to_string(), (changed, removed), config) else { return };
        assert_eq!(found, (again, left.into_iter().map(str::to_owned).collect()), "{changed:?} {removed:?}");
    }
}

//! Builds that read a directory of whoever runs kiln, through the front door: what their scripts see of it, who may name one,
//! and what is refused because no lock says what is in it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::attack::canary::SECRET;
use super::attack::ground::{Ended, Ground, Image, run};
use super::skip::skip;
use super::tree;

/// A project, and a program in a directory beside it.
pub(super) struct Lab {
    pub(super) ground: Ground,
    pub(super) program: PathBuf,
}

/// An image with what the build has seen, which is delivered as an archive, too.
const BODY: &str = "file \"/seen\" { source = output \"seen\" from last }";
const SCRIPT: &str = "mkdir tree; tar -x -C tree -f /kiln/in/src; tar -t -f /kiln/in/src >seen; cat tree/main.c >>seen";

impl Lab {
    pub(super) fn new(name: &str) -> Option<Lab> {
        let ground = Ground::new(&Ground::place(&format!("local-{name}")), Vec::new());
        if let Some(why) = ground.why_not() {
            skip(why);
            return None;
        }
        let program = Ground::place(&format!("local-{name}-program"));
        let _ = kiln::world::fs::remove_tree(&program);
        std::fs::create_dir_all(&program).unwrap();
        let lab = Lab { ground, program };
        lab.write("main.c", "one\n");
        Some(lab)
    }

    /// The directory as a recipe names it.
    pub(super) fn beside(&self) -> String {
        format!("directory \"../{}\"", self.program.file_name().unwrap().to_str().unwrap())
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        put(&self.program, name, text);
    }

    /// Locks `lab.kiln`, whose build has these sources.
    pub(super) fn lock(&self, sources: &str) -> Ended {
        let block = format!(
            "build last {{\n  tools = host-tools\n  {sources}\n  script = \"{SCRIPT}\"\n  outputs = [\"seen\"]\n}}\n\
             image seen extends lab {{ format = tar }}"
        );
        self.ground.lock("lab", &Image { body: BODY, after: &block, ..Image::default() })
    }

    pub(super) fn locked(&self, source: &str) {
        let ended = self.lock(&format!("source \"src\" = {source}"));
        assert_eq!(ended.code, Some(0), "{}", ended.text());
    }

    /// What kiln says of `lab.kiln`; `--source` names the program where `given` says for what.
    pub(super) fn kiln(&self, words: &[&str], given: &[&str]) -> Ended {
        let mut kiln = self.ground.kiln();
        kiln.args(words).arg("lab.kiln");
        for name in given {
            kiln.arg("--source").arg(format!("{name}={}", self.program.display()));
        }
        run(&mut kiln)
    }

    pub(super) fn build(&self, given: &[&str]) -> Ended {
        self.kiln(&["build", "--allow-leaks"], given)
    }

    /// What the script of a build that succeeds sees.
    pub(super) fn seen(&self, given: &[&str]) -> String {
        let ended = self.build(given);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let nodes = tree::read(&self.ground.path("result/lab/seen.tar"));
        String::from_utf8(nodes["seen"].content.clone()).unwrap()
    }

    fn lock_text(&self) -> String {
        std::fs::read_to_string(self.ground.path("lab.lock")).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A directory that stays behind fails no test.
        let _ = kiln::world::fs::remove_tree(&self.program);
    }
}

fn put(at: &Path, name: &str, text: &str) {
    let path = at.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Makes a directory a git working tree that tracks these files: an index as git writes it.
pub(super) fn track(at: &Path, paths: &[&str]) {
    let mut bytes = [b"DIRC".as_slice(), &2u32.to_be_bytes(), &(paths.len() as u32).to_be_bytes()].concat();
    for path in paths {
        let mut entry = vec![0; 60];
        entry[24..28].copy_from_slice(&0o100_644u32.to_be_bytes());
        entry.extend((path.len() as u16).to_be_bytes());
        entry.extend(path.as_bytes());
        entry.resize((entry.len() + 1).next_multiple_of(8), 0);
        bytes.extend(entry);
    }
    bytes.extend([0; 20]);
    std::fs::create_dir_all(at.join(".git")).unwrap();
    std::fs::write(at.join(".git/index"), bytes).unwrap();
}

fn said(ended: &Ended, code: i32, words: &[&str]) {
    let text = ended.text();
    assert!(ended.code == Some(code) && words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
}

#[test]
fn an_edit_outside_of_the_root_changes_the_result_and_not_the_lock() {
    let Some(lab) = Lab::new("edit") else { return };
    lab.locked(&lab.beside());
    let lock = lab.lock_text();
    assert!(lock.contains("local = [\"last/src\"]") && !lock.contains("main.c"), "{lock}");
    assert_eq!(lab.seen(&["last"]), "main.c\none\n");
    lab.write("main.c", "two\n");
    lab.write("deep/new.c", "");
    std::fs::create_dir(lab.program.join("empty")).unwrap();
    let two = "deep/new.c\nempty/\nmain.c\ntwo\n";
    assert_eq!(lab.seen(&["last/src"]), two);
    let manifest = std::fs::read_to_string(lab.ground.path("result/lab/manifest.json")).unwrap();
    assert!(manifest.contains("\"last/src\": \""), "{manifest}");
    let after = lab.lock_text();
    assert!(!after.contains("[outputs]"), "the lock says what came out: {after}");
    said(&lab.kiln(&["lock", "--check"], &[]), 0, &[]);
    // What was built once is there.
    lab.write("main.c", "one\n");
    lab.write("main.c", "two\n");
    let again = lab.build(&["last"]);
    said(&again, 0, &["build last: source src read from", "not recorded in the lock"]);
    assert!(!again.text().contains("running"), "{}", again.text());
}

#[test]
fn a_working_tree_is_what_git_sees_of_it_outside_and_inside_of_the_root() {
    let Some(lab) = Lab::new("git") else { return };
    let inside = lab.ground.path("program");
    for at in [&lab.program, &inside] {
        for (name, text) in [("main.c", "one\n"), ("main.o", ""), (".gitignore", "*.o\n"), ("new.c", ""), ("x/y.o", "")]
        {
            put(at, name, text);
        }
        std::fs::create_dir_all(at.join("none")).unwrap();
        track(at, &["main.c", "gone.c", "x/y.o"]);
    }
    lab.locked(&lab.beside());
    assert_eq!(lab.seen(&["last"]), ".gitignore\nmain.c\nnew.c\nx/y.o\none\n");

    lab.locked("directory \"program\"");
    assert_eq!(lab.seen(&[]), "./\n.gitignore\nmain.c\nnew.c\nx/\nx/y.o\none\n");
    // Neither `git add` nor a compiler makes the lock another recipe's.
    track(&inside, &["main.c", "new.c", "x/y.o", ".gitignore"]);
    put(&inside, "new.o", "");
    put(&inside, ".git/objects/pack/pack", "");
    said(&lab.kiln(&["lock", "--check"], &[]), 0, &[]);
    // Nor does a copy that has no `.git`.
    said(&lab.kiln(&["bundle", "-o", "b.tar"], &[]), 0, &[]);
    said(&run(lab.ground.kiln().args(["unbundle", "b.tar", "there"])), 0, &[]);
    assert!(
        !lab.ground.path("there/recipes/program/.git").exists()
            && !lab.ground.path("there/recipes/program/main.o").exists()
    );
    said(&run(lab.ground.kiln().args(["lock", "--check", "there/recipes/lab.kiln"])), 0, &[]);
    put(&inside, "main.c", "two\n");
    said(&lab.kiln(&["lock", "--check"], &[]), 1, &["directory `program` has changed"]);
}

#[test]
fn a_recipe_alone_opens_no_directory_of_the_host() {
    let Some(lab) = Lab::new("root") else { return };
    lab.write("main.c", SECRET);
    symlink(&lab.program, lab.ground.path("linked")).unwrap();
    let absolute = format!("directory \"{}\"", lab.program.display());
    for source in [lab.beside(), absolute, "directory \"linked\"".to_owned()] {
        lab.locked(&source);
        let ended = lab.build(&[]);
        let outside = "source `src` of build `last` is outside of the recipe's root";
        said(&ended, 1, &[outside, "`--source last=DIR`", "read when the build runs"]);
        assert_eq!(lab.ground.leak(), None, "{source}");
    }
    // A link within a directory is handed on as a link.
    symlink(lab.program.join("main.c"), lab.ground.path("main.c")).unwrap();
    put(&lab.ground.path("own"), "main.c", "own\n");
    symlink("../../main.c", lab.ground.path("own/a")).unwrap();
    lab.locked("directory \"own\"");
    assert_eq!(lab.seen(&[]), "./\na\nmain.c\nown\n");
    assert_eq!(lab.ground.leak(), None);
}

#[test]
fn a_directory_stands_in_for_what_the_recipe_takes_from_elsewhere() {
    let Some(lab) = Lab::new("instead") else { return };
    put(&lab.ground.directory, "program/main.c", "pinned\n");
    lab.locked("directory \"program\"");
    let before = lab.seen(&[]);
    let lock = lab.lock_text();
    assert_eq!(lab.seen(&["last"]), "main.c\none\n");
    assert_eq!(lab.lock_text(), lock, "a directory of the command line is no business of the lock");
    assert_eq!(lab.seen(&[]), before);

    lab.ground.server.put("/prog.tar", vec![0; 1024]);
    let url = format!("url \"{}/prog.tar\"", lab.ground.server.url());
    lab.locked(&url);
    assert_eq!(lab.seen(&["last"]), "main.c\none\n");
    lab.write("main.c", "");
    std::fs::remove_file(lab.program.join("main.c")).unwrap();
    lab.write("other.c", "");
    let ended = lab.build(&["last"]);
    said(&ended, 1, &["because of `--source`, `/kiln/in/src` is a tar archive of a directory"]);
}

#[test]
fn a_name_behind_source_means_one_thing_or_is_refused() {
    let Some(lab) = Lab::new("names") else { return };
    put(&lab.ground.directory, "one/main.c", "");
    put(&lab.ground.directory, "own/main.c", "");
    let sources = format!(
        "source \"src\" = directory \"one\"\n  source \"two\" = {}\n  source \"text\" = \"text\"",
        lab.beside()
    );
    said(&lab.lock(&sources), 0, &[]);
    let names = "`last/src`, `last/two`";
    said(&lab.build(&["last"]), 2, &["build `last` has several sources that a directory can replace", names]);
    for wrong in ["other", "last/text", "last/other", "other/src", "m", "stock"] {
        said(&lab.build(&[wrong]), 2, &[&format!("--source: `{wrong}` is neither a kernel"), names]);
    }
    said(&lab.build(&["last/two", "last/two"]), 2, &["`last/two` is given more than once"]);
    said(&lab.build(&["last/src"]), 1, &["source `two` of build `last` is outside", "`--source last/two=DIR`"]);
    assert_eq!(lab.seen(&["last/two"]), "./\nmain.c\n");
    said(&lab.lock("source \"src\" = directory \"one\"\n  source \"text\" = \"text\""), 0, &[]);
    said(&lab.build(&["last", "last/src"]), 2, &["`last/src` is given more than once"]);
    assert_eq!(lab.seen(&["last"]), "main.c\none\n");
    said(&lab.lock("source \"src\" = directory \"own\" modes exact"), 0, &[]);
    said(&lab.build(&["last"]), 1, &["source `src` keeps every permission bit, which `--source` does not"]);
}

#[test]
fn what_no_lock_pins_is_neither_verified_nor_published() {
    let Some(lab) = Lab::new("refused") else { return };
    lab.locked(&lab.beside());
    lab.seen(&["last"]);
    let reason = "source `src` of build `last` is a directory that the lock does not pin";
    for words in [
        &["verify", "--rebuild"][..],
        &["verify", "--inputs"],
        &["bundle", "-o", "b.tar"],
        &["export", "--format", "tar", "-o", "x.tar"],
        &["sbom", "--format", "spdx"],
    ] {
        said(&lab.kiln(words, &[]), 1, &[reason, "nobody else can build the same"]);
    }
    if super::live::judge("ssh-keygen") {
        super::attest_support::Builder::new(&lab.ground.directory, "key");
        said(&lab.kiln(&["attest", "--key", "key"], &[]), 1, &[reason]);
        // A cache gets what everybody can build, and nothing that was made of the directory.
        let pushed = lab.kiln(&["push", "--cache", "cache", "--key", "key"], &["last"]);
        said(&pushed, 0, &["build last", "it is made of a directory that no lock pins"]);
        let own = run(lab.ground.kiln().args(["attest", "result/lab", "--key", "key"]));
        said(&own, 2, &["source src of build last was read from a directory that no lock pins"]);
    }
    let push = run(lab.ground.kiln().args(["push", "lab.kiln", "oci:layout"]));
    said(&push, 1, &[reason]);
    let result = run(lab.ground.kiln().args(["verify", "result/lab"]));
    said(&result, 0, &["source src of build last was read from a directory that no lock pins"]);
    let bill = run(lab.ground.kiln().args(["sbom", "result/lab", "--format", "spdx", "--offline"]));
    said(&bill, 3, &["source src of build last was read from a local directory, which no lock pins"]);
    // A recipe whose lock pins everything is another build with `--source`.
    put(&lab.ground.directory, "program/main.c", "pinned\n");
    lab.locked("directory \"program\"");
    for words in [&["lock"][..], &["verify", "--rebuild"]] {
        said(&lab.kiln(words, &["last"]), 2, &["--source"]);
    }
    said(&lab.kiln(&["bundle", "-o", "b.tar"], &["last"]), 1, &[reason]);
}

#[test]
fn a_lock_says_that_a_source_has_become_a_directory_or_is_none_any_more() {
    let Some(lab) = Lab::new("moved") else { return };
    put(&lab.ground.directory, "program/main.c", "pinned\n");
    // Which of the two a link is, no text of the recipe tells.
    symlink("program", lab.ground.path("link")).unwrap();
    lab.locked("directory \"link\"");
    std::fs::remove_file(lab.ground.path("link")).unwrap();
    symlink(&lab.program, lab.ground.path("link")).unwrap();
    said(&lab.kiln(&["lock", "--check"], &[]), 1, &["directory `link` is gone"]);
    lab.locked("directory \"link\"");
    std::fs::remove_file(lab.ground.path("link")).unwrap();
    symlink("program", lab.ground.path("link")).unwrap();
    said(&lab.kiln(&["lock", "--check"], &[]), 1, &["directory `link` is new"]);
    // A hand that takes the line out of a lock does not make it a lock that pins everything.
    lab.locked(&lab.beside());
    let mut lock = kiln::lock::read(&lab.lock_text()).unwrap();
    lock.local.clear();
    std::fs::write(lab.ground.path("lab.lock"), kiln::lock::write(&lock)).unwrap();
    let now = "source `src` of build `last` is a directory outside of the recipe's root now";
    said(&lab.kiln(&["lock", "--check"], &[]), 1, &[now]);
}

#[test]
fn a_directory_that_is_no_source_is_named_before_anything_runs() {
    let Some(lab) = Lab::new("odd") else { return };
    lab.locked(&lab.beside());
    let pipe = lab.program.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    said(&lab.build(&["last"]), 4, &["pipe` is a named pipe; only files, directories and symbolic links"]);
    std::fs::remove_file(&pipe).unwrap();
    // Whoever builds in it may have such files.
    lab.write(".config", "");
    assert_eq!(lab.seen(&["last"]), ".config\nmain.c\none\n");
    lab.write("sub/.git", "gitdir: /nowhere\n");
    track(&lab.program, &["main.c"]);
    said(&lab.build(&["last"]), 4, &["sub` is a git working tree of its own"]);
}

#[test]
fn a_directory_that_kiln_writes_to_is_no_source_unless_git_says_what_is() {
    let Some(lab) = Lab::new("own") else { return };
    lab.locked(&lab.beside());
    let project = lab.ground.path("main.c");
    std::fs::write(&project, "own\n").unwrap();
    let build = |lab: &Lab| run(lab.ground.kiln().args(["build", "--allow-leaks", "lab.kiln", "--source", "last=."]));
    said(&build(&lab), 1, &["the directory of source `src` of build `last` holds the lock of the recipe: `lab.lock`"]);
    std::fs::write(lab.ground.path(".gitignore"), "*\n!main.c\n").unwrap();
    track(&lab.ground.directory, &["main.c"]);
    said(&build(&lab), 0, &[]);
}

#[test]
fn a_shell_sees_the_directory_that_the_build_reads() {
    let Some(lab) = Lab::new("shell") else { return };
    lab.locked(&lab.beside());
    std::fs::write(lab.ground.path("lines"), "tar -t -f /kiln/in/src; tar -x -O -f /kiln/in/src main.c\n").unwrap();
    let like = lab.ground.kiln();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$@\" <lines", "sh"]).arg(like.get_program());
    shell.env_clear().current_dir(&lab.ground.directory);
    shell.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args(["shell", "lab.kiln", "last", "--source"]).arg(format!("last={}", lab.program.display()));
    let ended = run(&mut shell);
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let said = String::from_utf8(ended.stdout).unwrap();
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("warning")).collect();
    assert_eq!(said, ["main.c", "one"]);
}

#[test]
fn what_was_built_stays_in_the_lock_while_no_step_changes() {
    let Some(lab) = Lab::new("recorded") else { return };
    put(&lab.ground.path("own"), "main.c", "own\n");
    lab.locked("directory \"own\"");
    assert_eq!(lab.build(&[]).code, Some(0));
    let outputs = || lab.lock_text().split_once("[outputs]").map(|(_, outputs)| outputs.to_owned());
    let built = outputs().unwrap();
    let recipe = lab.ground.path("lab.kiln");
    let text = std::fs::read_to_string(&recipe).unwrap();
    std::fs::write(&recipe, format!("{text}\n# A comment is in no step.\n")).unwrap();
    said(&lab.kiln(&["lock"], &[]), 0, &[]);
    assert_eq!(outputs().as_ref(), Some(&built));
    std::fs::write(&recipe, text.replace("cat tree/main.c", "cat tree/main.c tree/main.c")).unwrap();
    said(&lab.kiln(&["lock"], &[]), 0, &[]);
    assert_eq!(outputs(), None, "another script has other outputs");
}

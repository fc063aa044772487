//! Two hundred popular packages, in groups: each is built within a time limit, and again in variation with equal bits.
//!
//! `tests/popular.sh` chose them (`tests/popular.txt`); what does not build that way is in `tests/popular-exceptions.txt`
//! with its reason. One of the groups has its turn at each commit, `KILN_ALL=1` builds all groups,
//! `KILN_ONLY=group-7` this one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use super::live::{Scratch, has_its_turn, kiln, live, quick, succeed};

const GROUPS: &str = include_str!("../popular.txt");
const EXCEPTIONS: &str = include_str!("../popular-exceptions.txt");

/// A step that says nothing for so long hangs: a script waits for an answer, or for something that never comes.
const SILENCE: &str = "silence=3m";

fn groups() -> Vec<(String, Vec<&'static str>)> {
    let group = |(at, line): (usize, &'static str)| (format!("group-{}", at + 1), line.split(' ').collect());
    GROUPS.lines().enumerate().map(group).collect()
}

fn exceptions() -> BTreeMap<&'static str, &'static str> {
    EXCEPTIONS.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect()
}

#[test]
fn the_list_has_two_hundred_packages_and_few_exceptions_with_reasons() {
    let mut names: Vec<&str> = groups().into_iter().flat_map(|(_, names)| names).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 200);
    let exceptions = exceptions();
    assert!(exceptions.len() <= 10, "a short list");
    for (name, reason) in exceptions {
        assert!(names.contains(&name) && reason.split(' ').count() > 3, "{name}: {reason}");
    }
}

#[test]
fn popular_packages_are_built_twice_equal() {
    if !live("popular packages: locked, built, built in variation") {
        return;
    }
    let (mut all, known) = (groups(), exceptions());
    // Its scripts run `su`, which waits for a password unless PAM is configured before them.
    all.push(("postgresql".to_owned(), vec!["postgresql"]));
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    for (name, packages) in &all {
        if has_its_turn(name, &names) {
            let packages: Vec<&str> = packages.iter().copied().filter(|package| !known.contains_key(package)).collect();
            twice_equal(name, &packages);
        }
    }
}

fn twice_equal(name: &str, packages: &[&str]) {
    let scratch = Scratch::new(&format!("popular-{name}"));
    let recipe = scratch.path("recipes/popular.kiln");
    succeed(
        Command::new("cp")
            .arg("-r")
            .arg("recipes")
            .arg(scratch.path("recipes"))
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    std::fs::write(&recipe, text(packages)).unwrap();
    let store = &quick().store;
    succeed(kiln(store).arg("lock").arg(&recipe));
    let output = verify(store, &recipe);
    assert!(output.status.success(), "{packages:?}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{name}: {} packages and what they need, twice equal", packages.len());
}

fn text(packages: &[&str]) -> String {
    format!(
        "import \"lib/debian-13.kiln\"\nkernel stock {{ package = package \"linux-image-cloud-amd64\" }}\n\
         image popular {{ size = 16GiB tools = image-tools packages = [\"systemd-sysv\", \"{}\"] }}\n\
         machine m {{ kernel = stock image = popular qemu = qemu-11 }}\n",
        packages.join("\", \"")
    )
}

fn verify(store: &Path, recipe: &Path) -> Output {
    let mut verify = kiln(store);
    verify.args(["verify", "--rebuild"]).arg(recipe).env("KILN_LIMITS", SILENCE);
    verify.output().unwrap()
}

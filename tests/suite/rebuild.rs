//! Change one thing, redo little: which steps have other ids after each kind of change, and which really run again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln::base::Digest;
use kiln::lock::Lock;
use kiln::plan;
use kiln::recipe;
use kiln::world::RealWorld;

use super::live::{QUICK, Scratch, kiln, live, quick, succeed};

const EXPANDER: &str = "cxl-expander";

/// The steps of `cxl-expander` by name, after an edit of the recipe's files and one of the lock.
fn steps(edits: &[(&str, &str, &str)], lock: impl FnOnce(&mut Lock)) -> BTreeMap<String, Digest> {
    plan::id::by_name(&lowered(edits, lock))
}

fn lowered(edits: &[(&str, &str, &str)], lock: impl FnOnce(&mut Lock)) -> plan::Plan {
    // Several tests of one process do this at a time.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let scratch = Scratch::new(&format!("rebuild-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    succeed(Command::new("cp").arg("-r").arg(recipes).arg(scratch.path("recipes")));
    for (file, from, to) in edits {
        let path = scratch.path("recipes").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{file} has not one `{from}`");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }
    let recipe = scratch.path("recipes").join(format!("{EXPANDER}.kiln"));
    let recipe = recipe::check(&RealWorld::default(), &recipe, &[]).unwrap_or_else(|_| panic!("mistakes")).reachable();
    let locked = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("lockfiles/{EXPANDER}.lock"));
    let mut locked = kiln::lock::read(&std::fs::read_to_string(locked).unwrap()).unwrap();
    lock(&mut locked);
    plan::lower(&recipe, &locked)
}

/// The names of the steps that an edit moves.
fn moved(edits: &[(&str, &str, &str)], lock: impl FnOnce(&mut Lock)) -> BTreeSet<String> {
    let (before, after) = (steps(&[], |_| ()), steps(edits, lock));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    before.into_iter().filter(|(name, id)| after[name] != *id).map(|(name, _)| name).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn another_file_leaves_packages_and_kernel_alone() {
    let edit = [("cxl-expander.kiln", "One CXL expander.", "Another text.")];
    assert_eq!(moved(&edit, |_| ()), names(&["root debian-cxl", "disk debian-cxl"]));
}

#[test]
fn another_user_leaves_packages_and_kernel_alone() {
    let edit = [("cxl-expander.kiln", "  hostname = \"cxl\"", "  hostname = \"cxl\"\n  user \"guest\" {}")];
    let table = |lock: &mut Lock| {
        lock.images.get_mut("debian-cxl").unwrap().users.insert("guest".into(), 1000);
    };
    assert_eq!(moved(&edit, table), names(&["root debian-cxl", "disk debian-cxl"]));
}

#[test]
fn another_host_name_configures_packages_again_where_they_depend_on_it() {
    let edit = [("cxl-expander.kiln", "hostname = \"cxl\"", "hostname = \"other.example.org\"")];
    let steps = ["named debian-cxl", "root debian-cxl", "disk debian-cxl"];
    assert_eq!(moved(&edit, |_| ()), names(&steps));
}

#[test]
fn answers_locale_and_time_zone_are_part_of_the_base() {
    for line in ["debconf = [\"man-db man-db/install-setuid boolean false\"]", "timezone = \"UTC\"", "locale = \"C\""] {
        let edit = [("cxl-expander.kiln", "  hostname = \"cxl\"", format!("  hostname = \"cxl\"\n  {line}"))];
        let [(file, from, to)] = &edit;
        assert!(moved(&[(*file, *from, to.as_str())], |_| ()).contains("base debian-cxl"), "{line}");
    }
    let answer = "  hostname = \"cxl\"\n  debconf = [\"slapd slapd/password1 password secret\"]";
    let private = lowered(&[("cxl-expander.kiln", "  hostname = \"cxl\"", answer)], |_| ()).private;
    assert_eq!(private.len(), 2, "the descriptions of both steps hold the password");
}

#[test]
fn another_package_leaves_the_kernel_and_the_tools_alone() {
    let package = |lock: &mut Lock| {
        let packages = lock.sets.get_mut("debian-cxl").unwrap();
        let found = packages.iter_mut().find(|package| package.name == "numactl").unwrap();
        found.file.sha256 = Digest::of(b"a newer numactl");
    };
    assert_eq!(
        moved(&[], package),
        names(&["base debian-cxl", "named debian-cxl", "root debian-cxl", "disk debian-cxl"])
    );
}

#[test]
fn another_kernel_option_leaves_the_image_alone() {
    let edit = [("lib/cxl-kernel.kiln", "option LOCALVERSION = \"-cxl\"", "option LOCALVERSION = \"-other\"")];
    let kernel = ["kernel-config cxl-kernel", "kernel-check cxl-kernel", "kernel-build cxl-kernel"];
    assert_eq!(moved(&edit, |_| ()), names(&kernel));
}

#[test]
fn another_machine_builds_nothing() {
    let edits = [
        ("cxl-expander.kiln", "memory = 4GiB", "memory = 3GiB"),
        ("cxl-expander.kiln", "param expander-size = 1GiB", "param expander-size = 2GiB"),
        ("cxl-expander.kiln", "forward ssh = 2222", "forward ssh = 2223"),
    ];
    assert_eq!(moved(&edits, |_| ()), BTreeSet::new());
}

#[test]
fn what_not_everybody_may_read_in_the_image_is_private_in_the_store() {
    let private = |text: &str| lowered(&[("cxl-expander.kiln", "  hostname = \"cxl\"", text)], |_| ()).private;
    let file = |mode: &str| format!("  hostname = \"cxl\"\n  file \"/etc/secret\" {{ text = \"s\" mode = {mode} }}");
    assert_eq!(private(&file("0o644")), BTreeSet::new());
    for mode in ["0o600", "0o640", "0o700"] {
        assert_eq!(private(&file(mode)), BTreeSet::from([Digest::of(b"s")]), "{mode}");
    }
    let hash = format!("$6$abcdefgh${}", "a".repeat(86));
    let user = format!("  hostname = \"cxl\"\n  user \"root\" {{ password-hash = \"{hash}\" }}");
    assert_eq!(private(&user).len(), 1, "the step's description holds the password's hash");
}

/// Steps that a build ran, from what it says.
fn ran(output: &std::process::Output) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter_map(|line| Some(line.split_once(": running")?.0.trim().to_owned())).collect()
}

/// Two recipes with the packages of `cxl-quick` in one store: the second only does what its own words ask for.
#[test]
fn a_second_recipe_with_the_same_packages_configures_nothing() {
    if !live("a recipe that shares its packages with cxl-quick") {
        return;
    }
    let scratch = Scratch::new("rebuild-live");
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    succeed(Command::new("cp").arg("-r").arg(recipes).arg(scratch.path("recipes")));
    let text = std::fs::read_to_string(QUICK).unwrap();
    let text =
        text.replace("hostname = \"cxl-quick\"", "hostname = \"second\"\n  file \"/etc/second\" { text = \"x\\n\" }");
    let text = text.replace("image cxl-quick ", "image second ").replace("= cxl-quick\n", "= second\n");
    let recipe = scratch.path("recipes/second.kiln");
    std::fs::write(&recipe, text).unwrap();
    // The archives may have moved on since: what is shared is what both locks say.
    let lock = scratch.path("second.lock");
    let locked = std::fs::read_to_string(&quick().lock).unwrap().replace("[sets.cxl-quick]", "[sets.second]");
    std::fs::write(&lock, locked.replace("[images.cxl-quick]", "[images.second]")).unwrap();
    let store = &quick().store;
    succeed(kiln(store).arg("lock").arg(&recipe).arg("--lock").arg(&lock));
    let build = || {
        succeed(kiln(store).arg("build").arg(&recipe).arg("--lock").arg(&lock).arg("--out").arg(scratch.path("out")))
    };
    let first = ran(&build());
    // Under the other host name nothing is configured either, since no file of this base depends on it.
    assert_eq!(first, names(&["named second", "root second", "disk second stock"]));
    assert_eq!(ran(&build()), BTreeSet::new());
}

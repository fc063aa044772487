//! The same as users see it: what is taken from below is said to be, vouches for nothing, and is done without when it goes.

use std::collections::BTreeMap;
use std::path::Path;

use kiln::lock::{self, Lock};

use super::super::attack::ground::{Ended, Ground, run};
use super::super::skip::skip;
use super::everything;

/// A kernel out of a package alone: one step, which needs no tools.
const KERNEL: &str = "archive trixie { keys = [file \"archive.asc\"] }\n\
    kernel stock { package = package \"linux-image-6.12.1-amd64\" }\n";

fn ground(name: &str) -> Option<Ground> {
    let ground = Ground::new(&Ground::place(&format!("below-{name}")), Vec::new());
    if let Some(why) = ground.why_not() {
        skip(why);
        return None;
    }
    std::fs::write(ground.path("lab.kiln"), KERNEL).unwrap();
    Some(ground)
}

/// kiln with a store of this name over `below`.
fn kiln(ground: &Ground, (store, below): (&str, &str), words: &[&str]) -> Ended {
    run(ground.kiln().env("KILN_STORE", ground.path(store)).env("KILN_STORE_BELOW", below).args(words))
}

fn succeed(ground: &Ground, stores: (&str, &str), words: &[&str]) -> String {
    let ended = kiln(ground, stores, words);
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text());
    ended.text()
}

fn manifest(ground: &Ground, out: &str) -> String {
    std::fs::read_to_string(ground.path(out).join("manifest.json")).unwrap()
}

fn build<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["build", "--allow-leaks", "lab.kiln", "--out", out], more].concat()
}

/// Every file below a directory, if that is there.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn blobs(store: &Path) -> usize {
    std::fs::read_dir(store.join("cas")).unwrap().count()
}

#[test]
fn a_build_takes_what_is_below_says_so_and_goes_on_when_it_goes() {
    let Some(ground) = ground("builds") else { return };
    succeed(&ground, ("team", ""), &["lock", "lab.kiln"]);
    succeed(&ground, ("team", ""), &build("out-team", &[]));
    succeed(&ground, ("team", ""), &["store", "share"]);
    let team = ground.path("team");
    let below = team.display().to_string();
    let before = everything(&team);

    let mine = ("mine", below.as_str());
    let said = succeed(&ground, mine, &build("out-mine", &["--offline"]));
    assert!(said.contains(&format!("kernel stock: taken from the store below at {below}")), "{said}");
    assert!(!said.contains("running") && !said.contains("fetch:"), "{said}");
    assert_eq!(manifest(&ground, "out-mine"), manifest(&ground, "out-team"));
    assert_eq!(blobs(&ground.path("mine")), 0, "nothing that is below is kept twice");
    // What others say is no fact for a lock; what it has stays, and is compared.
    let lock = ground.path("lab.lock");
    let full = lock::read(&std::fs::read_to_string(&lock).unwrap()).unwrap();
    std::fs::write(&lock, lock::write(&Lock { outputs: BTreeMap::new(), ..full.clone() })).unwrap();
    let said = succeed(&ground, mine, &build("out-first", &["--offline"]));
    assert!(said.contains("outputs are not recorded in the lock"), "{said}");
    assert!(lock::read(&std::fs::read_to_string(&lock).unwrap()).unwrap().outputs.is_empty());
    let plan = succeed(&ground, mine, &["plan", "lab.kiln"]);
    assert!(plan.contains("cached, taken from the store below at") && plan.contains("0 to download"), "{plan}");
    assert!(succeed(&ground, mine, &["plan", "lab.kiln", "--json"]).contains("\"store_below\""));

    // Both are named, and what is below is not counted or cleaned.
    assert_eq!(succeed(&ground, mine, &["store", "path"]).lines().nth(1), Some(below.as_str()));
    assert!(succeed(&ground, mine, &["store", "stat"]).contains(&format!("below, in {below}")));
    assert!(succeed(&ground, mine, &["store", "stat", "--json"]).contains("\"below\""));
    let checked = succeed(&ground, mine, &["store", "verify"]);
    assert!(checked.contains(&format!("below, in {below}: checked")), "{checked}");
    let rooted = succeed(&ground, mine, &["root", "add", "kept", "out-mine"]);
    assert!(rooted.contains("in a store below, which no root of this one keeps"), "{rooted}");
    assert!(succeed(&ground, mine, &["gc", "--keep-days", "0", "--max-size", "1KiB"]).starts_with("removed"));
    assert_eq!(everything(&team), before, "not even a time of it changed");

    // A build that others have carried out is not attested, and one without others' results runs.
    if super::super::live::judge("ssh-keygen") {
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(ground.path("key"));
        assert!(keygen.status().unwrap().success());
        let ended = kiln(&ground, mine, &["attest", "out-mine", "--key", "key"]);
        assert!(
            ended.code != Some(0) && ended.text().contains("does not show that all of it was built here"),
            "{}",
            ended.text()
        );
        let said = succeed(&ground, mine, &["push", "--allow-leaks", "lab.kiln", "--key", "key", "--cache", "cache"]);
        assert!(said.contains("it is the result of a store below, whose owner can push it"), "{said}");
        assert_eq!(files(&ground.path("cache")), Vec::<std::path::PathBuf>::new(), "neither a result nor its content");
    }
    let said = succeed(&ground, mine, &build("out-alone", &["--without-caches"]));
    assert!(said.contains("kernel stock: running") && !said.contains("taken"), "{said}");
    let recorded = lock::read(&std::fs::read_to_string(&lock).unwrap()).unwrap();
    assert!(!full.outputs.is_empty() && recorded == full, "what was built here is recorded");
    if ground.path("key").exists() {
        succeed(&ground, mine, &["attest", "out-alone", "--key", "key"]);
    }

    // What goes below is fetched and made here.
    for part in ["cas", "ac", "tree"] {
        for entry in std::fs::read_dir(team.join(part)).unwrap() {
            kiln::world::fs::remove_tree(&entry.unwrap().path()).unwrap();
        }
    }
    let said = succeed(&ground, ("later", &below), &build("out-later", &[]));
    assert!(said.contains("kernel stock: running") && said.contains("fetch:"), "{said}");
    assert_eq!(manifest(&ground, "out-later"), manifest(&ground, "out-team"));
}

#[test]
fn a_damaged_store_below_costs_a_warning() {
    let Some(ground) = ground("damaged") else { return };
    succeed(&ground, ("team", ""), &["lock", "lab.kiln"]);
    succeed(&ground, ("team", ""), &build("out-team", &[]));
    let below = ground.path("team").display().to_string();
    for blob in std::fs::read_dir(ground.path("team/cas")).unwrap() {
        super::super::store::tamper(&blob.unwrap().path());
    }
    let ended = kiln(&ground, ("mine", &below), &["store", "verify"]);
    assert_eq!(ended.code, Some(3), "{}", ended.text());
    let said = succeed(&ground, ("mine", &below), &build("out-mine", &[]));
    assert!(said.contains("of the store below is not used: "), "{said}");
    assert_eq!(manifest(&ground, "out-mine"), manifest(&ground, "out-team"));
}

#[test]
fn only_the_user_names_stores_and_those_that_are_wrong_are_told() {
    let Some(ground) = ground("named") else { return };
    let said = succeed(&ground, ("mine", "/nowhere/at/all"), &["store", "path"]);
    assert!(said.contains("warning: the store below at /nowhere/at/all is not used: it is not there"), "{said}");
    // Whoever owns it can make it anything at any time, and ends no command by that.
    let open = ground.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let open = open.display().to_string();
    for (path, why) in [("/etc", "it is not a store of kiln"), (&open, "may be written by")] {
        let said = succeed(&ground, ("mine", path), &["store", "path"]);
        assert!(said.contains(&format!("warning: the store below at {path} is not used: ")), "{said}");
        assert!(said.contains(why), "{said}");
    }
    // What the user has written wrong is the user's to mend.
    let own = ground.path("mine").display().to_string();
    for (word, why) in [("team", "expected the absolute path of a store"), (&own, "it is the user's own store")] {
        let ended = kiln(&ground, ("mine", word), &["store", "path"]);
        assert_eq!(ended.code, Some(2), "{}", ended.text());
        assert!(ended.text().contains(why), "{}", ended.text());
    }
}

/// The commands of the page about a team's store, of whoever prepares it and of everybody else.
#[test]
fn the_commands_of_the_page_share_a_store() {
    let Some(ground) = ground("page") else { return };
    std::fs::create_dir(ground.path("recipes")).unwrap();
    std::fs::write(ground.path("recipes/archive.asc"), ground.archive.key.certificate()).unwrap();
    std::fs::write(ground.path("recipes/small.kiln"), KERNEL).unwrap();
    std::fs::create_dir(ground.path("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kiln"), ground.path("bin/kiln")).unwrap();
    succeed(&ground, ("elsewhere", ""), &["lock", "recipes/small.kiln"]);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/store.md")).unwrap();
    let (_, section) = page.split_once("## A store for a team").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let scripts: Vec<&str> = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [prepares, uses] = scripts[..] else { panic!("the page has {} examples", scripts.len()) };
    let team = ground.path("srv");
    let sh = |script: &str| {
        let script = script.replace("sudo ", "").replace("/srv/kiln", &team.display().to_string());
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", ground.path("bin").display());
        let ended =
            run(ground.wrapped(&["sh", "-euc", &script]).env("PATH", path).env("KILN_STORE", ground.path("mine")));
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended.text()
    };
    sh(prepares);
    let said = sh(uses);
    assert!(said.contains(&format!("kernel stock: taken from the store below at {}", team.display())), "{said}");
    assert!(said.contains("checked 0 files and trees; 0 damaged"), "nothing is in one's own: {said}");
}

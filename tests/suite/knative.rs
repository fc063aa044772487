//! `recipes/knative.kiln`, as far as it can be tried where its releases cannot be reached: what it says without network, and
//! its image with stand-ins for the released files.

use std::io::Read;
use std::path::Path;

use kiln::exec::event::IgnoreSteps;
use kiln::exec::executor::LocalExecutor;
use kiln::exec::{ExecOptions, Services, realize};
use kiln::ops::load;
use kiln::plan::{self, Input, StepKind, step::FetchPlace};
use kiln::store::Store;
use kiln::world::RealWorld;
use kiln::{lock, ops::mirrors, recipe};

use super::archive_support::Server;
use super::live::{Scratch, fail_with, kiln, live, succeed};

const RECIPE: &str = "recipes/knative.kiln";

#[test]
fn without_network_and_without_a_lock_it_says_so() {
    let scratch = Scratch::new("knative-offline");
    let (store, locked) = (scratch.path("store"), scratch.path("knative.lock"));
    let text = fail_with(kiln(&store).args(["build", RECIPE, "--lock"]).arg(&locked), 1);
    assert!(text.contains("no lock found at") && text.contains("run `kiln lock`"), "{text}");
    let mut nowhere = kiln(&store);
    nowhere
        .env("KILN_MIRROR", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9")
        .env("NO_PROXY", "127.0.0.1");
    let text = fail_with(nowhere.args(["lock", RECIPE, "--lock"]).arg(&locked), 4);
    assert!(text.contains("InRelease") && text.contains("127.0.0.1:9"), "{text}");
    assert!(!locked.exists(), "half a lock was written");
}

/// What the recipe fetches, below the place where releases are published.
fn released() -> Vec<String> {
    let world = RealWorld::default();
    let recipe = recipe::check(&world, Path::new(RECIPE), &[]).unwrap_or_else(|_| panic!("{RECIPE} has mistakes"));
    let files = recipe.images["knative"].files.iter().filter_map(|file| match &file.content {
        recipe::image::Content::Url(address) => {
            Some(address.url.strip_prefix("https://github.com").unwrap().to_owned())
        }
        _ => None,
    });
    files.collect()
}

#[test]
fn its_image_is_made_from_what_is_released() {
    if !live("knative: its image with stand-ins for the released files, its kernel's configuration") {
        return;
    }
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let scratch = Scratch::new("knative");
    let (store, locked) = (scratch.path("store"), scratch.path("knative.lock"));
    // Debian's archives answer, and the place of the releases does not.
    let mut lock = kiln(&store);
    let text = fail_with(lock.args(["lock", RECIPE, "--set", "releases=http://127.0.0.1:9", "--lock"]).arg(&locked), 4);
    assert!(text.contains("http://127.0.0.1:9/k3s-io/k3s/releases/download/"), "{text}");
    assert!(!locked.exists(), "half a lock was written");

    let server = Server::start(&[]);
    let released = released();
    assert_eq!(released.len(), 5, "{released:?}");
    released.iter().for_each(|path| server.put(path, format!("stand-in for {path}\n").into_bytes()));
    let releases = format!("releases={}", server.url());
    succeed(kiln(&store).args(["lock", RECIPE, "--set", &releases, "--lock"]).arg(&locked));

    let world = RealWorld::default();
    let set = [("releases".to_owned(), server.url())];
    let recipe = recipe::check(&world, Path::new(RECIPE), &set).unwrap_or_else(|_| panic!("mistakes")).reachable();
    let lock = load::read_lock(&world, &locked).unwrap_or_else(|_| panic!("an unreadable lock")).unwrap();
    lock::satisfies(&recipe, &lock).unwrap();
    let plan = plan::lower(&recipe, &lock);
    let plan =
        plan::restrict(&plan, &|kind| ["disk knative", "kernel-check cxl-kernel"].contains(&kind.to_string().as_str()));
    let store = Store::open(&store).unwrap();
    let known = mirrors::known(&world).unwrap_or_else(|_| panic!("no mirrors"));
    let addresses = |place: &FetchPlace| mirrors::addresses(&known, place);
    let options = ExecOptions { jobs: Some(2), ..ExecOptions::default() };
    let services = Services {
        store: &store,
        world: &world,
        mirrors: &addresses,
        executor: &LocalExecutor,
        caches: None,
        listener: &IgnoreSteps,
    };
    let done = realize(&plan, &services, &options).unwrap_or_else(|error| panic!("{error}"));
    let root = plan.position(&StepKind::Root("knative".to_owned())).unwrap();
    let root = done.file(&Input::Output { step: root, name: "root.tar".to_owned() }).sha256;
    let mut archive = tar::Archive::new(std::fs::File::open(store.path(&root).unwrap()).unwrap());
    let mut held = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        if path == "usr/local/bin/k3s"
            || path.starts_with("var/lib/rancher/k3s/") && entry.header().entry_type().is_file()
        {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("stand-in for /"), "{path}: {text}");
            assert_eq!(entry.header().mode().unwrap() & 0o777, if path.ends_with("/k3s") { 0o755 } else { 0o644 });
            held += 1;
        }
    }
    assert_eq!(held, released.len());
}

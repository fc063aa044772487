//! Caches of steps: what one store has built, another takes, by trusted keys only, and no more of it than is needed; what is
//! wrong with a cache costs a warning and never the build.

mod attested;
mod challenged;
mod hostile;
mod keys;
mod layout;
mod registry;
mod web;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::attack::ground::{Ended, Ground, run};
use super::builds::{BODY, BUILDS, image, prepared};
use super::oci::server::TestRegistry;
use super::skip::skip;

/// A kernel out of a package alone: one step, which needs no tools.
const KERNEL: &str = "archive trixie { keys = [file \"archive.asc\"] }\n\
    kernel stock { package = package \"linux-image-6.12.1-amd64\" }\n";

/// A project, keys, and a list that trusts one of them.
struct Lab {
    ground: Ground,
}

impl Lab {
    /// A recipe with builds, an image and a machine, which is locked; `None`, said aloud, where nothing can be built.
    fn with_builds(name: &str) -> Option<Lab> {
        let lab = Lab::of(prepared(&format!("caches-{name}"))?)?;
        let locked = lab.ground.lock("lab", &image(BODY, BUILDS));
        assert_eq!(locked.code, Some(0), "{}", locked.text());
        Some(lab)
    }

    /// A recipe with a kernel alone.
    fn with_kernel(name: &str) -> Option<Lab> {
        let ground = Ground::new(&Ground::place(&format!("caches-{name}")), Vec::new());
        if let Some(why) = ground.why_not() {
            skip(why);
            return None;
        }
        let lab = Lab::of(ground)?;
        std::fs::write(lab.path("lab.kiln"), KERNEL).unwrap();
        lab.succeed("store", &["lock", "lab.kiln"]);
        Some(lab)
    }

    fn of(ground: Ground) -> Option<Lab> {
        if !super::live::judge("ssh-keygen") {
            return None;
        }
        let lab = Lab { ground };
        lab.key("alice");
        lab.trust(&format!("alice {}\n", lab.public("alice")));
        Some(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.ground.path(name)
    }

    fn key(&self, name: &str) {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(self.path(name));
        assert!(keygen.status().unwrap().success());
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    fn trust(&self, lines: &str) {
        std::fs::create_dir_all(self.path(".config/kiln")).unwrap();
        std::fs::write(self.path(".config/kiln/trusted-keys"), lines).unwrap();
    }

    /// kiln with a store of this name.
    fn kiln(&self, store: &str, words: &[&str]) -> Ended {
        run(self.ground.kiln().env("KILN_STORE", self.path(store)).args(words))
    }

    fn succeed(&self, store: &str, words: &[&str]) -> String {
        let ended = self.kiln(store, words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text());
        ended.text()
    }

    fn push(&self, store: &str, words: &[&str]) -> String {
        self.succeed(store, &[&["push", "--allow-leaks", "lab.kiln", "--key", "alice"], words].concat())
    }

    /// Builds into a directory that is called like the store.
    fn build(&self, store: &str, words: &[&str]) -> String {
        let out = format!("out-{store}");
        self.succeed(store, &[&["build", "--allow-leaks", "lab.kiln", "--out", &out], words].concat())
    }

    /// The manifest of what a store built, which names every artifact by digest.
    fn built(&self, store: &str) -> String {
        std::fs::read_to_string(self.path(&format!("out-{store}/manifest.json"))).unwrap()
    }

    /// Every file of a store is what its name says.
    fn sound(&self, store: &str) {
        let store = kiln::store::Store::open(&self.path(store)).unwrap();
        assert_eq!(store.recheck().unwrap().damaged, 0);
    }

    /// The files in a part of the cache, sorted.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        names(&self.path("cache").join(part))
    }
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn ran(text: &str, step: &str) -> bool {
    text.contains(&format!("{step}: running"))
}

fn taken(text: &str, step: &str) -> bool {
    text.contains(&format!("{step}: taken from cache, signed by alice (SHA256:"))
}

#[test]
fn what_one_store_has_built_another_takes_and_no_more_than_it_needs() {
    let Some(lab) = Lab::with_builds("taken") else { return };
    lab.build("store", &[]);
    let said = lab.push("store", &["--cache", "cache"]);
    assert!(said.contains("cache: results of ") && said.contains("signed by SHA256:"), "{said}");
    assert!(!said.contains("not pushed"), "{said}");

    let said = lab.build("other", &["--cache", "cache"]);
    for step in ["build first", "build last", "base lab", "root lab", "disk lab", "kernel stock"] {
        assert!(!ran(&said, step), "{step}: {said}");
    }
    assert!(taken(&said, "build last") && taken(&said, "root lab"), "{said}");
    // A disk is made of several archives, and named once.
    let unsearched: Vec<&str> = said.lines().filter(|line| line.contains("was not searched")).collect();
    assert!(unsearched.iter().any(|line| line.contains("disk")), "{said}");
    assert_eq!(unsearched.iter().collect::<BTreeSet<_>>().len(), unsearched.len(), "{said}");
    assert_eq!(lab.built("store"), lab.built("other"));
    lab.sound("other");
    // Only what is delivered, or read by every build, was fetched: not the archive that the disk was made of.
    let lock = kiln::lock::read(&std::fs::read_to_string(lab.path("lab.lock")).unwrap()).unwrap();
    let root = lock.outputs["lab/root.tar"].file.sha256.hex();
    assert!(lab.path("cache/blobs").join(format!("{root}.zst")).exists());
    assert!(!lab.path("other/cas").join(root).exists(), "an archive was fetched that nobody reads");

    // It is remembered who built it, and every use asks whether they are still trusted.
    let plan = lab.succeed("other", &["plan", "lab.kiln"]);
    assert!(plan.contains("cached, taken from cache, signed by alice"), "{plan}");
    assert!(!lab.build("other", &[]).contains("running"), "it was taken before");
    lab.trust(&format!("alice {}\nnobody {} revoked\n", lab.public("alice"), lab.public("alice")));
    let said = lab.build("other", &[]);
    assert!(ran(&said, "root lab") && !said.contains("taken"), "{said}");
    assert_eq!(lab.built("store"), lab.built("other"));
}

#[test]
fn a_step_that_runs_takes_what_it_reads_from_the_cache() {
    let Some(lab) = Lab::with_builds("partly") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    // A script that is another one, and leaves the same: only it runs, over a tree that another store has made.
    let text = std::fs::read_to_string(lab.path("lab.kiln")).unwrap();
    std::fs::write(lab.path("lab.kiln"), text.replace("    cp /kiln/in/parts", "    true\n    cp /kiln/in/parts"))
        .unwrap();
    lab.succeed("other", &["lock", "lab.kiln"]);
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(ran(&said, "build last") && !ran(&said, "build first") && !ran(&said, "root lab"), "{said}");
    assert!(taken(&said, "build first") && taken(&said, "root lab"), "{said}");
    lab.sound("other");
}

#[test]
fn only_trusted_keys_count_and_only_with_their_recipes() {
    let Some(lab) = Lab::with_kernel("trust") else { return };
    lab.push("store", &["--cache", "cache"]);
    let alice = lab.public("alice");
    lab.key("bob");
    let (bob, far) = (lab.public("bob"), "expires=2000-01-01");
    for (at, (lines, words)) in [
        (String::new(), "no keys are trusted"),
        (format!("bob {bob}\n"), ""),
        (format!("alice {alice} recipes=other-*\n"), "who is not trusted with recipe `lab`"),
        (format!("alice {alice} {far}\n"), "whose key expired at"),
        (format!("alice {alice}\neve {alice} revoked\nbob {bob}"), ""),
    ]
    .iter()
    .enumerate()
    {
        lab.trust(lines);
        let said = lab.build(&format!("store-{at}"), &["--cache", "cache"]);
        assert!(ran(&said, "kernel stock") && said.contains(words), "{lines}: {said}");
    }
    lab.trust("");
    std::fs::write(lab.path("ours"), format!("alice {alice}\n")).unwrap();
    let said = lab.build("named", &["--cache", "cache", "--trusted-keys", "ours"]);
    assert!(taken(&said, "kernel stock"), "{said}");
    // Whoever names no such file the next time does not rely on that key.
    assert!(ran(&lab.build("named", &[]), "kernel stock"));
}

#[test]
fn flags_say_whose_results_count() {
    let Some(lab) = Lab::with_kernel("flags") else { return };
    lab.push("store", &["--cache", "cache"]);
    std::fs::write(lab.path(".config/kiln/caches"), format!("# ours\n{}\n", lab.path("cache").display())).unwrap();
    assert!(lab.build("a", &[]).contains("kernel stock: taken from"));
    assert!(ran(&lab.build("a", &["--no-cache"]), "kernel stock"));
    assert!(ran(&lab.build("b", &["--without-caches"]), "kernel stock"));
    // What was taken counts as long as nobody says otherwise, and a rebuild compares it and makes it this store's own.
    assert!(lab.build("c", &["--offline"]).contains("kernel stock: taken from"), "a directory is no network");
    let said = lab.succeed("c", &["verify", "--rebuild", "lab.kiln"]);
    assert!(ran(&said, "kernel stock"), "the second build takes nothing: {said}");
    assert!(lab.build("c", &["--without-caches"]).contains("kernel stock: cached"));
    for words in [["--cache", "ftp://cache.example"], ["--cache", "http://me@cache.example"]] {
        let ended = lab.kiln("d", &[&["build", "lab.kiln"][..], &words].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.text());
    }
    let ended = lab.kiln("d", &["push", "lab.kiln", "--key", "alice", "--cache", "http://cache.example"]);
    assert!(ended.code == Some(2) && ended.text().contains("does not write to web servers"), "{}", ended.text());
}

#[test]
fn results_of_others_are_passed_on_with_their_signatures_and_pushes_repeat_nothing() {
    let Some(lab) = Lab::with_kernel("passed") else { return };
    lab.push("store", &["--cache", "cache"]);
    let first: Vec<Vec<u8>> = lab.files("results").iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(lab.push("store", &["--cache", "cache"]).contains("; 0 files written"), "all is there");
    let files = lab.files("blobs");
    std::fs::write(&files[0], b"damaged").unwrap();
    assert!(lab.push("store", &["--cache", "cache"]).contains("; 1 file written"), "what is damaged is replaced");

    lab.key("bob");
    lab.build("other", &["--cache", "cache"]);
    let said = lab.succeed("other", &["push", "--allow-leaks", "lab.kiln", "--key", "bob", "--cache", "copy"]);
    assert!(said.contains("1 of them with the signatures of others"), "{said}");
    let copied: Vec<Vec<u8>> =
        names(&lab.path("copy/results")).iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert_eq!(first, copied, "bob says nothing of what bob has not built");
    assert_eq!(files.len(), names(&lab.path("copy/blobs")).len());
}

#[test]
fn pushes_at_once_and_interrupted_ones_leave_whole_files() {
    let Some(lab) = Lab::with_kernel("at-once") else { return };
    lab.key("bob");
    // Each in a checkout of its own.
    let push = |name: &str, key: &str| {
        let checkout = lab.path(&format!("checkout-{name}"));
        std::fs::create_dir_all(&checkout).unwrap();
        for file in ["lab.kiln", "lab.lock", "archive.asc"] {
            std::fs::copy(lab.path(file), checkout.join(file)).unwrap();
        }
        let mut kiln = lab.ground.kiln();
        kiln.current_dir(checkout).env("KILN_STORE", lab.path(name)).args(["push", "--allow-leaks", "lab.kiln"]);
        kiln.arg("--cache").arg(lab.path("cache")).arg("--key").arg(lab.path(key));
        kiln
    };
    // As after kill -9.
    std::fs::create_dir_all(lab.path("cache/blobs")).unwrap();
    let left = lab.path("cache/blobs/.kiln-0123456789abcdef0123456789abcdef.tmp");
    std::fs::write(&left, b"half").unwrap();
    let pushes = [("one", "alice"), ("two", "bob"), ("three", "alice")].map(|(name, key)| push(name, key));
    std::thread::scope(|scope| {
        for mut kiln in pushes {
            scope.spawn(move || {
                let ended = run(&mut kiln);
                assert_eq!(ended.code, Some(0), "{}", ended.text());
            });
        }
    });
    assert!(!left.exists(), "what an interrupted push left is removed");
    assert!(lab.files("blobs").iter().all(|file| file.extension().is_some_and(|end| end == "zst")));
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(taken(&said, "kernel stock") && !said.contains("warning: cache"), "{said}");
    lab.sound("other");
}

/// Each line of a fenced block of the page's section on caches that calls kiln.
fn commands() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sharing.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Caches of steps")).unwrap();
    section.lines().filter_map(|line| line.strip_prefix("kiln ")).map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_page_fill_take_and_compare() {
    let Some(lab) = Lab::with_kernel("page") else { return };
    let commands = commands();
    assert_eq!(commands.len(), 6, "{commands:?}");
    let registry = TestRegistry::start();
    let mut said = Vec::new();
    for (at, command) in commands.iter().enumerate() {
        let line = command.replace("recipes/small.kiln", "lab.kiln").replace("/srv/kiln-cache", "cache");
        let line = line.replace("~/.ssh/id_ed25519", "alice");
        let line = line.replace("registry.example", &registry.host());
        let served = if at == 0 { String::new() } else { web::serve(&lab) };
        let line = line.replace("https://cache.example/kiln", &served).replace("https://other.example/kiln", &served);
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words[0] != "challenge" {
            words.insert(1, "--allow-leaks");
        }
        if words[0] == "challenge" {
            lab.build("compares", &["--without-caches"]);
        }
        // One store fills, two take, one fills a registry, from which another one takes, and one that has built by itself compares.
        said.push(lab.succeed(["fills", "takes", "asks", "fills", "pulls", "compares"][at], &words));
    }
    assert!(taken(&said[1], "kernel stock"), "{said:?}");
    assert!(said[2].contains("kernel stock: taken from http://127.0.0.1:"), "{said:?}");
    assert!(said[4].contains("kernel stock: taken from 127.0.0.1:"), "{said:?}");
    assert!(said[5].contains("agree"), "{said:?}");
}

#[test]
fn what_ssh_keygen_thinks_of_a_result() {
    let Some(lab) = Lab::with_kernel("judge") else { return };
    lab.push("store", &["--cache", "cache"]);
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(&lab.files("results")[0]).unwrap()).unwrap();
    std::fs::write(lab.path("statement"), result["statement"].as_str().unwrap()).unwrap();
    std::fs::write(lab.path("signature"), result["signature"].as_str().unwrap()).unwrap();
    std::fs::write(lab.path("signers"), format!("alice {}\n", lab.public("alice"))).unwrap();
    let judge = |namespace: &str| {
        let mut judge = Command::new("ssh-keygen");
        judge.args(["-Y", "verify", "-I", "alice", "-n", namespace, "-f"]).arg(lab.path("signers"));
        judge.arg("-s").arg(lab.path("signature")).stdin(std::fs::File::open(lab.path("statement")).unwrap());
        judge.output().unwrap().status.success()
    };
    assert!(judge("kiln-step") && !judge("kiln"), "a signature of a step is none of a build");
}

#[test]
fn what_is_private_is_pushed_and_asked_for_only_where_that_is_said() {
    let Some(lab) = Lab::with_builds("private") else { return };
    let private = "file \"/etc/secret\" { source = file \"kept.bin\" mode = 0o600 }";
    assert_eq!(lab.ground.lock("lab", &image(&format!("{BODY}\n{private}"), BUILDS)).code, Some(0));
    let said = lab.push("store", &["--cache", "cache"]);
    assert!(said.contains("root lab: not pushed: it is made from files that not everybody may read"), "{said}");
    let said = lab.build("other", &["--cache", "cache"]);
    assert!(taken(&said, "base lab") && ran(&said, "root lab"), "{said}");

    lab.push("store", &["--cache", "private=closed"]);
    let modes = names(&lab.path("closed/results")).into_iter().map(|file| {
        use std::os::unix::fs::PermissionsExt;
        file.metadata().unwrap().permissions().mode() & 0o777
    });
    assert!(modes.collect::<std::collections::BTreeSet<_>>().contains(&0o640));
    assert!(ran(&lab.build("third", &["--cache", "closed"]), "root lab"), "nobody said that it is private");
    let said = lab.build("fourth", &["--cache", "private=closed"]);
    assert!(said.contains("root lab: taken from closed"), "{said}");
    // What comes out of it is as closed in this store as it is where it was built.
    let lock = kiln::lock::read(&std::fs::read_to_string(lab.path("lab.lock")).unwrap()).unwrap();
    let disk = lock.outputs.iter().find(|(name, _)| name.contains("disk")).unwrap().1.file.sha256;
    assert!(kiln::store::is_private(&lab.path("fourth/cas").join(disk.hex())));
}

#[test]
fn a_cache_is_not_mixed_with_files_of_others_unasked() {
    let Some(lab) = Lab::with_kernel("among") else { return };
    std::fs::create_dir(lab.path("mine")).unwrap();
    std::fs::write(lab.path("mine/file"), "x").unwrap();
    let push = ["push", "--allow-leaks", "lab.kiln", "--key", "alice", "--cache", "mine"];
    let refused = lab.kiln("store", &push);
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    assert!(refused.text().contains("neither empty nor a cache") && refused.text().contains("mkdir mine/results"));
    assert_eq!(names(&lab.path("mine")), [lab.path("mine/file")]);
    std::fs::create_dir(lab.path("mine/results")).unwrap();
    assert!(lab.succeed("store", &push).contains("mine: results of "));
    assert!(lab.succeed("store", &push).contains("; 0 files written"), "it is one now");
}

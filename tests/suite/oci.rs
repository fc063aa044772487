//! `kiln push`, `kiln pull` and `kiln run REFERENCE`: image layouts, and a registry on loopback that behaves, breaks off, asks for
//! logins, or means ill.

mod chunks;
mod deltas;
mod hostile;
mod logins;
mod referrers;
pub(super) mod server;
mod signatures;
mod tags;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kiln::base::Digest;
use kiln::deliver::manifest::{DeliveredFile, FORMAT, Manifest};

use self::server::{Reply, TestRegistry};
use super::attack::ground::{Ground, Image, run, succeeded};
use super::bundle::page_commands;
use super::failure_support::{refused, text};
use super::live::Scratch;
use super::patience::until;
use super::skip::skip;

/// A result directory with an image alone, which needs no lock, and a store for each side.
pub(super) struct Lab {
    scratch: Scratch,
    pub(super) registry: TestRegistry,
}

impl Lab {
    /// `bytes` is the size of the image.
    pub(super) fn new(name: &str, bytes: usize) -> Lab {
        let lab = Lab { scratch: Scratch::new(&format!("oci-{name}")), registry: TestRegistry::start() };
        lab.deliver("build", bytes);
        lab
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// A build of recipe `tiny`.
    fn deliver(&self, at: &str, bytes: usize) -> Manifest {
        self.deliver_image(at, noise(bytes as u64, bytes))
    }

    /// The same of an image with these bytes.
    fn deliver_image(&self, at: &str, image: Vec<u8>) -> Manifest {
        let file = DeliveredFile { size: image.len() as u64, sha256: Digest::of(&image) };
        let manifest = Manifest {
            format: FORMAT,
            recipe: "tiny".to_owned(),
            output_version: 1,
            lock: Digest::of(b"lock"),
            artifacts: BTreeMap::from([("i.tar".to_owned(), file)]),
            steps: BTreeMap::new(),
            incremental: Default::default(),
            local: BTreeMap::new(),
            qemu: BTreeMap::new(),
            built_qemu: BTreeMap::new(),
            images: BTreeMap::from([("i".to_owned(), "i.tar".to_owned())]),
            kernels: BTreeMap::new(),
            warnings: BTreeMap::new(),
        };
        std::fs::create_dir_all(self.path(at)).unwrap();
        std::fs::write(self.path(at).join("i.tar"), image).unwrap();
        std::fs::write(self.path(at).join("manifest.json"), manifest.write()).unwrap();
        manifest
    }

    pub(super) fn kiln(&self, words: &[&str]) -> Command {
        let mut kiln = Command::new("timeout");
        kiln.arg("60").arg(env!("CARGO_BIN_EXE_kiln")).args(words).current_dir(self.path(""));
        kiln.env("HOME", self.path("")).env("KILN_STORE", self.path("store"));
        kiln.env("ALL_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "127.0.0.1");
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "DOCKER_CONFIG"] {
            kiln.env_remove(name);
        }
        kiln
    }

    pub(super) fn reference(&self) -> String {
        self.registry.reference("team/tiny:v1")
    }

    pub(super) fn push(&self) -> String {
        succeed(&mut self.kiln(&["push", "build", &self.reference()]))
    }

    /// A pull into `out`, which a refused one does not leave behind.
    pub(super) fn pull(&self) -> Output {
        self.kiln(&["pull", &self.reference(), "-o", "out"]).output().unwrap()
    }

    pub(super) fn refuses(&self, code: i32, words: &[&str]) {
        refused(&self.pull(), code, words);
        assert!(!self.path("out").exists(), "{words:?}");
        let left = std::fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(".kiln-")).collect();
        assert!(left.is_empty(), "{words:?} left {left:?}");
    }

    /// Bytes of the image.
    fn image(&self, at: &str) -> Vec<u8> {
        std::fs::read(self.path(at).join("i.tar")).unwrap()
    }

    fn blob(&self) -> String {
        format!("/v2/team/tiny/blobs/sha256:{}", Digest::of(&self.image("build")))
    }

    fn empty_store(&self) {
        let _ = kiln::world::fs::remove_tree(&self.path("store"));
        let _ = std::fs::remove_dir_all(self.path("out"));
    }
}

/// So many bytes that look random.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..bytes).map(next).collect()
}

pub(super) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

#[test]
fn a_layout_has_the_same_bytes_whoever_pushes_and_is_pulled_as_it_was_built() {
    let lab = Lab::new("layout", 1000);
    let pushed = succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"]));
    let digest = |said: &str| said.lines().find_map(|line| line.strip_prefix("digest ")).unwrap().to_owned();
    let again = succeed(lab.kiln(&["push", "build", "oci:other:v1"]).env("TZ", "Asia/Tokyo"));
    assert_eq!(digest(&pushed), digest(&again));
    succeed(&mut lab.kiln(&["push", "build", "oci:layout:v2"]));
    succeed(&mut lab.kiln(&["push", "build", "oci:layout:v2"]));
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(lab.path("layout/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "a tag stands for one artifact: {index}");
    lab.empty_store();
    let pulled = succeed(&mut lab.kiln(&["pull", "oci:layout:v1"]));
    assert_eq!(digest(&pulled), digest(&pushed));
    assert!(pulled.contains("not signed\n") && pulled.contains("next: kiln verify result/tiny"), "{pulled}");
    succeed(&mut lab.kiln(&["verify", "result/tiny"]));
    assert_eq!(
        std::fs::read(lab.path("result/tiny/manifest.json")).unwrap(),
        std::fs::read(lab.path("build/manifest.json")).unwrap()
    );
    refused(&lab.kiln(&["pull", "oci:layout:v3"]).output().unwrap(), 4, &["no such artifact"]);
    refused(&lab.kiln(&["pull", "oci:layout"]).output().unwrap(), 4, &["no such artifact"]);
    std::fs::create_dir(lab.path("mine")).unwrap();
    std::fs::write(lab.path("mine/file"), "x").unwrap();
    refused(
        &lab.kiln(&["push", "build", "oci:mine"]).output().unwrap(),
        2,
        &["neither an OCI image layout nor an empty"],
    );
    std::fs::create_dir(lab.path("empty")).unwrap();
    for directory in ["mine", "empty"] {
        let pulled = lab.kiln(&["pull", &format!("oci:{directory}")]).output().unwrap();
        refused(&pulled, 2, &[&format!("{directory}: not an OCI image layout: it has no file `oci-layout`")]);
    }
    refused(&lab.kiln(&["pull", "oci:nowhere"]).output().unwrap(), 4, &["nowhere"]);
}

#[test]
fn a_first_push_that_was_killed_is_gone_on_with_and_pushes_at_once_keep_every_tag() {
    let lab = Lab::new("layout-killed", 1000);
    succeed(&mut lab.kiln(&["push", "build", "oci:layout:v1"]));
    std::fs::remove_file(lab.path("layout/oci-layout")).unwrap();
    let left = lab.path("layout").join(format!(".kiln-{}.tmp", "0".repeat(32)));
    std::fs::write(&left, "half").unwrap();
    let pushes: Vec<_> =
        (2..40).map(|number| lab.kiln(&["push", "build", &format!("oci:layout:v{number}")]).spawn().unwrap()).collect();
    assert!(pushes.into_iter().all(|mut push| push.wait().unwrap().success()));
    assert!(!left.exists());
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(lab.path("layout/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 39, "{index}");
}

#[test]
fn what_is_there_is_replaced_only_by_another_build_of_the_recipe() {
    let lab = Lab::new("taken", 1000);
    succeed(&mut lab.kiln(&["push", "build", "oci:layout"]));
    std::fs::create_dir(lab.path("out")).unwrap();
    succeed(&mut lab.kiln(&["pull", "oci:layout", "-o", "out"]));
    std::fs::write(lab.path("out/notes"), "x").unwrap();
    std::fs::remove_file(lab.path("out/notes")).unwrap();
    lab.deliver("build", 2000);
    succeed(&mut lab.kiln(&["push", "build", "oci:layout"]));
    succeed(&mut lab.kiln(&["pull", "oci:layout", "-o", "out"]));
    assert_eq!(lab.image("out"), lab.image("build"));
    let other = std::fs::read_to_string(lab.path("out/manifest.json")).unwrap().replace("\"tiny\"", "\"other\"");
    std::fs::write(lab.path("out/manifest.json"), other).unwrap();
    std::fs::create_dir(lab.path("mine")).unwrap();
    std::fs::write(lab.path("mine/Makefile"), "mine").unwrap();
    std::os::unix::fs::symlink("mine", lab.path("link")).unwrap();
    for place in ["out", "mine", "link", "."] {
        let output = lab.kiln(&["pull", "oci:layout", "-o", place]).output().unwrap();
        refused(&output, 2, &["neither empty nor a build of recipe `tiny`"]);
    }
    assert_eq!(std::fs::read_dir(lab.path("mine")).unwrap().count(), 1);
}

#[test]
fn a_registry_gets_every_file_once_and_gives_it_back() {
    let lab = Lab::new("registry", 20 << 20);
    lab.push();
    let pieces = lab.registry.asked("PATCH");
    let ranges: Vec<&str> = pieces.iter().map(|piece| piece.header("content-range")).collect();
    assert_eq!(ranges, ["0-8388607", "8388608-16777215", "16777216-20971519"]);
    let manifest = lab.registry.manifest("v1");
    assert_eq!(manifest["artifactType"], "application/vnd.kiln.result.v1");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["annotations"]["dev.kiln.recipe"], "tiny");
    let titles: Vec<&str> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["annotations"]["org.opencontainers.image.title"].as_str().unwrap())
        .collect();
    assert_eq!(titles, ["manifest.json", "i.tar"]);
    lab.registry.behave();
    let json: serde_json::Value = serde_json::from_str(
        &String::from_utf8(lab.kiln(&["push", "build", &lab.reference(), "--json"]).output().unwrap().stdout).unwrap(),
    )
    .unwrap();
    assert!(
        lab.registry.asked("POST").is_empty() && lab.registry.asked("PATCH").is_empty(),
        "what is there is not sent"
    );
    lab.empty_store();
    let exact = lab.registry.reference(&format!("team/tiny@{}", json["digest"].as_str().unwrap()));
    succeed(&mut lab.kiln(&["pull", &exact, "-o", "out"]));
    assert_eq!(lab.image("out"), lab.image("build"));
    lab.registry.behave();
    succeed(&mut lab.kiln(&["pull", &exact, "-o", "out"]));
    assert!(lab.registry.asked(&format!("GET {}", lab.blob())).is_empty(), "what the store has is not fetched");
    let output = lab.kiln(&["push", "build", &exact]).output().unwrap();
    refused(&output, 2, &["name a tag"]);
}

#[test]
fn files_that_another_repository_has_are_not_sent() {
    let lab = Lab::new("mount", 20 << 20);
    lab.push();
    lab.registry.behave();
    // As if this repository did not have them: the test's registry has one set of blobs.
    lab.registry.hook(|request| (request.method == "HEAD").then(|| Reply::new(404)));
    let other = lab.registry.reference("team/other:v1");
    succeed(&mut lab.kiln(&["push", "build", &other, "--mount-from", "team/tiny"]));
    let mounts = lab.registry.asked("POST");
    assert!(mounts.iter().all(|post| post.path.contains("from=team%2Ftiny")), "{mounts:?}");
    assert!(lab.registry.asked("PATCH").is_empty() && lab.registry.asked("PUT /v2/team/other/blobs").is_empty());
    let output = lab.kiln(&["push", "build", &other, "--mount-from", "../x"]).output().unwrap();
    refused(&output, 2, &["not the name of a repository"]);
}

#[test]
fn an_upload_goes_on_where_the_registry_stopped() {
    let lab = Lab::new("resume-push", 20 << 20);
    let mut broken = 0;
    lab.registry.hook(move |request| {
        let is_second = request.method == "PATCH" && request.header("content-range").starts_with("8388608-");
        (is_second && broken < 2).then(|| {
            broken += 1;
            Reply::new(500)
        })
    });
    lab.push();
    let begun = lab.registry.asked("POST").len();
    assert_eq!(begun, 3, "the image, its manifest and the configuration are begun once each");
    let first =
        lab.registry.asked("PATCH").iter().filter(|piece| piece.header("content-range").starts_with("0-")).count();
    assert_eq!(first, 1, "what has arrived is not sent again");
    lab.empty_store();
    assert!(lab.pull().status.success());
}

#[test]
fn a_download_goes_on_where_it_stopped_even_in_another_pull() {
    let lab = Lab::new("resume-pull", 3 << 20);
    lab.push();
    lab.empty_store();
    let (blob, bytes) = (lab.blob(), lab.image("build"));
    let mut asked = 0;
    lab.registry.hook(move |request| {
        if request.path != blob || request.method != "GET" {
            return None;
        }
        asked += 1;
        let whole = Reply { cut: Some(1 << 20), ..Reply::new(200).body(bytes.clone()) };
        // Half of it, and then nothing but errors.
        Some(if asked == 1 { whole } else { Reply::new(500) })
    });
    lab.refuses(4, &["cannot fetch"]);
    lab.registry.behave();
    assert!(lab.pull().status.success());
    let [got] = lab.registry.asked(&format!("GET {}", lab.blob())).try_into().unwrap();
    let from: u64 = got.header("range").strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    assert!(from > 500_000 && from <= 1 << 20, "{from}");
    assert_eq!(lab.image("out"), lab.image("build"));
}

#[test]
fn an_interrupted_pull_leaves_nothing_but_what_the_next_one_goes_on_with() {
    let lab = Lab::new("interrupted", 3 << 20);
    lab.push();
    lab.empty_store();
    let (blob, bytes) = (lab.blob(), lab.image("build"));
    lab.registry.behave();
    lab.registry.hook(move |request| {
        let stalls = || Reply { stalls_at: Some(1 << 20), ..Reply::new(200).body(bytes.clone()) };
        (request.path == blob && request.method == "GET").then(stalls)
    });
    let mut pull = lab.kiln(&["pull", &lab.reference(), "-o", "out"]);
    let mut child = pull.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let part = lab.path("store/part").join(Digest::of(&lab.image("build")).hex());
    until("half of the image is in the store", &mut child, || part.metadata().is_ok_and(|part| part.len() > 500_000));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(!lab.path("out").exists());
    lab.registry.behave();
    assert!(lab.pull().status.success());
    let [got] = lab.registry.asked(&format!("GET {}", lab.blob())).try_into().unwrap();
    assert!(got.header("range").starts_with("bytes="), "it goes on");
    assert_eq!(lab.image("out"), lab.image("build"));
}

#[test]
fn what_an_earlier_pull_began_elsewhere_is_begun_anew() {
    let lab = Lab::new("resume-other", 100_000);
    lab.push();
    lab.empty_store();
    std::fs::create_dir_all(lab.path("store/part")).unwrap();
    let digest = Digest::of(&lab.image("build"));
    std::fs::write(lab.path("store/part").join(digest.hex()), "other bytes").unwrap();
    let output = lab.pull();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(lab.image("out"), lab.image("build"));
}

#[test]
fn a_recipe_is_pushed_with_its_lock_and_its_qemu_and_runs_at_the_other_end() {
    let ground = Ground::new(&Ground::place("oci"), Vec::new());
    if let Some(why) = ground.why_not() {
        return skip(why);
    }
    ground.recipe("small", &Image::default());
    let here = |words: &[&str]| {
        let mut kiln = ground.kiln();
        kiln.args(words);
        kiln
    };
    // Another store, and no mirror at all.
    let there = |words: &[&str]| {
        std::fs::create_dir_all(ground.path("there")).unwrap();
        let mut kiln = ground.kiln();
        kiln.current_dir(ground.path("there")).args(words);
        kiln.env("KILN_STORE", ground.path("store-there")).env("KILN_MIRROR", "http://127.0.0.1:9");
        kiln
    };
    let registry = TestRegistry::start();
    let reference = registry.reference("team/small:v1");
    for directory in ["recipes", "lockfiles"] {
        std::fs::create_dir(ground.path(directory)).unwrap();
    }
    for file in ["small.kiln", "archive.asc"] {
        std::fs::rename(ground.path(file), ground.path("recipes").join(file)).unwrap();
    }
    succeeded(here(&["lock", "recipes/small.kiln"]));
    let page = |block: usize, kiln: &dyn Fn(&[&str]) -> Command| -> Vec<String> {
        let at_registry = |word: String| word.replace("registry.example", &registry.host());
        let words = |line: Vec<String>| line.into_iter().map(at_registry).collect::<Vec<String>>();
        let lines = page_commands(block).into_iter().map(words);
        lines.map(|words| succeeded(kiln(&words.iter().map(String::as_str).collect::<Vec<_>>()))).collect()
    };
    page(4, &here);
    let layers = registry.manifest("v1")["layers"].as_array().unwrap().clone();
    let of = |kind: &str| layers.iter().filter(|layer| layer["mediaType"] == kind).count();
    assert_eq!(of("application/vnd.kiln.lock.v1+toml"), 1);
    assert!(of("application/vnd.debian.binary-package") > 0);
    let said = page(5, &there);
    assert!(said[0].contains("QEMU-STARTED"), "the locked QEMU is started: {said:?}");
    page(6, &here);
    let read = |at: &str| std::fs::read_to_string(ground.path(at)).unwrap();
    assert_eq!(read("there/result/small/manifest.json"), read("result/small/manifest.json"));
    assert_eq!(read("there/result/small/kiln.lock"), read("lockfiles/small.lock"));
    succeeded(there(&["verify", "result/small"]));
    let printed = succeeded(there(&["run", &reference, "--print", "argv"]));
    assert!(printed.contains("qemu-system-x86_64\n-"), "{printed}");
    // What was pulled can be pushed on, with the lock that lies in it, and is the same artifact.
    succeeded(there(&["push", "--offline", "result/small", "oci:layout:v1"]));
    let pulled = succeeded(there(&["pull", "oci:layout:v1", "-o", "again"]));
    let digest = format!("sha256:{}", Digest::of(&registry.state.lock().unwrap().manifests["v1"].1));
    assert!(pulled.contains(&format!("digest {digest}\n")) && pulled.contains("next: kiln run again"), "{pulled}");
    assert!(succeeded(there(&["run", "--offline", "again"])).contains("QEMU-STARTED"));
    // The machine of a page about a directory is that of its launch.json, since the recipe is not there.
    let page = succeeded(there(&["report", "result/small", "-o", "-"]));
    assert!(page.contains("Report on small") && page.contains("<svg") && page.contains("launch.json"), "{page}");
    let of_lock = succeeded(here(&["size", "lockfiles/small.lock"]));
    assert_eq!(succeeded(there(&["size", "result/small"])), of_lock);
    hostile::forged_builds(&registry, &reference, &there);
    // Nobody knows which QEMU a directory without its lock has.
    std::fs::remove_file(ground.path("there/result/small/kiln.lock")).unwrap();
    let ended = run(&mut there(&["push", "result/small", &reference]));
    assert!(ended.code == Some(2) && ended.text().contains("name the lock with --lock"), "{}", ended.text());
}

#[test]
fn words_of_the_command_line_are_paths_or_references() {
    let lab = Lab::new("words", 10);
    for (words, said) in [
        (&["run", "registry.example/Tiny"][..], "is not a reference to an artifact"),
        (&["run", "tiny.kiln", "--plain-http"], "--plain-http is for a reference to a registry"),
        (&["run", "registry.example/tiny", "--offline"], "--offline: a registry is asked over the network"),
        (&["run", "oci:x", "--no-cache"], "--no-cache"),
        (&["run", "oci:x", "--set", "a=b"], "--set"),
        (&["run", "oci:x", "--relock-gone"], "--relock-gone builds a recipe"),
        (&["pull", "tiny"], "is not a reference to an artifact"),
        (&["push", "build", "https://registry.example/tiny"], "write it without a scheme"),
        (&["push", "build", "oci:x", "--set", "a=b"], "--set"),
        (&["push", "build", "oci:x", "--no-cache"], "--no-cache"),
    ] {
        refused(&lab.kiln(words).output().unwrap(), 2, &[said]);
    }
    assert!(!lab.path("x").exists() && !Path::new("result").join("tiny").exists());
}

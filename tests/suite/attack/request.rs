//! What a step leaves follows from its request alone: every step of a small build is carried out again from nothing but
//! its request as text, in another process with another environment, directory, umask, clock and order of directories,
//! from copies of its inputs that lie elsewhere; and a second executor serves a whole build from a table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use kiln::base::Digest;
use kiln::exec::event::{IgnoreSteps, StepListener};
use kiln::exec::executor::{Executor, ExecutorError, LocalExecutor, Request};
use kiln::exec::{ExecOptions, Realized, Services, realize, sandbox};
use kiln::plan::{Plan, id};
use kiln::store::{Owner, Store};
use kiln::world::RealWorld;

use super::ground::{Ground, Image, program};
use crate::suite::skip::skip;

/// Names the request that the process of a second run carries out.
const REQUEST: &str = "KILN_TEST_REQUEST";
const THIS: &str = "suite::attack::request::what_a_step_leaves_follows_from_its_request_alone";

#[test]
fn what_a_step_leaves_follows_from_its_request_alone() {
    if let Some(path) = std::env::var_os(REQUEST) {
        return carry_out(Path::new(&path));
    }
    let Some(bench) = Bench::new("request") else { return };
    let recorder = Recorder { place: bench.ground.path("elsewhere"), made: Mutex::default() };
    let first = bench.realize(&recorder, &bench.open("store"));
    let made = recorder.made.into_inner().unwrap();
    let steps: Vec<&str> = made.values().map(|made| made.step.as_str()).collect();
    assert!(bench.plan.steps.len() > 8 && steps.len() == bench.plan.steps.len(), "{steps:?}");
    let moved: Vec<String> = made.values().flat_map(|made| made.moved.clone()).collect();
    assert!(moved.is_empty(), "these depend on more than their request:\n{}", moved.join("\n"));
    let unused = made.values().flat_map(|made| made.unused.clone());
    // Nothing in this base depends on the host name, so it is not made again under the image's own.
    let named = |line: &String| line.starts_with("named ") && line.ends_with(".deb");
    let of_named = |line: &String| line.starts_with("root ") && line.ends_with(": named-warnings.json");
    let unused = unused.filter(|line| !named(line) && !of_named(line));
    let unused: Vec<String> = unused.collect();
    assert!(unused.is_empty(), "without these inputs the same came out:\n{}", unused.join("\n"));

    // The same build without one sandbox, in a store that has nothing but the inputs.
    let second = bench.realize(&Table(made), &bench.inputs_alone("second"));
    assert_eq!(first, second);
    for artifact in &bench.plan.artifacts {
        assert_eq!(first.file(&artifact.from), second.file(&artifact.from));
    }
}

/// A small build that everything is there for.
struct Bench {
    ground: Ground,
    plan: Plan,
}

impl Bench {
    fn new(name: &str) -> Option<Bench> {
        sandbox::use_program(program().into());
        let ground = Ground::new(&Ground::place(name), Vec::new());
        if let Some(why) = ground.why_not() {
            skip(why);
            return None;
        }
        let ended = ground.build("small", &Image::default());
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let world = RealWorld::default();
        let recipe = kiln::recipe::check(&world, &ground.path("small.kiln"), &[]);
        let recipe = recipe.unwrap_or_else(|_| panic!("the recipe has mistakes")).reachable();
        let lock = kiln::lock::read(&std::fs::read_to_string(ground.path("small.lock")).unwrap()).unwrap();
        Some(Bench { plan: kiln::plan::lower(&recipe, &lock), ground })
    }

    fn open(&self, name: &str) -> Store {
        let owner = sandbox::builder().map(|id| Owner { uid: id, gid: id });
        Store::open_for(&self.ground.path(name), owner).unwrap()
    }

    fn inputs_alone(&self, name: &str) -> Store {
        let (from, to) = (self.open("store"), self.open(name));
        for fetch in self.plan.fetches.values() {
            let copy = to.part_path(&fetch.digest);
            from.copy_out(&fetch.digest, &copy).unwrap();
            to.import_expecting(&copy, &fetch.digest, fetch.size).unwrap();
        }
        to
    }

    fn realize(&self, executor: &dyn Executor, store: &Store) -> Realized {
        let options = ExecOptions { no_cache: true, offline: true, jobs: Some(2), ..ExecOptions::default() };
        let world = RealWorld::default();
        let services =
            Services { store, world: &world, mirrors: &|_| Vec::new(), executor, caches: None, listener: &IgnoreSteps };
        realize(&self.plan, &services, &options).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What came of a request.
struct Made {
    step: String,
    left: PathBuf,
    /// Outputs that were others elsewhere.
    moved: Vec<String>,
    /// Inputs that could as well be left out.
    unused: Vec<String>,
}

/// Carries every request out here, elsewhere, and without each of its inputs.
struct Recorder {
    place: PathBuf,
    made: Mutex<BTreeMap<Digest, Made>>,
}

impl Executor for Recorder {
    fn execute(&self, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError> {
        let action = request.messages().action;
        let place = self.place.join(action.short());
        let local = in_place(request, &place.join("left"));
        LocalExecutor.execute(&local, listener)?;
        let left = local.build;
        // Also into a pipe that stands for an output.
        copy_all(&left, &request.build);
        let here = listing(&left, &request.outputs);
        let moved = elsewhere(request, &place.join("moved"));
        let there = listing(&moved.build, &request.outputs);
        let differ = here.iter().filter(|(name, is)| there.get(*name) != Some(*is));
        let differ = differ.map(|(name, is)| format!("{}: {name}: {is}, then {:?}", request.step, there.get(name)));
        let made = Made {
            step: request.step.clone(),
            moved: differ.collect(),
            unused: request
                .inputs
                .keys()
                .filter(|name| same_without(request, name, &place, &here))
                .map(|name| format!("{}: {name}", request.step))
                .collect(),
            left,
        };
        self.made.lock().unwrap().insert(action, made);
        Ok(())
    }
}

/// Serves results, and runs nothing.
struct Table(BTreeMap<Digest, Made>);

impl Executor for Table {
    fn execute(&self, request: &Request, _: &dyn StepListener) -> Result<(), ExecutorError> {
        let action = request.messages().action;
        let made = self
            .0
            .get(&action)
            .ok_or_else(|| ExecutorError::Failed(kiln::exec::StepFailure::bug(format!("nobody knows {action}"))))?;
        copy_all(&made.left, &request.build);
        Ok(())
    }
}

/// Runs the step once more, in another process that knows the request's text alone.
fn elsewhere(request: &Request, place: &Path) -> Request {
    let mut moved = in_place(request, place);
    for (at, input) in moved.inputs.values_mut().chain(&mut moved.tools).enumerate() {
        let copy = place.join(format!("copies of inputs/{at}"));
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        // Owners as well: what root's store holds belongs to whom root is inside.
        let copied = Command::new("cp").args(["-a", "--"]).args([&input.path, &copy]).status().unwrap();
        assert!(copied.success());
        if let id::InputValue::File { digest, .. } = &input.value {
            assert_eq!(Digest::of(&std::fs::read(&copy).unwrap()), *digest, "{}: what it was told", request.step);
        }
        input.path = copy;
    }
    moved.variation = true;
    let text = place.join("request.json");
    std::fs::write(&text, serde_json::to_vec(&moved).unwrap()).unwrap();
    let mut child = Command::new("sh");
    child.args(["-c", "umask 077; cd /; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", THIS, "--nocapture"]).env_clear().env(REQUEST, &text);
    child.env("KILN_TEST_PROGRAM", program());
    child.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nowhere").env("TZ", "Asia/Tokyo");
    child.env("LC_ALL", "de_DE.UTF-8").env("SOURCE_DATE_EPOCH", "1").env("KILN_FS_UUID", "none");
    let output = child.output().unwrap();
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} fails elsewhere: {}", request.step, said());
    moved
}

/// The process of a second run.
fn carry_out(text: &Path) {
    sandbox::use_program(program().into());
    let request: Request = serde_json::from_slice(&std::fs::read(text).unwrap()).unwrap();
    LocalExecutor.execute(&request, &IgnoreSteps).unwrap();
}

/// Whether the step leaves the same without one of its inputs.
fn same_without(request: &Request, name: &str, place: &Path, here: &BTreeMap<String, Digest>) -> bool {
    let mut without = in_place(request, &place.join(format!("without {}", name.replace('/', " "))));
    without.inputs.remove(name);
    assert_ne!(without.messages().action, request.messages().action, "the input is part of the id");
    LocalExecutor.execute(&without, &IgnoreSteps).is_ok() && listing(&without.build, &without.outputs) == *here
}

fn in_place(request: &Request, place: &Path) -> Request {
    let (build, scratch) = (place.join("build directory"), place.join("scratch"));
    for directory in [&build, &scratch] {
        std::fs::create_dir_all(directory).unwrap();
    }
    Request { build, scratch, ..request.clone() }
}

fn copy_all(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

/// The digest of every output, which is that of a list of its files where it is a directory.
fn listing(build: &Path, outputs: &[String]) -> BTreeMap<String, Digest> {
    outputs.iter().map(|name| (name.clone(), digest(&build.join(name)))).collect()
}

fn digest(path: &Path) -> Digest {
    use std::os::unix::fs::PermissionsExt;
    let Ok(data) = path.symlink_metadata() else { return Digest::of(b"nothing") };
    if data.is_symlink() {
        return Digest::of(path.read_link().unwrap().as_os_str().as_encoded_bytes());
    }
    let executable = data.permissions().mode() & 0o111 != 0;
    if data.is_file() {
        return Digest::of(format!("{executable} {}", Digest::of(&std::fs::read(path).unwrap())).as_bytes());
    }
    let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let lines = names.iter().map(|name| format!("{} {}\n", name.display(), digest(&path.join(name))));
    Digest::of(lines.collect::<String>().as_bytes())
}

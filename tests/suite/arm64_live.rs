//! A machine of another architecture, from the real archives: locked, planned, started by the QEMU of its lock, not built.

use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::base::Arch;
use kiln::debian::mirror::Mirrors;
use kiln::exec::event::IgnoreSteps;
use kiln::exec::executor::LocalExecutor;
use kiln::exec::{ExecOptions, Services, realize};
use kiln::lock::Lock;
use kiln::machine::capability::facts;
use kiln::ops;
use kiln::plan::step::FetchPlace;
use kiln::plan::{self, StepKind};
use kiln::recipe::Recipe;
use kiln::store::{Output, Store};
use kiln::world::RealWorld;

use super::live::{Scratch, fail_with, kiln, live, succeed};
use super::machine_live::{Run, Subject, asked, emulator, linked, run_line, start, test_line};
use super::machine_support::{described, every, read};

const BOARD: &str = "tests/fixtures/arm64/board.kiln";

/// A copy of the recipe beside the library, since no recipe leaves its root.
fn recipe(scratch: &Scratch) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    succeed(Command::new("cp").arg("-r").arg(root.join("recipes/lib")).arg(scratch.path("lib")));
    std::fs::copy(root.join(BOARD), scratch.path("board.kiln")).unwrap();
    scratch.path("board.kiln")
}

/// Unpacks and asks the QEMU of the lock, and makes nothing else of the plan.
fn qemu(recipe: &Recipe, lock: &Lock, store: &Path) -> PathBuf {
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let plan = plan::lower(recipe, lock);
    let part = plan::restrict(&plan, &|kind| matches!(kind, StepKind::QemuFacts(..)));
    let world = RealWorld::default();
    let mirrors = Mirrors::of(&world).unwrap();
    let addresses = |place: &FetchPlace| ops::mirrors::addresses(&mirrors, place);
    let store = Store::open(store).unwrap();
    let (executor, listener) = (&LocalExecutor, &IgnoreSteps);
    let services = Services { store: &store, world: &world, mirrors: &addresses, executor, caches: None, listener };
    let realized = realize(&part, &services, &ExecOptions::default());
    realized.unwrap_or_else(|error| panic!("{error}"));
    let tools = plan::id::static_ids(&plan)[plan.qemu["board"]];
    match store.get_result(&tools).unwrap()["tree"] {
        Output::Tree { root, .. } => store.tree(&root).unwrap(),
        Output::File { .. } => panic!("a tools step leaves a tree"),
    }
}

#[test]
fn an_arm64_machine_is_locked_planned_and_taken_by_its_qemu_and_not_built() {
    if !live("arm64: lock, plan, and ask the locked QEMU") {
        return;
    }
    let scratch = Scratch::new("arm64");
    let (path, store) = (recipe(&scratch), scratch.path("store"));
    let at = scratch.path("board.lock");
    succeed(kiln(&store).arg("lock").arg(&path).arg("--lock").arg(&at));
    let shown = succeed(kiln(&store).arg("plan").arg(&path).arg("--lock").arg(&at));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("root debian-13-arm64"));
    let shown = succeed(kiln(&store).args(["run", "--print=argv"]).arg(&path).arg("--lock").arg(&at));
    assert!(shown.stdout.starts_with(b"qemu-system-aarch64\n"), "{}", String::from_utf8_lossy(&shown.stdout));
    let said = fail_with(kiln(&store).arg("build").arg(&path).arg("--lock").arg(&at), 1);
    assert!(said.contains("debian-13-arm64.kiln:") && said.contains("cannot be built"), "{said}");
    println!("{said}");

    let recipe = kiln::recipe::check(&RealWorld::default(), &path, &[]).unwrap().reachable();
    let lock = kiln::lock::read(&std::fs::read_to_string(&at).unwrap()).unwrap();
    let of = |set: &str, name: &str| {
        let package = lock.sets[set].iter().find(|package| package.name == name);
        package.map(|package| package.architecture.as_str())
    };
    assert_eq!(of("qemu-11-arm", "qemu-system-arm"), Some("amd64"));
    assert_eq!(of("debian-13-arm64", "libc6"), Some("arm64"));
    assert_eq!(of("debian-13-arm64.initramfs", "busybox-static"), Some("arm64"));
    let tree = linked(&qemu(&recipe, &lock, &store), "live-arm64-qemu");
    let subject = Subject { tree, arch: Arch::Arm64 };
    let emulator = emulator(&subject);
    let machine = &recipe.machines["board"];
    let board = ops::machines::description(&recipe, &lock, machine).unwrap();
    assert_eq!(board.emulator, emulator);
    let facts = asked(&subject, &emulator);
    for line in [run_line(&board), test_line(&board)] {
        assert_eq!(facts::unknown(machine, &line, &facts), []);
        assert_eq!(start(&subject, &line, &Run::new("board"), machine), Ok(()));
    }
    fixtures(&subject, &emulator.version.to_string());
}

/// The fixtures of arm64 are taken and refused by this QEMU as they say.
fn fixtures(subject: &Subject, version: &str) {
    for (kind, stem, text) in ["good", "rules"]
        .into_iter()
        .flat_map(|kind| every(kind).into_iter().map(move |(stem, text)| (kind, stem, text)))
    {
        let machines = read(&text).machines.into_iter().map(|machine| (machine.name.clone(), machine)).collect();
        let machine = std::collections::BTreeMap::values(&machines).find(|machine| machine.arch() == subject.arch);
        let Some(machine) = machine else { continue };
        let said = text.lines().find_map(|line| line.strip_prefix("# qemu: refuses "));
        let taken = start(subject, &run_line(&described(machine, &machines, version)), &Run::new(&stem), machine);
        println!("{kind} {stem}: {taken:?}");
        match said {
            Some(reason) => assert!(taken.as_ref().is_err_and(|words| words.contains(reason)), "{stem}: {taken:?}"),
            None => assert_eq!(taken, Ok(()), "{stem}"),
        }
    }
}

//! Compiled kernels, for real: built twice from nothing with another number of processors, and refused with the reason
//! when Kconfig drops what was asked for. The Kconfig reader is judged on the way, by the source that was built.

use std::path::Path;

use kiln::command::{load, mirrors};
use kiln::exec::event::Silent;
use kiln::exec::{Options, realize};
use kiln::kconfig::{Tree, archive, dotconfig};
use kiln::plan::{self, Input, Plan, step::Place};
use kiln::store::Store;
use kiln::world::RealWorld;
use kiln::{lock, recipe};

use super::kconfig::{agrees, explains};
use super::live::{Scratch, kiln, live, succeed};

#[test]
fn a_kernel_is_the_same_twice_and_a_dropped_option_is_explained() {
    if !live("kernel: two builds of a tiny kernel, one refused configuration") {
        return;
    }
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let scratch = Scratch::new("kernel");
    let plan = lowered(&scratch);
    let tiny = plan::restrict(&plan, &|step| step.ends_with(" tiny") && step.starts_with("kernel-"));
    let built = |store: &str, jobs: u32| {
        let store = Store::open(&scratch.path(store)).unwrap();
        let done = carry_out(&tiny, &store, jobs).unwrap();
        let file = |step: &str, name: &str| done.file(&output(&tiny, step, name)).sha256;
        let outputs = ["vmlinuz", "System.map", "kernel.release"].map(|name| file("kernel-build tiny", name));
        let release = store.read(&outputs[2], 200).unwrap();
        let release = String::from_utf8(release).unwrap();
        assert!(release.starts_with("6.12.") && release.ends_with("-tiny\n"), "{release}");
        judged(&store, &file("kernel-kconfig tiny", "kconfig.tar"), &file("kernel-check tiny", "kernel.config"));
        outputs
    };
    assert_eq!(built("one", 2), built("elsewhere/two", 1), "two builds of one kernel differ");

    let broken = plan::restrict(&plan, &|step| step == "kernel-check broken");
    let error = carry_out(&broken, &Store::open(&scratch.path("one")).unwrap(), 2).unwrap_err();
    let text = error.to_string();
    for expected in [
        "`option DEV_DAX = y` of config cxl is not set: DEV_DAX needs TRANSPARENT_HUGEPAGE, which is not set",
        "`option DEV_DAX_CXL = y` of config cxl is not set: DEV_DAX_CXL needs DEV_DAX, which needs TRANSPARENT_HUGEPAGE",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

/// The plan of the fixture, locked now.
fn lowered(scratch: &Scratch) -> Plan {
    let recipes = scratch.path("recipes");
    std::fs::create_dir_all(&recipes).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    succeed(std::process::Command::new("cp").arg("-r").arg(root.join("recipes/lib")).arg(&recipes));
    let path = recipes.join("tiny.kiln");
    std::fs::copy(root.join("tests/fixtures/kernel/tiny.kiln"), &path).unwrap();
    let locked = scratch.path("tiny.lock");
    succeed(kiln(&scratch.path("one")).arg("lock").arg(&path).arg("--lock").arg(&locked));
    let world = RealWorld::default();
    let recipe = recipe::check(&world, &path, &[]).unwrap_or_else(|_| panic!("the fixture has mistakes")).reachable();
    let lock = load::read_lock(&world, &locked).unwrap_or_else(|_| panic!("an unreadable lock")).unwrap();
    lock::satisfies(&recipe, &lock).unwrap();
    plan::lower(&recipe, &lock)
}

fn carry_out(plan: &Plan, store: &Store, jobs: u32) -> Result<kiln::exec::Realized, kiln::exec::ExecError> {
    let world = RealWorld::default();
    let known = mirrors::known(&world).unwrap_or_else(|_| panic!("no mirrors"));
    let addresses = |place: &Place| mirrors::addresses(&known, place);
    let options = Options { jobs: Some(jobs), offline: false, no_cache: false };
    realize(plan, store, &world, &addresses, &options, &Silent)
}

fn output(plan: &Plan, step: &str, name: &str) -> Input {
    let step = plan.steps.iter().position(|found| found.name == step).unwrap();
    Input::Output { step, name: name.to_owned() }
}

fn judged(store: &Store, tar: &kiln::base::Digest, config: &kiln::base::Digest) {
    let tree = Tree::read(&archive::read(store.open_checked(tar).unwrap(), "x86").unwrap()).unwrap();
    let config = dotconfig::read(&store.read(config, dotconfig::LIMIT).unwrap()).unwrap();
    agrees(&tree, &config, "tiny");
    explains(&tree, &config, "tiny");
}

//! Compiled kernels, for real: built twice from nothing with another number of processors, and refused with the reason
//! when Kconfig drops what was asked for. The Kconfig reader is judged on the way, by the source that was built.

use std::io::Read;
use std::path::{Path, PathBuf};

use kiln::base::Digest;
use kiln::exec::event::IgnoreSteps;
use kiln::exec::executor::LocalExecutor;
use kiln::exec::{ExecOptions, Incremental, Services, realize};
use kiln::kconfig::{KconfigTree, Tri, archive, dotconfig};
use kiln::ops::{load, mirrors};
use kiln::plan::{self, Input, Plan, StepKind, step::FetchPlace};
use kiln::store::Store;
use kiln::world::RealWorld;
use kiln::{lock, recipe};

use super::archive_support::Server;
use super::kconfig::{agrees, explains};
use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, succeed};

/// Kernels of the fixture that are built twice. The first is on each day on which no kernel is compiled incremental; the others
/// cost ten minutes each, and are built with `KILN_ALL=1` or by their name in `KILN_ONLY`.
const KERNELS: [&str; 3] = ["tiny", "modular", "dsc"];

#[test]
fn a_kernel_is_the_same_twice_and_a_dropped_option_is_explained() {
    if !live("kernel: two builds of small kernels, refused configurations and patches") {
        return;
    }
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let scratch = Scratch::new("kernel");
    let plan = lowered(&scratch, &fixture("tiny.kiln"));
    for kernel in KERNELS {
        let only = std::env::var("KILN_ONLY").ok();
        let always = kernel == "tiny" && only.is_none() && has_its_turn("twice", &["twice", "incremental"]);
        if always || only.as_deref() == Some(kernel) || std::env::var_os("KILN_ALL").is_some() {
            let (one, two) = std::thread::scope(|scope| {
                // At the same time: what has one processor leaves room.
                let two = scope.spawn(|| built(&plan, kernel, &scratch.path("elsewhere/two"), 1));
                (built(&plan, kernel, &scratch.path("one"), 2), two.join().unwrap())
            });
            assert_eq!(one, two, "two builds of {kernel} differ");
        }
    }
    let store = Store::open(&scratch.path("one")).unwrap();
    debians_own_configuration(&plan, &store);
    for (step, expected) in REFUSED {
        let restricted = plan::restrict(&plan, &|kind| kind.to_string() == *step);
        let text = carry_out(&restricted, &store, 2).unwrap_err().to_string();
        for words in *expected {
            assert!(text.contains(words), "{step} does not say `{words}`: {text}");
        }
    }
}

/// Steps that fail, and what they say.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "kernel-check broken",
        &[
            "`option DEV_DAX = y` of config cxl is not set: DEV_DAX needs TRANSPARENT_HUGEPAGE, which is not set",
            "`option DEV_DAX_CXL = y` of config cxl is not set: DEV_DAX_CXL needs DEV_DAX, which needs TRANSPARENT_HUGEPAGE",
        ],
    ),
    ("kernel-check no-pahole", &["`require DEBUG_INFO_BTF = y` of kernel no-pahole is not set"]),
    ("kernel-kconfig fuzzy", &["patching file Makefile", "Hunk #1 FAILED", "000-fuzzy.patch does not apply"]),
];

/// One build from nothing; the digests of everything that comes out.
fn built(plan: &Plan, kernel: &str, store: &Path, jobs: u32) -> Vec<Digest> {
    let own =
        |step: &str| step.strip_suffix(kernel).is_some_and(|rest| rest.ends_with(' ') && !rest.starts_with("disk "));
    let modular = kernel == "modular";
    let restricted = plan::restrict(plan, &|kind| own(&kind.to_string()));
    let store = Store::open(store).unwrap();
    let done = carry_out(&restricted, &store, jobs).unwrap_or_else(|error| panic!("{kernel}: {error}"));
    let file = |step: &str, name: &str| done.file(&output(&restricted, &format!("{step} {kernel}"), name)).sha256;
    let mut outputs: Vec<Digest> =
        ["vmlinuz", "System.map", "kernel.release"].map(|name| file("kernel-build", name)).to_vec();
    let release = String::from_utf8(store.read(&outputs[2], 200).unwrap()).unwrap();
    let version = if kernel == "dsc" { "6.1." } else { "6.12." };
    assert!(release.starts_with(version), "{release}");
    let config = file("kernel-check", "kernel.config");
    judged(&store, &file("kernel-kconfig", "kconfig.tar"), &config);
    if modular {
        outputs.push(file("kernel-build", "modules.tar"));
        outputs.push(file("initrd", "initrd.img"));
        outputs.push(file("modules", "merged.tar"));
        outputs.push(file("kernel-build", "headers.tar"));
        modules(&store, &outputs[5], &String::from_utf8(store.read(&config, dotconfig::LIMIT).unwrap()).unwrap());
    }
    outputs
}

/// The modules are there, indexed, and BTF is in them.
fn modules(store: &Store, tar: &Digest, config: &str) {
    assert!(config.contains("\nCONFIG_DEBUG_INFO_BTF_MODULES=y\n"), "{config}");
    let mut archive = tar::Archive::new(std::fs::File::open(store.path(tar).unwrap()).unwrap());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(!path.ends_with("/build") && !path.ends_with("/source"), "{path} leads into the build tree");
        if path.ends_with("/ext4.ko") {
            assert!(bytes.windows(4).any(|four| four == b".BTF"), "no BTF in {path}");
        }
        if path.ends_with("/modules.dep") {
            assert!(String::from_utf8_lossy(&bytes).contains("/ext4.ko: "), "{bytes:?}");
        }
        found.extend(path.rsplit('/').next().map(str::to_owned));
    }
    for name in ["ext4.ko", "virtio_blk.ko", "virtio_pci.ko", "modules.dep", "modules.alias"] {
        assert!(found.iter().any(|found| found == name), "no {name}: {found:?}");
    }
}

/// Debian's configuration for this source, with what was asked for on top: configured, not compiled.
fn debians_own_configuration(plan: &Plan, store: &Store) {
    let check = plan::restrict(plan, &|kind| *kind == StepKind::KernelCheck("debians".to_owned()));
    let done = carry_out(&check, store, 2).unwrap();
    let config = done.file(&output(&check, "kernel-check debians", "kernel.config")).sha256;
    let config = dotconfig::read(&store.read(&config, dotconfig::LIMIT).unwrap()).unwrap();
    for (option, value) in [("CXL_REGION_INVALIDATION_TEST", Tri::Y), ("EXT4_FS", Tri::M), ("DRM_I915", Tri::M)] {
        assert_eq!(config.tri(option), value, "{option}");
    }
}

#[test]
fn a_tarball_by_url_makes_the_kernel_that_the_package_makes() {
    if !live("kernel: an upstream tarball by URL") {
        return;
    }
    // Two more compilations: as long as the rest of the file.
    if std::env::var_os("KILN_ALL").is_none() {
        return println!("skipped without KILN_ALL=1");
    }
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let scratch = Scratch::new("tarball");
    let plan = lowered(&scratch, &fixture("tiny.kiln"));
    let package = built(&plan, "tiny", &scratch.path("one"), 2);

    let server = Server::start(&[]);
    let deb = plan.fetches.values().find(|fetch| fetch.label.starts_with("linux-source-6.12 ")).unwrap().digest;
    let tarball = source_of(&Store::open(&scratch.path("one")).unwrap(), &deb);
    server.put("/pub/linux-6.12.tar.xz", tarball);
    let url = format!("url \"{}/pub/linux-6.12.tar.xz\"", server.url());
    let text = std::fs::read_to_string(fixture("tiny.kiln")).unwrap();
    let path = scratch.path("url.kiln");
    std::fs::write(&path, text.replacen("package \"linux-source-6.12\"", &url, 1)).unwrap();
    let by_url = lowered(&scratch, &path);
    assert_eq!(built(&by_url, "tiny", &scratch.path("one"), 2), package, "the same tree makes another kernel");
}

/// Of the kernel `incremental` of the fixture: options that go and come, as switches and as modules, one of which becomes built
/// in; a number; a string; one that is a word of the compiler's command line; a module that goes with its own option.
const CHANGES: [(&str, &str); 10] = [
    ("option POSIX_TIMERS = y", "option POSIX_TIMERS = n"),
    ("option FUTEX = n", "option FUTEX = y"),
    ("option CRC4 = n", "option CRC4 = m"),
    ("option CRC7 = m", "option CRC7 = n"),
    ("option CRC8 = m", "option CRC8 = y"),
    ("option LOG_BUF_SHIFT = 14", "option LOG_BUF_SHIFT = 15"),
    ("option DEBUG_DRIVER = n", "option DEBUG_DRIVER = y"),
    ("option XZ_DEC = m", "option XZ_DEC = n"),
    ("option XZ_DEC_ARM = y", ""),
    ("option LOCALVERSION = \"-incremental\"", "option LOCALVERSION = \"-changed\""),
];

/// The module is back with another value of its option, which changed while nothing was compiled for it.
const BACK: (&str, &str) = ("option XZ_DEC_ARM = y", "option XZ_DEC_ARM = n");

/// Other words for every command of the compiler.
const EVERYWHERE: (&str, &str) =
    ("  option EXT4_FS = n", "  option CC_OPTIMIZE_FOR_PERFORMANCE = y\n  option EXT4_FS = n");

fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (was, is)| {
        assert!(text.contains(was), "{was}");
        text.replace(was, is)
    })
}

#[test]
fn a_kernel_compiled_from_where_the_last_one_ended_has_the_bits_of_one_from_nothing() {
    if !live("kernel: changed options on an incremental tree, six compilations of a small kernel")
        || !has_its_turn("incremental", &SELDOM)
    {
        return;
    }
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let scratch = Scratch::new("incremental");
    let text = std::fs::read_to_string(fixture("incremental.kiln")).unwrap();
    let store = Store::open(&scratch.path("one")).unwrap();
    let build = |text: &str, incremental: Incremental| {
        let path = scratch.path("changed.kiln");
        std::fs::write(&path, text).unwrap();
        let plan =
            plan::restrict(&lowered(&scratch, &path), &|kind| *kind == StepKind::KernelBuild("incremental".to_owned()));
        let done = carry_out_with(&plan, &store, &ExecOptions { incremental, ..ExecOptions::default() }).unwrap();
        let step = plan.steps.len() - 1;
        let file = |name| done.file(&Input::Output { step, name: String::from(name) }).sha256;
        let bits = ["vmlinuz", "System.map", "kernel.release", "modules.tar"].map(file);
        (bits, done.incremental().eq([step]), done.actions["kernel-build incremental"])
    };
    let before = build(&text, Incremental::Directories);
    assert!(!before.1, "there was nothing to go on from");
    // Each goes on from the tree that the one before left; a run from nothing must give the same.
    let mut last = before.0;
    let everywhere = std::env::var_os("KILN_ALL").is_some().then_some(&[EVERYWHERE][..]);
    for changes in [&CHANGES[..], &[BACK]].into_iter().chain(everywhere) {
        let changed = changed(&text, changes);
        let (incremental, went_on, _) = build(&changed, Incremental::Directories);
        assert!(went_on && incremental != last, "{changes:?}");
        let (clean, went_on, _) = build(&changed, Incremental::None);
        assert!(!went_on);
        assert_eq!(incremental, clean, "vmlinuz, System.map, kernel.release, modules.tar after {changes:?}");
        last = clean;
    }
    // And back to the first, whose result is forgotten for that.
    store.forget_result(&before.2).unwrap();
    let (back, went_on, _) = build(&text, Incremental::Directories);
    assert!(went_on);
    assert_eq!(back, before.0, "vmlinuz, System.map, kernel.release, modules.tar");
}

#[test]
fn only_another_configuration_lets_a_kernel_go_on_from_the_last_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = RealWorld::default();
    let recipe = recipe::check(&world, &root.join("recipes/cxl-expander.kiln"), &[]);
    let recipe = recipe.unwrap_or_else(|_| panic!("mistakes")).reachable();
    let lock = load::read_lock(&world, &root.join("lockfiles/cxl-expander.lock"));
    let plan = plan::lower(&recipe, &lock.unwrap_or_else(|_| panic!("an unreadable lock")).unwrap());
    let build = plan.steps.iter().position(|step| matches!(step.kind, StepKind::KernelBuild(_))).unwrap();
    assert_eq!(plan.incremental.keys().collect::<Vec<_>>(), [&build]);
    let (step, incremental) = (&plan.steps[build], &plan.incremental[&build]);
    assert_eq!(incremental.changing, ["kernel.config".to_owned()].into());
    assert!(
        incremental.changing.iter().all(|path| step.inputs.contains_key(path))
            && incremental.instead.keys().all(|path| step.inputs.contains_key(path))
    );
    // A part of a plan knows it as the whole does.
    let part = plan::restrict(&plan, &|kind| *kind == step.kind);
    assert_eq!(part.incremental, [(part.steps.len() - 1, incremental.clone())].into());
}

/// The tarball in a linux-source package.
pub(super) fn source_of(store: &Store, deb: &Digest) -> Vec<u8> {
    let (_, mut data) =
        kiln::debian::deb::open(std::io::BufReader::new(std::fs::File::open(store.path(deb).unwrap()).unwrap()))
            .unwrap();
    while let Some(entry) = data.next().unwrap() {
        if entry.path == "usr/src/linux-source-6.12.tar.xz" {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("no tarball in the package");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel").join(name)
}

/// The plan of the fixture, locked now.
fn lowered(scratch: &Scratch, recipe: &Path) -> Plan {
    let recipes = scratch.path("recipes");
    std::fs::create_dir_all(&recipes).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    succeed(std::process::Command::new("cp").arg("-r").arg(root.join("recipes/lib")).arg(&recipes));
    for file in ["first.patch", "second.patch", "fuzzy.patch", "tiny.config"] {
        std::fs::copy(fixture(file), recipes.join(file)).unwrap();
    }
    let path = recipes.join("tiny.kiln");
    std::fs::copy(recipe, &path).unwrap();
    let locked = scratch.path("tiny.lock");
    succeed(kiln(&scratch.path("one")).arg("lock").arg(&path).arg("--lock").arg(&locked));
    let world = RealWorld::default();
    let recipe = recipe::check(&world, &path, &[]).unwrap_or_else(|_| panic!("the fixture has mistakes")).reachable();
    let lock = load::read_lock(&world, &locked).unwrap_or_else(|_| panic!("an unreadable lock")).unwrap();
    lock::satisfies(&recipe, &lock).unwrap();
    plan::lower(&recipe, &lock)
}

fn carry_out(plan: &Plan, store: &Store, jobs: u32) -> Result<kiln::exec::Realized, kiln::exec::ExecError> {
    carry_out_with(plan, store, &ExecOptions { jobs: Some(jobs), ..ExecOptions::default() })
}

fn carry_out_with(
    plan: &Plan,
    store: &Store,
    options: &ExecOptions,
) -> Result<kiln::exec::Realized, kiln::exec::ExecError> {
    let world = RealWorld::default();
    let known = mirrors::known(&world).unwrap_or_else(|_| panic!("no mirrors"));
    let addresses = |place: &FetchPlace| mirrors::addresses(&known, place);
    let executor = &LocalExecutor;
    realize(
        plan,
        &Services { store, world: &world, mirrors: &addresses, executor, caches: None, listener: &IgnoreSteps },
        options,
    )
}

fn output(plan: &Plan, step: &str, name: &str) -> Input {
    let step = plan.steps.iter().position(|found| found.name() == step).unwrap();
    Input::Output { step, name: name.to_owned() }
}

fn judged(store: &Store, tar: &Digest, config: &Digest) {
    let tree = archive::read(std::fs::File::open(store.path(tar).unwrap()).unwrap(), "x86").unwrap();
    let tree = KconfigTree::read(&tree).unwrap();
    let config = dotconfig::read(&store.read(config, dotconfig::LIMIT).unwrap()).unwrap();
    agrees(&tree, &config, "tiny");
    explains(&tree, &config, "tiny");
}

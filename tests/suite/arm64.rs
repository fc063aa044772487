//! A machine of another architecture than the one that builds: locked from two archives, planned, and not built.

use std::path::{Path, PathBuf};

use kiln::base::render::render;
use kiln::base::{Arch, Diagnostic};
use kiln::debian::mirror::Mirrors;
use kiln::lock::resolve::{NoCache, ResolveContext, Update, resolve};
use kiln::lock::{Lock, read, satisfies, write};
use kiln::ops;
use kiln::plan::{self, IndexedKernel, Input, Plan, StepKind};
use kiln::recipe::Recipe;
use kiln::world::memory::MemoryWorld;

use super::archive_support::{Package, TinyArchive};

const MAIN: &str = "/r/recipes/main.kiln";

const ARCHIVES: &str = "
archive host { suite = \"trixie\" keys = [file \"key.asc\"] }
archive board { suite = \"trixie-arm64\" architecture = arm64 keys = [file \"key.asc\"] }
packages tools { include = [\"busybox-static\", \"e2fsprogs\", \"kmod\"] }
";

const PARTS: &str = "
kernel k { architecture = arm64 package = package \"linux-image-6.12.57-arm64\" }
image i { architecture = arm64 base = none size = 64MiB tools = tools packages = [\"dpkg\"] }
machine m { architecture = arm64 kernel = k image = i qemu = package \"qemu-system-arm\" }
";

/// What build steps run comes from the first, what the machine runs from the second; both have some names.
fn archives() -> [TinyArchive; 2] {
    let packages = |archive: TinyArchive, names: &[(&str, &str)], arch: Arch| {
        let package = |&(name, version): &(&str, &str)| Package::new(name, version).architecture(&arch.to_string());
        names.iter().map(package).fold(archive, TinyArchive::package)
    };
    let host = [
        ("busybox-static", "2"),
        ("dpkg", "9"),
        ("e2fsprogs", "1"),
        ("kmod", "1"),
        ("qemu-system-arm", "1:11.1.3+ds-1"),
    ];
    let board = [("busybox-static", "1"), ("dpkg", "1"), ("kmod", "9"), ("linux-image-6.12.57-arm64", "1")];
    let mut foreign = TinyArchive::new("trixie-arm64");
    foreign.architecture = Arch::Arm64;
    [packages(TinyArchive::new("trixie"), &host, Arch::Amd64), packages(foreign, &board, Arch::Arm64)]
}

fn world(text: &str) -> MemoryWorld {
    let mut world = MemoryWorld::default();
    let archives = archives();
    archives.iter().for_each(|archive| archive.publish(&mut world));
    world.files.insert("/r/recipes/key.asc".into(), archives[0].key.certificate());
    world.files.insert(MAIN.into(), text.as_bytes().to_vec());
    world
}

fn mistakes(text: &str) -> String {
    let wrong = kiln::recipe::check(&world(text), Path::new(MAIN), &[]).expect_err("the recipe has a mistake");
    render(&wrong.sources, &wrong.diagnostics, false)
}

fn locked() -> (Recipe, Lock) {
    let world = world(&format!("{ARCHIVES}{PARTS}"));
    let recipe = kiln::recipe::check(&world, Path::new(MAIN), &[]);
    let recipe = recipe.unwrap_or_else(|wrong| panic!("{}", render(&wrong.sources, &wrong.diagnostics, false)));
    let mirrors = Mirrors::of(&world).unwrap();
    let context = ResolveContext { world: &world, cache: &NoCache, mirrors: &mirrors, listener: &|_| {} };
    let mut lock = resolve(&context, &recipe, None, &Update::Keep).unwrap();
    lock.machines = ops::machines::locked(&recipe, &lock).unwrap();
    (recipe, lock)
}

fn words(recipe: &Recipe, mistake: &Diagnostic) -> String {
    let span = mistake.span;
    recipe.sources.text(span.file)[span.start as usize..span.end as usize].to_owned()
}

#[test]
fn each_set_has_the_packages_of_who_runs_them() {
    let (recipe, lock) = locked();
    let architectures = |set: &str| {
        let packages = lock.sets[set].iter();
        packages.map(|package| (package.name.as_str(), package.architecture.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(architectures("m.qemu"), [("qemu-system-arm", "amd64")]);
    assert!(architectures("tools").iter().all(|(_, architecture)| *architecture == "amd64"));
    assert_eq!(architectures("i"), [("dpkg", "arm64")]);
    assert_eq!(architectures("i.initramfs"), [("busybox-static", "arm64")]);
    assert_eq!(architectures("k.package"), [("linux-image-6.12.57-arm64", "arm64")]);
    let board = lock.archives.iter().find(|(archive, _)| archive.to_string() == "board");
    assert_eq!(board.map(|(_, archive)| archive.architecture), Some(Arch::Arm64));
    let text = write(&lock);
    assert_eq!(read(&text).unwrap(), lock);
    assert_eq!(satisfies(&recipe, &lock), Ok(()));
    let other = read(&text.replacen("architecture = \"arm64\"", "architecture = \"amd64\"", 1))
        .map(|lock| satisfies(&recipe, &lock));
    assert!(!matches!(other, Ok(Ok(()))), "an archive of another architecture is another archive");
}

#[test]
fn the_lock_has_the_machine_that_its_qemu_emulates() {
    let (recipe, lock) = locked();
    let machine = &lock.machines["m"];
    assert_eq!((machine.qemu.as_str(), machine.machine_type.as_str()), ("11.1.3", "virt-11.1"));
    let line = machine.argv.join(" ");
    assert!(line.contains("-machine virt-11.1,") && line.contains("console=ttyAMA0"), "{line}");
    assert_eq!(ops::machines::qemu_version(&lock, &recipe.machines["m"]).unwrap(), "1:11.1.3+ds-1");
}

/// The label of the package that a step reads at a path.
fn package<'a>(plan: &'a Plan, kind: &StepKind, input: &str) -> &'a str {
    let Input::Fetched(digest) = &plan.steps[plan.position(kind).unwrap()].inputs[input] else {
        panic!("{kind} reads no package at {input}")
    };
    &plan.fetches[digest].label
}

#[test]
fn a_plan_says_what_runs_where_and_what_nobody_here_can_run() {
    let (recipe, lock) = locked();
    let plan = plan::lower(&recipe, &lock);
    let foreign = plan.steps.iter().filter(|step| step.work.arch() == Arch::Arm64);
    assert_eq!(foreign.map(|step| step.name()).collect::<Vec<_>>(), ["base i", "named i", "root i"]);
    let indexed = IndexedKernel { kernel: "k".to_owned(), other_tools: None, image: None };
    assert_eq!(package(&plan, &StepKind::Initrd(indexed), "busybox.deb"), "busybox-static 1 (arm64)");
    let asks = plan.position(&StepKind::QemuFacts("m.qemu".to_owned(), Arch::Arm64)).unwrap();
    let Input::Inline(questions) = &plan.steps[asks].inputs["questions.json"] else { panic!("no questions") };
    let questions = String::from_utf8_lossy(questions);
    assert!(questions.contains("\"architecture\": \"arm64\"") && questions.contains("virt-11.1"), "{questions}");
    let refused = plan::unsupported::images(&recipe, &plan);
    let said = refused.iter().map(|mistake| (words(&recipe, mistake), mistake.message.as_str())).collect::<Vec<_>>();
    let message = "image `i` cannot be built: the scripts of its packages run programs for arm64";
    assert_eq!(said, [("arm64".to_owned(), message)]);
    let part = plan::restrict(&plan, &|kind| matches!(kind, StepKind::QemuFacts(..)));
    assert_eq!(plan::unsupported::images(&recipe, &part), [], "its QEMU can be asked all the same");
}

#[test]
fn what_is_of_two_architectures_is_refused_where_it_is_written() {
    let image = PARTS.replace("image i { architecture = arm64", "image i {");
    let cases = [
        (image, "image `i` is for amd64, and this machine is arm64"),
        (PARTS.replace("machine m {", "machine m { type = q35"), "`q35` is a machine of amd64, and this one is arm64"),
        (
            PARTS.replace("package \"qemu-system-arm\"", "package \"qemu-system-arm\" from board"),
            "archive `board` has packages for arm64, and `qemu-system-arm` is to be for amd64",
        ),
        (
            PARTS.replace("base = none", "base = none from = [host]"),
            "archive `host` has packages for amd64, and this set is for arm64",
        ),
        (
            format!("packages a {{ architecture = arm64 include = [\"dpkg\"] }}{}", PARTS.replace("= tools", "= a")),
            "package set `a` is for arm64, and `tools` needs packages for amd64",
        ),
        (PARTS.replace("= arm64", "= riscv64"), "`architecture` cannot be `riscv64`"),
    ];
    for (parts, expected) in cases {
        let said = mistakes(&format!("{ARCHIVES}{parts}"));
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
    let alone = ARCHIVES.replace("architecture = arm64", "");
    let said = mistakes(&format!("{alone}{PARTS}"));
    assert!(said.contains("no archive of this recipe has packages for arm64"), "{said}");
}

#[test]
fn a_machine_without_a_word_about_it_is_amd64() {
    let text = format!("{ARCHIVES}{}", PARTS.replace("architecture = arm64 ", "").replace("-arm\"", "-x86\""));
    let recipe = kiln::recipe::check(&world(&text), Path::new(MAIN), &[]).unwrap();
    assert_eq!(recipe.machines["m"].arch(), Arch::Amd64);
    assert_eq!(recipe.images["i"].machine_disk().initramfs, None);
    assert_eq!(recipe.images["i"].packages.archives, ["host"]);
}

/// Every Rust file below a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_other_file_knows_what_an_architecture_is_called() {
    let names = |arch: Arch| {
        let facts = arch.facts();
        let quoted = |name: &str| format!("\"{name}\"");
        let names = [facts.qemu.program, facts.qemu.package, facts.uefi.program, facts.uefi.stub, facts.root_partition];
        let names = names.map(str::to_owned).into_iter().chain([arch.serial(0), arch.serial(1), facts.gnu.to_owned()]);
        names.chain([quoted(facts.debian), quoted(facts.kernel.source), quoted(facts.kernel.arch)])
    };
    let names: Vec<String> = Arch::ALL.into_iter().flat_map(names).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 300, "the sources are gone");
    let is_of_tests = |path: &Path| path.to_string_lossy().ends_with("tests.rs");
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with("base/arch.rs") && !is_of_tests(path)) {
        let text = std::fs::read_to_string(path).unwrap();
        // What is compiled for one processor only speaks of the one that kiln itself runs on.
        let code = text.split("#[cfg(test)]").next().unwrap().lines();
        let code = code.filter(|line| !line.trim_start().starts_with("//") && !line.contains("target_arch"));
        for line in code.filter(|line| names.iter().any(|name| line.contains(name.as_str()))) {
            wrong.push(format!("{}: {}", path.strip_prefix(&root).unwrap().display(), line.trim()));
        }
    }
    assert!(wrong.is_empty(), "take the name from `Arch::facts`:\n{}", wrong.join("\n"));
}

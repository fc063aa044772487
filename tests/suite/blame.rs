//! Whose fault it is that a step failed: what is said, where the report points in the recipe, and the exit code.

use kiln::command::failure::Failure;
use kiln::exec::executor::LocalExecutor;
use kiln::exec::{self, ExecError, ExecOptions, FailedStep, Fault, Services, StepFailure};
use kiln::format::tar::{TarEntry, TarPath, TarWriter};
use kiln::ops::OpsError;
use kiln::plan::step::FetchPlace;
use kiln::plan::{self, DiskContent, DiskLayout, IndexedKernel, Input, Plan, Statement, StepKind};
use kiln::recipe::Recipe;
use kiln::recipe::image::MachineField;
use kiln::store::Store;
use kiln::world::RealWorld;
use kiln::{lock, recipe};

use super::archive_support::{Package, TinyArchive};
use super::failure_support::{Lab, RECIPE, archive, text};
use super::skip::skip;

/// A lab with every input in its store.
fn lab(name: &str, archive: TinyArchive, recipe: &str) -> Lab {
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let lab = Lab::unlocked(name, archive, |_| recipe.to_owned());
    for words in [["lock", "tiny.kiln"].as_slice(), &["verify", "--inputs", "tiny.kiln"]] {
        let output = lab.kiln().args(words).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    lab
}

fn recipe_of(lab: &Lab) -> Recipe {
    match recipe::check(&RealWorld::default(), &lab.directory.join("tiny.kiln"), &[]) {
        Ok(recipe) => recipe,
        Err(mistakes) => panic!("{:?}", mistakes.diagnostics),
    }
}

/// Runs one step and what it needs, and says with which exit code and words a command would end; `None`, said aloud, where
/// no sandbox can be made.
fn ended(lab: &Lab, step: &StepKind, change: impl Fn(&mut Plan)) -> Option<(u8, String)> {
    let recipe = recipe_of(lab);
    let lock = lock::read(&std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap()).unwrap();
    let mut plan = plan::restrict(&plan::lower(&recipe, &lock), &|kind| kind == step);
    change(&mut plan);
    let store = Store::open(&lab.store()).unwrap();
    let nowhere = |_: &FetchPlace| Vec::new();
    let world = RealWorld::default();
    let (executor, listener) = (&LocalExecutor, &exec::event::IgnoreSteps);
    let services = Services { store: &store, world: &world, mirrors: &nowhere, executor, caches: None, listener };
    let error = exec::realize(&plan, &services, &ExecOptions::default()).unwrap_err();
    if error.to_string().contains("user namespaces") || error.to_string().contains("subordinate ids") {
        skip(error);
        return None;
    }
    let failure = Failure::from(OpsError::exec(&recipe, error));
    Some((failure.code(), failure.text()))
}

fn base() -> StepKind {
    StepKind::Base("tiny".to_owned())
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "it does not say `{word}`:\n{text}");
    }
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
}

#[test]
fn a_system_without_dpkg_is_the_recipes_mistake() {
    let lab = lab("blame-recipe", archive(), RECIPE);
    let Some((code, text)) = ended(&lab, &base(), |_| ()) else { return };
    assert_eq!(code, 1, "{text}");
    says(
        &text,
        &["the image has no package dpkg", "tiny.kiln:6:1", "image tiny {", "^^^^^^^^^^ step `base tiny` failed here"],
    );
}

#[test]
fn packages_that_do_not_go_together_are_shown_where_the_recipe_asks_for_them() {
    let one = Package::new("one", "1").file("/usr/share/both", 0o644, b"one");
    let two = Package::new("two", "1").file("/usr/share/both", 0o644, b"two");
    let recipe = RECIPE.replace("[\"payload\"]", "[\"payload\", \"one\", \"two\"]");
    let lab = lab("blame-conflict", archive().package(one).package(two), &recipe);
    let Some((code, text)) = ended(&lab, &base(), |_| ()) else { return };
    assert_eq!(code, 5, "{text}");
    says(
        &text,
        &[
            "both contain /usr/share/both",
            "\"one\", \"two\"",
            "^^^^^",
            "step `base tiny` failed here",
            "----- and here",
        ],
    );
}

#[test]
fn a_hostile_package_is_no_mistake_of_the_recipe_and_shown_all_the_same() {
    let odd = Package::new("odd", "1").script("triggers", "interest ../../x y\n");
    let recipe = RECIPE.replace("[\"payload\"]", "[\"payload\", \"odd\"]");
    let lab = lab("blame-package", archive().package(odd), &recipe);
    let Some((code, text)) = ended(&lab, &base(), |_| ()) else { return };
    assert_eq!(code, 5, "{text}");
    says(
        &text,
        &["package odd has a trigger with the name `../../x y`", "tiny.kiln:6:", "^^^^^ step `base tiny` failed here"],
    );
}

#[test]
fn a_module_that_the_kernel_does_not_have_is_shown_in_the_recipe() {
    let builtin = "kernel/virtio_pci.ko\nkernel/virtio_blk.ko\nkernel/ext4.ko\n";
    let kernel = Package::new("linux-image-6.12.2-amd64", "6.12.2-1")
        .file("/boot/vmlinuz-6.12.2-amd64", 0o644, b"kernel")
        .file("/boot/config-6.12.2-amd64", 0o644, b"CONFIG_64BIT=y\n")
        .file("/usr/lib/modules/6.12.2-amd64/modules.builtin", 0o644, builtin.as_bytes());
    let stock = "{ package = package \"linux-image-6.12.1-amd64\" }";
    let own = "{ package = package \"linux-image-6.12.2-amd64\" initrd-modules = [\"no-such\"] }";
    let lab = lab("blame-module", archive().package(kernel), &RECIPE.replace(stock, own));
    let initrd = StepKind::Initrd(IndexedKernel { kernel: "stock".to_owned(), other_tools: None, image: None });
    let Some((code, text)) = ended(&lab, &initrd, |_| ()) else { return };
    assert_eq!(code, 1, "{text}");
    says(
        &text,
        &[
            "kernel module no_such does not exist and is not built in",
            "tiny.kiln:5:",
            "^^^^^^^^^ step `initrd stock` failed here",
        ],
    );
}

#[test]
fn a_plan_that_contradicts_itself_is_a_bug_and_points_nowhere() {
    let lab = lab("blame-bug", archive(), RECIPE);
    let broken = |plan: &mut Plan| {
        let step = plan.steps.iter_mut().find(|step| step.kind == base()).unwrap();
        step.inputs.insert("base.json".to_owned(), Input::Inline(b"{}".to_vec()));
    };
    let Some((code, text)) = ended(&lab, &base(), broken) else { return };
    assert_eq!(code, 101, "{text}");
    says(&text, &["error: step base tiny failed: base.json: "]);
    assert!(!text.contains("tiny.kiln"), "{text}");
}

/// A package larger than the disk.
#[test]
fn files_that_do_not_fit_point_at_the_size_of_the_disk() {
    let lab = lab("blame-fit", archive(), RECIPE);
    let content =
        DiskContent { image: "tiny".to_owned(), modules_of: Some("stock".to_owned()), layout: DiskLayout::Whole };
    let disk = StepKind::Disk(content);
    let mut tar = TarWriter::new(Vec::new());
    let entry = TarEntry::file(TarPath::new("data").unwrap(), 0o644, 0, 60 << 20);
    tar.append(&entry, vec![1; 60 << 20].as_slice()).unwrap();
    let bytes = tar.finish().unwrap();
    let ended = ended(&lab, &disk, |plan| {
        let step = plan.position(&disk).unwrap();
        plan.steps[step].inputs.insert("0-root.tar".to_owned(), Input::Inline(bytes.clone()));
        plan.steps[step].inputs.remove("1-modules.tar");
        *plan = plan::restrict(plan, &|kind| *kind == disk);
    });
    let Some((code, text)) = ended else { return };
    assert_eq!(code, 1, "{text}");
    says(
        &text,
        &[
            "error: the files of this image take 60 MiB, and a file system of 64MiB has room for 58 MiB\n",
            "tiny.kiln:6:21",
            "^^^^^ step `disk tiny stock` failed here",
            "help: write `size = 128MiB` or more",
        ],
    );
}

#[test]
fn a_program_that_fails_is_nobodys_statement_and_the_host_has_a_code_of_its_own() {
    let lab = lab("blame-nobody", archive(), RECIPE);
    let recipe = recipe_of(&lab);
    for (fault, code) in [(Fault::Recipe, 1), (Fault::Host, 4), (Fault::Input, 5), (Fault::Bug, 101)] {
        let failure = StepFailure::new(fault, "it ended");
        let failed = FailedStep { step: base(), failure, tail: "last words".to_owned(), log: None };
        let failure = Failure::from(OpsError::exec(&recipe, ExecError::Step(Box::new(failed))));
        assert_eq!(failure.code(), code);
        assert_eq!(failure.text(), "error: step base tiny failed: it ended\n  last words");
    }
}

/// What a step is about, and the words of the recipe that say it.
#[test]
fn every_statement_has_its_place() {
    let recipe = RECIPE
        .replace("base = essential }", "base = essential timezone = \"Europe/Berlin\" enable = [\"x.service\"]\n user \"bob\" { uid = 5 }\n group \"all\" { }\n file \"/etc/a\" { text = \"a\" } }");
    let lab = lab("blame-places", archive(), &recipe);
    let recipe = recipe_of(&lab);
    let root = StepKind::Root("tiny".to_owned());
    let shown = |statement: &Statement| {
        let span = plan::statement::place(&recipe, &root, statement).unwrap();
        recipe.sources.text(span.file)[span.start as usize..span.end as usize].to_owned()
    };
    for (statement, expected) in [
        (Statement::Size, "64MiB"),
        (Statement::Field(MachineField::Timezone), "\"Europe/Berlin\""),
        (Statement::Unit("x.service".to_owned()), "\"x.service\""),
        (Statement::User("bob".to_owned()), "user \"bob\""),
        (Statement::Group("all".to_owned()), "group \"all\""),
        (Statement::File("/etc/a".to_owned()), "file \"/etc/a\""),
        (Statement::Package("payload".to_owned()), "\"payload\""),
        // What the recipe does not say is the block's.
        (Statement::Package("libc6".to_owned()), "image tiny"),
        (Statement::Field(MachineField::Locale), "image tiny"),
        (Statement::User("root".to_owned()), "image tiny"),
    ] {
        assert_eq!(shown(&statement), expected, "{statement:?}");
    }
}

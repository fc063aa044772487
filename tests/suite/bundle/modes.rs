//! Who may read a bundle and what comes out of it, and QEMUs that no bundle carries.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use kiln::base::Digest;
use kiln::lock;

use super::{Forged, bundle, elsewhere, succeed};
use crate::suite::directory;
use crate::suite::failure_support::{Lab, refused};
use crate::suite::live::{Scratch, kiln};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}

#[test]
fn a_bundle_and_what_comes_out_of_it_are_closed_to_others() {
    let lab = Lab::new("bundle-modes");
    let file = bundle(&lab, &["tiny.kiln"]);
    assert_eq!(mode(&file), 0o600);
    succeed(elsewhere(&lab, "other").args(["unbundle", "b.tar", "new"]));
    assert_eq!(mode(&lab.directory.join("new")), 0o700);
    let blobs: Vec<_> = std::fs::read_dir(lab.directory.join("other/cas")).unwrap().map(Result::unwrap).collect();
    assert!(blobs.len() >= 7 && blobs.iter().all(|blob| mode(&blob.path()) == 0o400), "{blobs:?}");
    // Who made the directory has said who may look into it.
    let own = lab.directory.join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o750)).unwrap();
    succeed(elsewhere(&lab, "other").args(["unbundle", "b.tar", "own"]));
    assert_eq!(mode(&own), 0o750);
}

const RECIPE: &str = "cxl-own-qemu";

#[test]
fn a_bundle_of_outputs_is_not_made_with_a_qemu_that_a_build_makes() {
    let scratch = Scratch::new("bundle-built-qemu");
    let mut command = kiln(&scratch.path("store"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("KILN_MIRROR", "http://127.0.0.1:9").arg("bundle");
    command.arg(format!("recipes/{RECIPE}.kiln")).args(["--outputs", "-o"]).arg(scratch.path("b.tar"));
    let words = ["QEMU `patched` is made by a build", "qemu patched {", "without `--outputs`"];
    refused(&command.output().unwrap(), 1, &words);
    assert!(!scratch.path("b.tar").exists());
}

/// A bundle that somebody made by hand of a recipe of this repository, with a manifest of their own.
fn by_hand(built: &[&str]) -> Forged {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(root.join(format!("lockfiles/{RECIPE}.lock"))).unwrap();
    let locked = lock::read(std::str::from_utf8(&text).unwrap()).unwrap();
    let mut bundle = Forged::empty();
    let index = format!(
        "{{\n  \"format\": 1,\n  \"recipe\": \"{RECIPE}.kiln\",\n  \"set\": {{}},\n  \"lock\": \"{}\",\n  \
         \"contents\": \"outputs\"\n}}\n",
        Digest::of(&text)
    );
    bundle.file("bundle.json", index.as_bytes());
    bundle.file("bundle.lock", &text);
    let mut manifest = directory::manifest(&[]);
    (manifest.recipe, manifest.lock) = (RECIPE.to_owned(), lock::inputs_digest(&locked));
    manifest.built_qemu = built.iter().map(|machine| ((*machine).to_owned(), Digest::of(b"any step"))).collect();
    bundle.file("bundle.manifest", manifest.write().as_bytes());
    for name in locked.recipe.files.keys() {
        bundle.file(&format!("recipes/{name}"), &std::fs::read(root.join("recipes").join(name)).unwrap());
    }
    bundle
}

#[test]
fn a_bundle_with_a_qemu_that_a_build_made_is_refused() {
    let scratch = Scratch::new("unbundle-built-qemu");
    let unbundle = |built: &[&str]| {
        by_hand(built).write(&scratch.path("b.tar"));
        let mut command: Command = kiln(&scratch.path("store"));
        command.arg("unbundle").arg(scratch.path("b.tar")).arg(scratch.path("out")).output().unwrap()
    };
    // It says so, or the recipe does.
    for (built, named) in [(&["m"][..], "machine m"), (&[], "patched")] {
        let said = format!("it has a QEMU that a build made ({named}); a bundle of outputs has QEMUs of packages only");
        refused(&unbundle(built), 3, &["bundle.manifest: ", &said]);
        assert!(!scratch.path("out").exists());
    }
}

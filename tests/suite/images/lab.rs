//! An archive, a store, and what comes out of an image.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::suite::archive_support::Package;
use crate::suite::attack::ground::{Ended, Ground, Image};
use crate::suite::tree::{self, Node};

/// A place to build images in; `None`, with a word why, where this machine cannot build any.
pub(super) struct Lab(Ground);

/// A root file system, by path without a leading slash.
pub(super) type Files = BTreeMap<String, Node>;

impl Lab {
    pub(super) fn new(name: &str, packages: Vec<Package>) -> Option<Lab> {
        let ground = Ground::new(&Ground::place(&format!("images-{name}")), packages);
        if let Some(why) = ground.why_not() {
            crate::suite::skip::skip(why.to_owned());
            return None;
        }
        Some(Lab(ground))
    }

    /// Builds an image of these packages, with these lines in its block.
    pub(super) fn build(&self, name: &str, packages: &[&str], body: &str) -> Ended {
        self.0.build(name, &Image { packages, body, ..Image::default() })
    }

    /// The same, which must succeed: its files, and what was said.
    pub(super) fn image(&self, name: &str, packages: &[&str], body: &str) -> (Files, String) {
        let ended = self.build(name, packages, body);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        (self.files(name), ended.text())
    }

    /// The same, which must fail: what was said.
    pub(super) fn refused(&self, name: &str, packages: &[&str], body: &str) -> String {
        let ended = self.build(name, packages, body);
        assert!(ended.code.is_some_and(|code| code != 0) && ended.broken().is_none(), "{}", ended.text());
        ended.text()
    }

    /// What `kiln check` says of an image with these lines.
    pub(super) fn check(&self, name: &str, body: &str) -> String {
        self.0.recipe(name, &Image { body, ..Image::default() });
        crate::suite::attack::ground::run(self.0.kiln().arg("check").arg(format!("{name}.kiln"))).text()
    }

    /// Locks and builds an image of what this list of packages says.
    pub(super) fn bring(&self, name: &str, list: &str, body: &str) -> Ended {
        self.0.recipe(name, &Image { body, ..Image::default() });
        let recipe = format!("{name}.kiln");
        let text = std::fs::read_to_string(self.path(&recipe)).unwrap();
        std::fs::write(self.path(&recipe), text.replace("packages = []", &format!("packages = [{list}]"))).unwrap();
        let run = |words: &[&str]| crate::suite::attack::ground::run(self.0.kiln().args(words).arg(&recipe));
        let locked = run(&["lock"]);
        if locked.code == Some(0) { run(&["build", "--allow-leaks"]) } else { locked }
    }

    pub(super) fn files(&self, name: &str) -> Files {
        let lock = std::fs::read_to_string(self.path(&format!("{name}.lock"))).unwrap();
        let lock = kiln::lock::read(&lock).unwrap();
        let digest = lock.outputs[&format!("{name}/root.tar")].file.sha256.hex();
        tree::read(&self.0.store().join("cas").join(digest))
    }

    /// Writes `NAME.kiln`.
    pub(super) fn recipe(&self, name: &str, image: &Image<'_>) {
        self.0.recipe(name, image);
    }

    /// A kiln whose words are still to be said.
    pub(super) fn kiln(&self) -> std::process::Command {
        self.0.kiln()
    }

    pub(super) fn store(&self) -> PathBuf {
        self.0.store()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }
}

/// A text file of an image.
pub(super) fn text(files: &Files, path: &str) -> String {
    let node = files.get(path).unwrap_or_else(|| panic!("{path} is not in the image"));
    String::from_utf8(node.content.clone()).unwrap()
}

/// Owner, group and mode of a file of an image.
pub(super) fn owner(files: &Files, path: &str) -> (u64, u64, u32) {
    let node = files.get(path).unwrap_or_else(|| panic!("{path} is not in the image"));
    (node.uid, node.gid, node.mode)
}

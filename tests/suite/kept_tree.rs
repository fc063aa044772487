//! What the scripts of a kernel do with the times of a tree that an earlier build left: nothing, and nothing without them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::skip::skip;
use super::store::scratch;

/// A tree beside the inputs of a step that goes on from it.
struct KeptTree(PathBuf);

impl KeptTree {
    fn new(name: &str) -> KeptTree {
        let tree = KeptTree(scratch(&format!("times-{name}")));
        // As a kernel leaves them whose option A is off: what was made for it is older than what became of option B since.
        for (path, text, age) in FILES {
            tree.put(&format!("linux/{path}"), text, SystemTime::now() - Duration::from_secs(60 * age));
        }
        tree.put("in/kernel.config", "CONFIG_A=y\n", SystemTime::now());
        tree.put("in/source.removed", "", SystemTime::now());
        tree.put("new/edited.c", "", SystemTime::now());
        tree
    }

    fn put(&self, path: &str, text: &str, time: SystemTime) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    fn time(&self, path: &str) -> SystemTime {
        std::fs::metadata(self.0.join("linux").join(path)).unwrap().modified().unwrap()
    }

    /// Prepares the tree; what was said where that failed. `None` where the host lacks a program.
    fn prepare(&self, parts: &[&str]) -> Option<Result<(), String>> {
        let here = self.0.to_str().unwrap();
        let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/kernel");
        let parts = parts.iter().map(|part| std::fs::read_to_string(kernel.join(format!("{part}.sh"))).unwrap());
        let scripts = parts.collect::<String>().replace("/kiln/in", &format!("{here}/in"));
        let scripts = scripts.replace("/kiln/build", here).replace("/tmp/bin", &format!("{here}/bin"));
        let run =
            |script: &str| std::process::Command::new("sh").args(["-c", script]).current_dir(&self.0).output().unwrap();
        let programs = "for program in cmp find grep sed sort tar tr uniq xargs; do command -v $program >/dev/null || echo $program; done";
        let missing = run(programs).stdout;
        if !missing.is_empty() {
            skip(format!("the host lacks {}", String::from_utf8_lossy(&missing)));
            return None;
        }
        let output = run(&format!("(cd new && tar -c -f ../in/source.tar *)\n{scripts}\nunpack_source"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Some(if output.status.success() { Ok(()) } else { Err(said) })
    }
}

impl Drop for KeptTree {
    fn drop(&mut self) {
        kiln::world::fs::remove_tree(&self.0).unwrap();
    }
}

/// What is in a kept tree, and how many minutes ago it was written.
const FILES: [(&str, &str, u64); 7] = [
    ("Makefile", "", 900),
    ("Kconfig", "", 900),
    ("a.c", "", 900),
    ("a.o", "", 800),
    ("include/config/B", "", 700),
    ("include/config/auto.conf", "", 700),
    (".config", "# CONFIG_A is not set\n", 700),
];

const PACKAGE: [&str; 2] = ["source", "incremental"];
const DIRECTORY: [&str; 4] = ["source", "local", "incremental", "local_incremental"];

#[test]
fn what_was_not_made_again_stays_older_than_what_it_is_made_of() {
    for (name, parts) in [("package", &PACKAGE[..]), ("directory", &DIRECTORY)] {
        let tree = KeptTree::new(name);
        let before = FILES.map(|(path, ..)| tree.time(path));
        let Some(prepared) = tree.prepare(parts) else { return };
        prepared.unwrap();
        assert_eq!(FILES.map(|(path, ..)| tree.time(path)), before, "{name}");
    }
}

#[test]
fn nothing_goes_on_from_a_tree_that_was_written_later_than_now() {
    for (name, parts) in [("later-package", &PACKAGE[..]), ("later-directory", &DIRECTORY)] {
        let tree = KeptTree::new(name);
        tree.put("linux/a.o", "", SystemTime::now() + Duration::from_secs(3600));
        let Some(prepared) = tree.prepare(parts) else { return };
        let said = prepared.unwrap_err();
        assert!(said.contains("linux/a.o was written later than now: the clock was set back"), "{name}: {said}");
    }
}

#[test]
fn nothing_goes_on_from_a_tree_whose_links_lead_elsewhere() {
    let tree = KeptTree::new("link");
    std::os::unix::fs::symlink("a.c", tree.0.join("new/some link.h")).unwrap();
    let Some(prepared) = tree.prepare(&DIRECTORY) else { return };
    let said = prepared.unwrap_err();
    assert!(said.contains("some link.h is a symbolic link that is new or leads elsewhere"), "{said}");
}

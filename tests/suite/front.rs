//! What `kiln check` and `kiln draw` say of a recipe, without a network and without building.

mod machines;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::failure_support::text;

/// A directory with kiln's own library of recipes and one recipe of a test.
struct Front(PathBuf);

impl Front {
    /// `body` follows the import of the library that all CXL machines start from.
    fn new(name: &str, body: &str) -> Front {
        let directory = std::env::temp_dir().join(format!("kiln-front-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let recipes = directory.join("recipes");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib"), &recipes.join("lib"));
        std::fs::write(recipes.join("front.kiln"), format!("import \"lib/cxl-lab.kiln\"\n{body}")).unwrap();
        Front(directory)
    }

    fn run(&self, words: &[&str]) -> Output {
        let (verb, options) = words.split_first().unwrap();
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.arg(verb)
            .arg("recipes/front.kiln")
            .args(options)
            .current_dir(&self.0)
            .env("KILN_STORE", self.0.join("store"));
        kiln.output().unwrap()
    }

    /// Everything that a verb says which must refuse the recipe.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        text(&output)
    }

    /// Everything that a verb says which must accept the recipe.
    #[track_caller]
    fn accepted(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The lines that begin an error or a warning.
fn heads(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("error: ") || line.starts_with("warning: ")).collect()
}

#[test]
fn a_source_directory_that_no_build_could_open_is_a_warning_where_the_recipe_names_it() {
    let body = |path: &str| {
        format!(
            "import \"lib/cxl-kernel.kiln\"\nkernel mine extends cxl-kernel {{\n  source = directory \"{path}\"\n}}\n\
             image i extends debian-13-cxl-ram {{ size = 4GiB }}\n\
             machine m {{ kernel = mine image = i qemu = qemu-11 memory = 4GiB }}\n"
        )
    };
    for (name, path, words) in [
        ("outside", "../../beside", "warning: the source of kernel `mine` is outside of the recipe's root"),
        ("missing", "nothere", "warning: there is no directory `recipes/nothere`"),
    ] {
        let said = Front::new(name, &body(path)).accepted(&["check"]);
        for words in [words, "source = directory", "^^^", "`--source mine=DIR`"] {
            assert!(said.contains(words), "{words} in {said}");
        }
        assert!(!said.contains("kernel mine extends"), "the directory is what is marked: {said}");
    }
}

#[test]
fn a_recipe_in_the_place_of_a_name_is_told_where_it_belongs() {
    let front = Front::new("misplaced", "");
    for (words, right) in [
        (["why", "bash"], "help: kiln why bash recipes/front.kiln"),
        (["kconfig", "CXL_REGION"], "help: kiln kconfig explain CXL_REGION recipes/front.kiln"),
    ] {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.arg(words[0]).args((words[0] == "kconfig").then_some("explain")).args(["recipes/front.kiln", words[1]]);
        let ended = kiln.current_dir(&front.0).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{}", text(&ended));
        assert!(text(&ended).contains(right), "{}", text(&ended));
    }
}

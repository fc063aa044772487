//! `kiln verify --all`: every recipe and lock of a tree, as people and CI services read it.

mod links;
mod paths;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::failure_support::{refused, text};

/// The committed recipes and their locks, to damage.
pub(super) struct Tree(pub(super) PathBuf);

impl Tree {
    pub(super) fn new(name: &str) -> Tree {
        let place = super::store::scratch(&format!("every-{name}"));
        let (root, library) = (Path::new(env!("CARGO_MANIFEST_DIR")), place.join("recipes/lib"));
        // Paths begin at the root of the repository.
        for directory in ["recipes/lib/keys", "lockfiles", ".git"] {
            std::fs::create_dir_all(place.join(directory)).unwrap();
        }
        for entry in std::fs::read_dir(root.join("recipes/lib")).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), library.join(entry.file_name())).unwrap();
            }
        }
        for entry in std::fs::read_dir(root.join("recipes/lib/keys")).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(entry.path(), library.join("keys").join(entry.file_name())).unwrap();
        }
        for name in ["cxl-quick", "uefi"] {
            for file in [format!("recipes/{name}.kiln"), format!("lockfiles/{name}.lock")] {
                std::fs::copy(root.join(&file), place.join(&file)).unwrap();
            }
        }
        Tree(place)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    /// With the directories on the way.
    fn write_in(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.0.join(name).parent().unwrap()).unwrap();
        self.write(name, text);
    }

    pub(super) fn append(&self, name: &str, more: &str) {
        let before = std::fs::read_to_string(self.0.join(name)).unwrap();
        self.write(name, &(before + more));
    }

    /// Neither a store nor a network is there.
    pub(super) fn verify(&self, words: &[&str]) -> Output {
        self.verify_from("", &[&["."], words].concat())
    }

    fn verify_from(&self, directory: &str, words: &[&str]) -> Output {
        let mut kiln = self.kiln();
        kiln.current_dir(self.0.join(directory)).env("KILN_STORE", "/nowhere/at/all");
        kiln.args(["verify", "--all"]).args(words).output().unwrap()
    }

    /// The same beside the store that the locks were made with.
    pub(super) fn verify_with_store(&self, words: &[&str]) -> Output {
        self.kiln().args(["verify", "--all", "."]).args(words).output().unwrap()
    }

    /// Nobody answers at the mirror.
    pub(super) fn kiln(&self) -> Command {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.current_dir(&self.0).env("KILN_STORE", self.0.join(".store")).env("KILN_MIRROR", "http://127.0.0.1:9");
        kiln
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = kiln::world::fs::remove_tree(&self.0);
    }
}

#[test]
fn a_tree_that_is_as_it_should_be_is_verified_without_a_store() {
    let tree = Tree::new("good");
    tree.write("Cargo.lock", "# another program's\nversion = 4\n");
    let output = tree.verify(&[]);
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let begin = "recipes/cxl-quick.kiln: verified\nrecipes/lib/containers.kiln: library, no errors\n";
    assert!(said.starts_with(begin) && said.ends_with("\nrecipes/uefi.kiln: verified\n"), "{said}");
    let others = said.lines().filter(|line| !line.ends_with(": library, no errors")).count();
    assert_eq!((others, text(&tree.verify(&[])).contains("warning")), (2, false), "{said}");
    // A build that was pulled has its lock with it, and its recipe elsewhere.
    let lock = std::fs::read_to_string(tree.0.join("lockfiles/uefi.lock")).unwrap();
    std::fs::create_dir_all(tree.0.join("result/uefi")).unwrap();
    tree.write("result/uefi/kiln.lock", &lock);
    assert_eq!(tree.verify(&[]).status.code(), Some(1), "a lock of nothing");
    tree.write("result/uefi/manifest.json", "{}");
    assert_eq!(String::from_utf8(tree.verify(&[]).stdout).unwrap(), said);
    // That of a recipe beside it is looked at.
    tree.write("result/uefi/kiln.kiln", "param a = 1\n");
    assert_eq!(tree.verify(&[]).status.code(), Some(1), "a lock of another recipe");
}

/// Every kind of recipe has a verdict, with a lock and without one.
#[test]
fn every_kind_of_recipe_has_a_verdict() {
    let tree = Tree::new("kinds");
    let import = "import \"lib/cxl.kiln\"\n";
    tree.write("recipes/disk.kiln", &format!("{import}image disk extends debian-13 {{ size = 3GiB }}\n"));
    tree.write("recipes/linux.kiln", &format!("{import}kernel linux {{ package = package \"linux-image-amd64\" }}\n"));
    tree.write("recipes/both.kiln", "import \"disk.kiln\"\nkernel own { package = package \"linux-image-amd64\" }\n");
    tree.write("recipes/words.kiln", "let word = \"a\"\n");
    tree.write("recipes/lib/unused.kiln", "import \"cxl.kiln\"\nimage spare extends debian-13-cxl { size = 3GiB }\n");
    std::fs::remove_file(tree.0.join("lockfiles/uefi.lock")).unwrap();
    let output = tree.verify(&["--json"]);
    assert!(output.status.success(), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let state = |name: &str| {
        let verdict =
            json.as_array().unwrap().iter().find(|verdict| verdict["recipe"] == format!("recipes/{name}.kiln"));
        let verdict = verdict.unwrap_or_else(|| panic!("{name}: {json}"));
        (verdict["state"].as_str().unwrap().to_owned(), verdict["findings"].as_array().unwrap().len())
    };
    for (name, expected, findings) in [
        ("cxl-quick", "verified", 0),
        ("uefi", "not-locked", 1),
        ("linux", "not-locked", 1),
        ("both", "not-locked", 1),
        ("disk", "library", 0),
        ("words", "library", 0),
        ("lib/unused", "library", 0),
        ("lib/cxl", "library", 0),
    ] {
        assert_eq!(state(name), (expected.to_owned(), findings), "{name}");
    }
}

/// Mistakes in what was never locked are warnings; what is no recipe at all is an error, as `kiln check` says.
#[test]
fn what_does_not_parse_fails_with_a_lock_and_without() {
    let tree = Tree::new("syntax");
    tree.write("recipes/unfinished.kiln", "image ghost { size = 5 }\n");
    let output = tree.verify(&[]);
    assert!(output.status.success() && text(&output).contains("warning: recipes/unfinished.kiln"), "{}", text(&output));
    for (name, content) in [("open", "machine {"), ("noise", "\u{0}\u{1}"), ("words", "let a = = 1\n")] {
        tree.write(&format!("recipes/{name}.kiln"), content);
        let output = tree.verify(&[]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let said = text(&output);
        assert!(said.contains(&format!("error: recipes/{name}.kiln:1:")), "{said}");
        assert!(said.contains(&format!("failed: recipes/{name}.kiln")), "{said}");
        std::fs::remove_file(tree.0.join(format!("recipes/{name}.kiln"))).unwrap();
    }
}

#[test]
fn what_is_wrong_with_one_hides_nothing_about_the_others() {
    let tree = Tree::new("wrong");
    tree.append("recipes/cxl-quick.kiln", "image ghost extends cxl-quick { size = 5 }\n");
    tree.append("lockfiles/uefi.lock", "# edited\n");
    std::fs::rename(tree.0.join("lockfiles/uefi.lock"), tree.0.join("lockfiles/gone.lock")).unwrap();
    // An editor's copy, and what a build tool can make again.
    std::fs::create_dir_all(tree.0.join("cache/recipes")).unwrap();
    tree.write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    tree.write("cache/recipes/broken.kiln", "machine {");
    std::fs::create_dir_all(tree.0.join(".git")).unwrap();
    tree.write(".git/broken.kiln", "machine {");
    let output = tree.verify(&[]);
    let line = std::fs::read_to_string(tree.0.join("recipes/cxl-quick.kiln")).unwrap().lines().count();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    for words in [
        &format!("error: recipes/cxl-quick.kiln:{line}:40: expected a size"),
        "error: lockfiles/gone.lock: the lock of recipes/gone.kiln, which is not there",
        "warning: recipes/uefi.kiln: no lock at lockfiles/uefi.lock",
        " recipes failed: lockfiles/gone.lock, recipes/cxl-quick.kiln",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!text(&output).contains("broken"), "{}", text(&output));
}

/// A recipe's lock is the same wherever the recipe is seen from.
#[test]
fn a_lock_is_found_from_every_directory() {
    let tree = Tree::new("from");
    for (directory, top, shown) in [
        ("recipes", ".", ""),
        ("recipes/lib", "..", "../"),
        ("lockfiles", "../recipes", "../recipes/"),
        ("lockfiles", "..", "../recipes/"),
    ] {
        let output = tree.verify_from(directory, &[top]);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{directory}: {}", text(&output));
        for name in ["cxl-quick", "uefi"] {
            assert!(said.lines().any(|line| line == format!("{shown}{name}.kiln: verified")), "{directory}: {said}");
        }
        // Whoever reads these looks in the repository.
        let json = tree.verify_from(directory, &[top, "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json[0]["recipe"], "recipes/cxl-quick.kiln", "{directory}");
    }
    std::os::unix::fs::symlink("uefi.kiln", tree.0.join("recipes/other.kiln")).unwrap();
    tree.append("lockfiles/uefi.lock", "edited = 1\n");
    let output = tree.verify_from("recipes", &["."]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(" recipes failed: other.kiln, uefi.kiln"), "{}", text(&output));
    let lone = tree.verify_from("lockfiles", &["."]);
    assert!(text(&lone).contains("no recipes below"), "{}", text(&lone));
}

#[test]
fn names_that_are_no_text_and_locks_that_lead_nowhere_are_told() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new("names");
    std::fs::write(tree.0.join(std::ffi::OsStr::from_bytes(b"recipes/\xff.kiln")), "machine {").unwrap();
    std::fs::remove_file(tree.0.join("lockfiles/uefi.lock")).unwrap();
    std::os::unix::fs::symlink("/nowhere", tree.0.join("lockfiles/uefi.lock")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", tree.0.join("lockfiles/foreign.lock")).unwrap();
    let output = tree.verify(&["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| {
        json.as_array().unwrap().iter().find(|verdict| verdict["recipe"] == name).unwrap_or_else(|| panic!("{json}"))
    };
    assert_eq!(of("recipes/uefi.kiln")["findings"][0]["severity"], "error", "{json}");
    assert_eq!(of("recipes/\u{fffd}.kiln")["findings"][0]["severity"], "error", "{json}");
    let sarif: serde_json::Value = serde_json::from_slice(&tree.verify(&["--format", "sarif"]).stdout).unwrap();
    assert!(sarif.to_string().contains("recipes/%FF.kiln"), "{sarif}");
}

#[test]
fn an_edited_lock_is_named() {
    let tree = Tree::new("edited");
    let lock = std::fs::read_to_string(tree.0.join("lockfiles/uefi.lock")).unwrap();
    // In another century.
    let edited = lock.replacen("\nepoch = \"20", "\nepoch = \"21", 1);
    assert_ne!(lock, edited);
    tree.write("lockfiles/uefi.lock", &edited);
    let output = tree.verify(&[]);
    assert_eq!(output.status.code(), Some(1));
    for words in
        ["edited since `kiln lock` wrote it", "recipes/cxl-quick.kiln: verified", " recipes failed: recipes/uefi.kiln"]
    {
        assert!(text(&output).contains(words), "{words}: {}", text(&output));
    }
    let number = edited.lines().position(|line| line.starts_with("checksum")).unwrap() + 1;
    let annotations = String::from_utf8(tree.verify(&["--format", "github"]).stdout).unwrap();
    assert!(
        annotations.starts_with(&format!("::error file=lockfiles/uefi.lock,line={number},col=1,")),
        "{annotations}"
    );
    tree.write("lockfiles/uefi.lock", &lock.replacen("[recipe]", "[recipe", 1));
    let number = lock.lines().position(|line| line == "[recipe]").unwrap() + 1;
    let said = text(&tree.verify(&[]));
    assert!(said.contains(&format!("error: lockfiles/uefi.lock:{number}:8: ")), "{said}");
}

/// Whoever opens a pull request chooses names, texts and locks. No format is left by any of them, and no line of the log is a
/// command of a CI service or moves a cursor.
#[test]
fn hostile_names_and_texts_stay_inside_of_every_format() {
    let tree = Tree::new("hostile");
    let evil = "x\n::set-output name=a::b\r\u{1b}[2J,line=9:%0A##[add-path]c\"<&'>]]>##vso[task.x]\u{202e}";
    for name in ["recipes/", "recipes/\n  ::add-mask::"] {
        tree.write_in(
            &format!("{name}{evil}.kiln"),
            &format!("machine \"{}\" {{ memory = 1 }}\n", "::error::##[error]"),
        );
    }
    tree.write_in(&format!("recipes/lib/{evil}/a.lock"), "version = 1\n::add-mask::\n");
    tree.write("lockfiles/uefi.lock", "::stop-commands::x\n##[group]\u{1b}[31m\n");
    tree.append("recipes/cxl-quick.kiln", "import \"lib/\\n::add-mask::y\"\n\nimage \"\\n::debug::z\" {}\n");
    for format in ["text", "json", "junit", "sarif", "github", "gitlab"] {
        let output = tree.verify(&["--format", format]);
        assert_eq!(output.status.code(), Some(1), "{format}: {}", text(&output));
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        for line in out.lines().chain(err.lines()) {
            let ours =
                format == "github" && ["::error file=", "::warning file="].iter().any(|head| line.starts_with(head));
            assert!(ours || !line.trim_start().starts_with("::"), "{format}: {line:?}");
            assert!(!(line.contains("##[") || line.contains("##vso[")), "{format}: {line:?}");
            assert!(line.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{format}: {line:?}");
        }
        match format {
            "json" | "sarif" | "gitlab" => drop(serde_json::from_str::<serde_json::Value>(&out).unwrap()),
            "junit" => {
                let tags = out.matches('<').count();
                assert!(tags == out.matches('>').count() && !out.contains("]]>"), "{out}");
            }
            "github" => {
                // What stands before the message is kiln's, whatever files are called.
                for line in out.lines() {
                    let (properties, _) = line[2..].split_once("::").unwrap();
                    let keys =
                        properties.split_once(' ').unwrap().1.split(',').map(|pair| pair.split_once('=').unwrap().0);
                    assert!(keys.eq(["file", "line", "col", "title"]), "{line}");
                }
            }
            _ => {}
        }
    }
    // Nor does a command line that quotes a name.
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let output = kiln.args(["check", "--x\n::add-mask::y\n##[group]\u{1b}[2J"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("\n::") && !said.contains("##[") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn every_format_says_the_same() {
    let tree = Tree::new("formats");
    tree.append("recipes/cxl-quick.kiln", "image ghost extends cxl-quick { size = 5 }\n");
    let of = |format: &str| {
        let output = tree.verify(&["--format", format]);
        assert_eq!(output.status.code(), Some(1), "{format}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&of("json")).unwrap();
    let finding = &json[0]["findings"][0];
    assert_eq!((&finding["file"], &finding["column"]), (&"recipes/cxl-quick.kiln".into(), &40.into()), "{json}");
    assert_eq!((&finding["severity"], &finding["exit_code"]), (&"error".into(), &1.into()), "{json}");
    assert_eq!((&json[0]["state"], &json[1]["state"]), (&"failed".into(), &"library".into()), "{json}");
    assert_eq!(json[1]["findings"].as_array().unwrap().len(), 0, "{json}");
    let line = finding["line"].as_u64().unwrap();

    let sarif: serde_json::Value = serde_json::from_str(&of("sarif")).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!((&sarif["version"], &result["level"]), (&"2.1.0".into(), &"error".into()), "{sarif}");
    assert_eq!(place["artifactLocation"]["uri"], "recipes/cxl-quick.kiln");
    assert_eq!(place["region"]["startLine"], line);
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{sarif}");

    let junit = of("junit");
    assert!(junit.contains(" failures=\"1\"") && junit.contains("<testcase name=\"recipes/uefi.kiln\""), "{junit}");
    assert!(
        junit.contains(&format!("<failure message=\"recipes/cxl-quick.kiln:{line}:40: expected a size")),
        "{junit}"
    );
    let annotations = of("github");
    let begin = format!("::error file=recipes/cxl-quick.kiln,line={line},col=40,title=kiln verify::expected a size");
    assert!(annotations.starts_with(&begin) && annotations.lines().count() == 1, "{annotations}");
    let gitlab: serde_json::Value = serde_json::from_str(&of("gitlab")).unwrap();
    let issue = &gitlab[0];
    assert_eq!(issue["location"], serde_json::json!({"path": "recipes/cxl-quick.kiln", "lines": {"begin": line}}));
    assert_eq!((&issue["severity"], &issue["check_name"]), (&"major".into(), &"kiln.recipe".into()), "{gitlab}");
    assert_eq!((gitlab.as_array().unwrap().len(), issue["fingerprint"].as_str().unwrap().len()), (1, 64), "{gitlab}");
    refused(&tree.verify(&["--json", "--format", "sarif"]), 2, &["cannot be used with"]);
}

/// A broken import is one finding, not one for each recipe that has it.
#[test]
fn a_mistake_in_an_import_is_said_once() {
    let tree = Tree::new("import");
    tree.append("recipes/lib/debian-13.kiln", "image ghost { size = 5 }\n");
    // It has two: `tools` are missing, and the size has no unit.
    for format in ["github", "sarif", "gitlab"] {
        let output = tree.verify(&["--format", format]);
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {out}");
        let errors = match format {
            "github" => out.lines().filter(|line| line.starts_with("::error file=recipes/lib/debian-13.kiln,")).count(),
            "sarif" => out.matches("\"level\": \"error\"").count(),
            _ => out.matches("\"major\"").count(),
        };
        assert_eq!(errors, 2, "{format}: {out}");
        // Libraries have no lock, and their mistakes are warnings where nobody fails by them.
        assert!(!out.contains("warning") && !out.contains("minor"), "{format}: {out}");
    }
}

//! Paths that a user names: one that is not there ends a command with exit code 4, one where something of another kind stands with 2.
//! `docs/errors.md` states it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::suite::failure_support::text;
use crate::suite::store::scratch;

/// Commands, with `@` where the path stands: where a recipe belongs, or what stands for one; where a file does; where a directory does.
const RECIPES: [&str; 26] = [
    "check @",
    "lock @",
    "lock --check @",
    "plan @",
    "build @",
    "run @",
    "test @",
    "verify @",
    "verify --inputs @",
    "draw @",
    "outdated @",
    "size @",
    "why bash @",
    "sbom --format spdx @",
    "report -o out @",
    "bundle -o out @",
    "export --format raw -o out @",
    "push @ oci:layout:v1",
    "challenge @",
    "kconfig explain CXL_BUS @",
    "diff @ numa.kiln",
    "diff numa.kiln @",
    "shell @ step",
    "root add name @",
    "qemu @ -- -version",
    "fmt @",
];
const FILES: [&str; 9] = [
    "unbundle @ new",
    "bundle numa.kiln -o out --since @",
    "sbom build --format spdx --lock @",
    "push build oci:layout:v1 --lock @",
    "verify --signed build --trusted-keys @",
    "sign build --key @",
    "size @.lock",
    "diff @.qcow2 @.qcow2",
    // A directory has a configuration or none.
    "kconfig diff @ @",
];
const DIRECTORIES: [&str; 3] = ["sign @ --key key", "verify --all @", "pull oci:@:v1 -o new"];

fn run(ground: &Path, command: &str, path: &str) -> (Option<i32>, String) {
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    kiln.args(command.split(' ').map(|word| word.replace('@', path))).current_dir(ground);
    kiln.env("KILN_STORE", ground.join("store")).env("KILN_MIRROR", "http://127.0.0.1:9").env("HOME", ground);
    let output = kiln.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME").output().unwrap();
    (output.status.code(), text(&output))
}

fn ground(name: &str) -> PathBuf {
    let ground = scratch(name);
    for part in ["recipes", "lockfiles"] {
        std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(part), ground.join(part)).unwrap();
    }
    let lock = std::fs::read_to_string(ground.join("lockfiles/cxl-quick.lock")).unwrap();
    let lock = kiln::lock::Lock { outputs: Default::default(), ..kiln::lock::read(&lock).unwrap() };
    super::pulled::pulled(&ground.join("build"), &lock, &[0; 1024]);
    std::fs::write(ground.join("text"), "hello\n").unwrap();
    for pipe in ["pipe", "pipe.lock", "pipe.qcow2"] {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, ground.join(pipe), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    for directory in ["empty", "empty.lock", "empty.qcow2"] {
        std::fs::create_dir(ground.join(directory)).unwrap();
    }
    ground
}

#[test]
fn a_path_that_is_not_there_is_told_from_one_of_another_kind() {
    let ground = ground("named-kinds");
    let mut wrong = Vec::new();
    let mut expect = |commands: &[&str], path: &str, code: i32| {
        for command in commands {
            let command = command.replace("numa.kiln", "recipes/numa.kiln");
            let (found, said) = run(&ground, &command, path);
            if found != Some(code) || !said.contains(path) || said.contains("panicked") {
                wrong.push(format!("`{command}` of {path}: {found:?} instead of {code}: {said}"));
            }
        }
    };
    expect(&RECIPES, "missing.kiln", 4);
    expect(&FILES, "missing", 4);
    expect(&DIRECTORIES, "missing", 4);
    expect(&RECIPES, "pipe", 2);
    expect(&FILES, "pipe", 2);
    expect(&DIRECTORIES, "pipe", 2);
    expect(&FILES[..6], "empty", 2);
    expect(&DIRECTORIES, "text", 2);
    // A directory that is no build; of one that should be, `verify` says what is wrong with it.
    let others: Vec<&str> = RECIPES.into_iter().filter(|command| !command.starts_with("verify @")).collect();
    expect(&others, "empty", 2);
    assert_eq!(run(&ground, "verify @", "empty").0, Some(3));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    std::fs::remove_dir_all(&ground).unwrap();
}

//! Rules and tables are part of the front end: what `kiln lock` would refuse, `kiln check` and `kiln draw` refuse.

use super::{Front, heads};
use kiln::lock;

/// More CPUs than there are, memory that is no multiple of 256MiB, a window to a bridge that is none, twice.
const BLUNT: &str = r#"
machine blunt {
  kernel = stock  image = cxl-lab  qemu = qemu-11  cpus = 4  memory = 2GiB
  node a { cpus = "0-9" memory = 5GiB }
  cxl {
    bridge host0 { port p0 { expander mem0 { volatile = 100MiB } } }
    window w0 { targets = [host1, host0, host0] size = 100MiB }
  }
  forward ssh = 22
}
"#;

/// A machine with one expander.
fn machine(fields: &str, device: &str) -> String {
    format!(
        "machine m {{\n kernel = stock\n image = cxl-lab\n qemu = qemu-11\n append = [no-timer-check]\n{fields}\n\
         cxl {{ bridge h {{ port p {{ expander e {{ {device} }} }} }}\n window w {{ targets = [h] size = 256MiB }} }}\n}}\n"
    )
}

#[test]
fn every_error_of_a_machine_is_found_without_a_lock() {
    let front = Front::new("blunt", BLUNT);
    let said = front.refused(&["check"]);
    for words in [
        "CPUs 4 to 9 do not exist",
        "the nodes have 5GiB in total, but the machine has 2GiB",
        "expander `mem0` has 100MiB, which is not a multiple of 256MiB",
        "unknown host bridge `host1`",
        "window `w0` leads to `host0` twice",
        "window `w0` has 100MiB, which is not a multiple of 256MiB",
        "this kernel does not enable CXL memory in a guest",
        "listening on host port 22 needs privileges",
    ] {
        assert!(said.contains(words), "{words} is missing in\n{said}");
    }
    assert!(!front.0.join("store").exists(), "a check needs no store");
}

#[test]
fn a_range_of_wrong_cpus_is_one_error() {
    let said = Front::new("range", BLUNT).refused(&["check"]);
    let cpus: Vec<&str> =
        heads(&said).into_iter().filter(|line| line.contains("CPU") && !line.contains("memory")).collect();
    assert_eq!(cpus, ["error: CPUs 4 to 9 do not exist"]);
}

#[test]
fn no_picture_is_drawn_of_a_machine_that_cannot_be() {
    let front = Front::new("undrawn", BLUNT);
    let said = front.refused(&["draw", "--svg", "picture.svg"]);
    assert!(said.contains("window `w0` leads to `host0` twice"), "{said}");
    assert!(!front.0.join("picture.svg").exists());
    assert!(!front.refused(&["draw"]).contains("3 ways"));
}

#[test]
fn a_kernel_that_the_recipe_names_by_version_is_judged_without_a_lock() {
    let old = "kernel old { package = package \"linux-image-6.1.0-37-cloud-amd64\" from trixie }\n";
    let body =
        old.to_owned() + &machine("cpu = lab-cpu", "volatile = 256MiB").replace("kernel = stock", "kernel = old");
    let said = Front::new("old-kernel", &body).refused(&["check"]);
    assert!(said.contains("kernel `old` (Linux 6.1) does not support regions of volatile CXL memory"), "{said}");
}

#[test]
fn check_says_which_versions_it_knew() {
    let front = Front::new("versions", &machine("cpu = lab-cpu", "volatile = 256MiB"));
    let said = front.accepted(&["check"]);
    assert!(said.starts_with("front: no errors; 1 machine, 1 image, 1 kernel, 0 tests\n"), "{said}");
    assert!(said.contains("because there is no lock; run `kiln lock`"), "{said}");
    std::fs::write(front.0.join("broken.lock"), "not a lock").unwrap();
    let said = front.accepted(&["check", "--lock", "broken.lock"]);
    assert!(said.contains("because the lock is out of date"), "{said}");
}

#[test]
fn a_lock_that_is_there_brings_the_tables() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let recipe = root.join("recipes/cxl-quick.kiln");
    let directory = std::env::temp_dir().join(format!("kiln-front-tables-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let text = std::fs::read_to_string(root.join("lockfiles/cxl-quick.lock")).unwrap();
    let check = |verb: &str, version: &str| {
        let mut lock = lock::read(&text).unwrap();
        for package in lock.sets.values_mut().flatten().filter(|package| package.name == "qemu-system-x86") {
            package.version = version.to_owned();
        }
        let path = directory.join(format!("{verb}.lock"));
        std::fs::write(&path, lock::write(&lock)).unwrap();
        let mut kiln = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.arg(verb).arg(&recipe).arg("--lock").arg(&path).output().unwrap()
    };
    for verb in ["check", "draw"] {
        let said = check(verb, "1:8.2.2+ds-1");
        assert_eq!(said.status.code(), Some(1));
        assert!(super::text(&said).contains("QEMU 8.2 aborts when a program runs from CXL memory"));
        let said = check(verb, "1:11.1.3+ds-1");
        assert!(said.status.success(), "{}", super::text(&said));
        assert!(!super::text(&said).contains("not checked"));
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

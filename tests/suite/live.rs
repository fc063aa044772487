//! What the live tests share: the gate, scratch directories, running kiln and independent judges.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// True with `KILN_LIVE=1`; otherwise says what is skipped.
pub(crate) fn live(what: &str) -> bool {
    let on = std::env::var("KILN_LIVE").is_ok_and(|value| value == "1");
    if !on {
        eprintln!("skipped without KILN_LIVE=1: {what}");
    }
    on
}

/// A directory that goes away with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Below `KILN_TEST_DIR`, else below the build directory (on a disk, not in memory).
    pub(crate) fn new(name: &str) -> Scratch {
        let base = std::env::var("KILN_TEST_DIR").map_or_else(|_| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        let path = base.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Read-only trees of the store refuse to be removed by their owner; root and chmod do not mind.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.0).output();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The kiln under test, with a store of its own.
pub(crate) fn kiln(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.env("KILN_STORE", store).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs to the end; standard error is shown when it fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs to the end and expects this exit code; its standard error.
pub(crate) fn fail_with(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    text
}

/// Whether a judge is installed here; says so when it is not.
pub(crate) fn judge(program: &str) -> bool {
    let there =
        Command::new("sh").arg("-c").arg(format!("command -v {program}")).output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("skipped: no {program} on this machine");
    }
    there
}

//! What goes wrong in the world, through the kiln binary: one clear error with the way out, exit code 4, a sound store,
//! and the same command succeeds once the world is well again.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::archive_support::Fault;
use super::failure_support::{LARGE, Lab, RECIPE, archive, refused, text};
use super::skip::skip;

const PAYLOAD: &str = "payload_1.0_amd64.deb";
/// What a build fetches first.
const QEMU: &str = "qemu-system-x86_11.1.0-1_amd64.deb";
const WAYS_OUT: [&str; 2] = ["kiln lock --gone", "payload 1.0"];

fn well_again(lab: &Lab) {
    lab.server.heal();
    let output = lab.inputs().output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    lab.sound();
}

#[test]
fn a_dead_mirror() {
    let lab = Lab::new("dead");
    let output = lab.inputs().env("KILN_MIRROR", "http://127.0.0.1:9").output().unwrap();
    refused(&output, 4, &["cannot fetch", "127.0.0.1:9", "kiln lock --gone"]);
    // Nothing is locked yet: resolving says it as clearly.
    let mut lock = lab.kiln();
    lock.args(["lock", "tiny.kiln", "--lock", "other.lock"]).env("KILN_MIRROR", "http://127.0.0.1:9");
    let output = lock.env("KILN_STORE", lab.directory.join("empty")).output().unwrap();
    refused(&output, 4, &["InRelease", "127.0.0.1:9"]);
    assert!(!lab.directory.join("other.lock").exists(), "half a lock");
    well_again(&lab);
}

#[test]
fn answers_that_are_not_the_file() {
    let lab = Lab::new("answers");
    let cases = [
        (Fault::Truncated(1000), "ended"),
        (Fault::Flipped, "have digest"),
        (Fault::Missing, "404"),
        (Fault::Broken, "500"),
        (Fault::Endless, "more than"),
    ];
    for (fault, words) in cases {
        lab.server.fault(PAYLOAD, fault);
        let output = lab.inputs().output().unwrap();
        let said = text(&output);
        // A server that breaks off may be noticed by the HTTP client before kiln counts the bytes.
        let words = if said.contains("broke off") { "broke off" } else { words };
        refused(&output, 4, &[words, WAYS_OUT[0], WAYS_OUT[1], "cannot fetch"]);
        lab.sound();
        lab.server.heal();
    }
    well_again(&lab);
}

#[test]
fn a_file_where_the_store_should_be_and_a_directory_that_nobody_may_write() {
    let lab = Lab::new("unwritable");
    std::fs::write(lab.directory.join("file"), "").unwrap();
    // Nobody, not even root, makes directories in /proc.
    for place in [lab.directory.join("file"), "/proc/kiln-store".into(), lab.directory.join("file/below")] {
        let output = lab.inputs().env("KILN_STORE", &place).output().unwrap();
        refused(&output, 4, &["store", "KILN_STORE"]);
    }
    let output = lab.inputs().env_remove("KILN_STORE").env_remove("HOME").output().unwrap();
    refused(&output, 4, &["KILN_STORE", "HOME"]);
    well_again(&lab);
}

#[test]
fn a_full_disk_while_fetching_and_while_unpacking() {
    let lab = Lab::new("full");
    well_again(&lab);
    let files: u64 =
        std::fs::read_dir(lab.store().join("cas")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(files > LARGE as u64);
    // Less than the files need; enough for QEMU's package, which a build wants first, but not for unpacking it.
    let root = rustix::process::geteuid().is_root();
    let flags = if root { "-m" } else { "-rm" };
    for (room, verb) in [(files / 2, "verify --inputs"), (LARGE as u64 * 4 / 3, "build")] {
        let small = lab.directory.join("small");
        std::fs::create_dir_all(&small).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={room} kiln small || exit 77; \"$0\" {verb} tiny.kiln; code=$?; \
             for blob in small/cas/*; do [ \"$(sha256sum <\"$blob\")\" = \"$(basename \"$blob\")  -\" ] || exit 78; done; exit $code"
        );
        let output = full(&lab, &small, flags, &script);
        match output {
            Ok(output) if output.status.code() != Some(77) && !text(&output).contains("unshare failed") => {
                refused(&output, 4, &["no space left for the store", "kiln gc", "KILN_STORE"]);
            }
            _ => skip("no namespace to mount a small disk in"),
        }
    }
}

fn full(lab: &Lab, small: &std::path::Path, flags: &str, script: &str) -> std::io::Result<std::process::Output> {
    let mut inside = Command::new("unshare");
    for (name, value) in lab.kiln().get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    inside.current_dir(&lab.directory).env("KILN_STORE", small);
    inside.args([flags, "sh", "-c", script, env!("CARGO_BIN_EXE_kiln")]).output()
}

/// Starts kiln with a mirror that stops in the middle of the large file, and waits until it has stopped there.
fn stuck(lab: &Lab, arguments: &[&str]) -> Child {
    lab.server.fault(QEMU, Fault::Stalled);
    let mut command = lab.kiln();
    let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    // Its own part: those of other packages may be as long for a moment.
    let part = lab.store().join("part").join(lab.digest("qemu-system-x86"));
    while part.metadata().map_or(0, |part| part.len()) < (LARGE / 4) as u64 {
        assert!(began.elapsed() < Duration::from_secs(60), "the download never came to its middle");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn goes_on(lab: &Lab) {
    lab.sound();
    well_again(lab);
    let resumed = lab.server.log().iter().any(|line| line.contains(QEMU) && !line.ends_with(" 0"));
    assert!(resumed, "the half that was there was fetched again: {:?}", lab.server.log());
}

#[test]
fn killed_in_the_middle_of_a_download() {
    let lab = Lab::new("killed");
    let mut child = stuck(&lab, &["build", "tiny.kiln"]);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    goes_on(&lab);
}

#[test]
fn interrupted_in_the_middle_of_a_download() {
    let lab = Lab::new("interrupted");
    let mut child = stuck(&lab, &["build", "tiny.kiln"]);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("Run the same command to resume"), "{said}");
    goes_on(&lab);
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_output_is_one() {
    let lab = Lab::new("pipe");
    let mut child =
        lab.kiln().args(["plan", "tiny.kiln", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = lab.kiln().args(["plan", "tiny.kiln", "--json"]).stdout(full).output().unwrap();
    refused(&output, 4, &["standard output", "No space left"]);
    // Nobody listens to progress: the work goes on.
    let mut child = lab.inputs().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success(), "a closed standard error");
}

#[test]
fn a_store_that_another_kiln_holds_is_waited_for_and_that_is_said() {
    let lab = Lab::new("held");
    well_again(&lab);
    let door = std::fs::File::create(lab.store().join("tmp/door")).unwrap();
    door.lock().unwrap();
    let mut waiting = lab.inputs().stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("waiting for another kiln") && said.contains("tmp/door"), "{said}");
    door.unlock().unwrap();
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn every_signal_has_one_exit_code_also_while_nothing_runs() {
    let lab = Lab::unlocked("idle", archive(), |_| RECIPE.to_owned());
    for part in ["cas", "tmp"] {
        std::fs::create_dir_all(lab.store().join(part)).unwrap();
    }
    let door = std::fs::File::create(lab.store().join("tmp/door")).unwrap();
    door.lock().unwrap();
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut waiting = lab.kiln().args(["gc"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("waiting for another kiln"), "{said}");
        rustix::process::kill_process(rustix::process::Pid::from_child(&waiting), signal).unwrap();
        assert_eq!(waiting.wait().unwrap().code(), Some(130), "{signal:?}");
    }
}

#[test]
fn a_recipe_that_cannot_be_tested_hides_no_other() {
    let lab = Lab::unlocked("untested", archive(), |_| RECIPE.to_owned());
    std::fs::create_dir(lab.directory.join("other")).unwrap();
    // Of one file name, in another directory.
    std::fs::write(lab.directory.join("other/tiny.kiln"), "machine {").unwrap();
    let test = |jobs: &str| {
        let mut test = lab.kiln();
        test.args(["test", "tiny.kiln", "other/tiny.kiln", "--json", "--junit", "all.xml", "--jobs", jobs]);
        test.output().unwrap()
    };
    // Whether one after the other or side by side: what is printed has the order of the command line.
    let (alone, output) = (test("1"), test("2"));
    assert_eq!((alone.status.code(), &alone.stdout), (Some(1), &output.stdout), "{}", text(&alone));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let told = text(&output);
    let verdict = "error: 2 of 2 recipes were not tested: tiny.kiln, other/tiny.kiln";
    for words in ["tiny.kiln: not tested", "other/tiny.kiln:1:", verdict] {
        assert!(told.contains(words), "{told}");
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
    assert!(json["tiny.kiln"]["error"].as_str().unwrap().starts_with("no lock found at "), "{json}");
    assert!(json["other/tiny.kiln"]["error"].as_str().unwrap().contains("tiny.kiln:1:"), "{json}");
    assert!(json.as_object().unwrap().values().all(|untested| untested["exit_code"] == 1), "{json}");
    let xml = std::fs::read_to_string(lab.directory.join("all.xml")).unwrap();
    assert_eq!(xml.matches("<error message=").count(), 2, "{xml}");
    assert!(xml.contains("name=\"tiny.kiln\"") && xml.contains("name=\"other/tiny.kiln\""), "{xml}");
    // One alone has the same results for scripts, and fails as it would with any other command.
    let output = lab.kiln().args(["test", "tiny.kiln", "--json", "--junit", "one.xml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let told = text(&output);
    assert!(told.contains("\nerror: no lock found at ") && !told.contains("recipes were not tested"), "{told}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["tiny.kiln"]["exit_code"], 1, "{json}");
    assert!(std::fs::read_to_string(lab.directory.join("one.xml")).unwrap().contains("<error message=\"no lock found"));
    let output = lab.kiln().args(["test", "tiny.kiln", "tiny.kiln"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

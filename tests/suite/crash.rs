//! Kills, full disks and small limits: afterwards every blob equals its name, and the same work succeeds.
//!
//! The test binary starts itself again as the process that is to suffer; [`victim`] is what that process does.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kiln::base::Digest;
use kiln::store::{Output, Store};

use super::skip::skip;
use super::store::scratch;

const STORE: &str = "KILN_VICTIM_STORE";

/// Blob `number` of the victim's work; large enough to be killed in the middle of.
fn content(number: u32) -> Vec<u8> {
    (0..200_000u32).flat_map(|word| (word.wrapping_mul(number + 7)).to_le_bytes()).collect()
}

/// Not a test by itself: does nothing unless started by one below.
#[test]
fn victim() {
    let Ok(root) = std::env::var(STORE) else { return };
    let store = match Store::open(Path::new(&root)) {
        Ok(store) => store,
        Err(error) => return println!("error: {error}"),
    };
    for number in 0..40 {
        if let Err(error) = work(&store, number) {
            return println!("error: {error}");
        }
    }
    println!("all done");
}

fn work(store: &Store, number: u32) -> Result<(), kiln::store::StoreError> {
    let action = Digest::of(format!("action {number}").as_bytes());
    let _alone = store.lock(&action, &|| false)?;
    let bytes = content(number);
    let mut writer = store.writer()?;
    for piece in bytes.chunks(10_000) {
        if let Err(error) = writer.write_all(piece) {
            return Err(writer.failure(error));
        }
    }
    let (digest, size) = writer.finish()?;
    let tree = store.scratch("tree")?;
    for name in ["a", "b", "c"] {
        let made = kiln::world::fs::write_atomically(&tree.join(name), &bytes[..1000]);
        made.map_err(|error| store.failure(error))?;
    }
    let outputs = [
        ("file".to_owned(), Output::File { digest, size, executable: false }),
        ("tree".to_owned(), store.import_tree(&tree)?),
    ];
    store.put_result(&action, &outputs.into())
}

fn start(root: &Path, before: &str) -> Child {
    let this = std::env::current_exe().unwrap();
    let script = format!("{before} exec {} --exact --nocapture suite::crash::victim", this.display());
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env(STORE, root).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}

/// Every blob and tree is read again and equals its name; every result names what is there.
fn sound(root: &Path, results: usize) {
    let store = Store::open(root).unwrap();
    assert_eq!(store.recheck().unwrap().damaged, 0, "a blob does not equal its name");
    let mut found = 0;
    for number in 0..40 {
        let Some(outputs) = store.get_result(&Digest::of(format!("action {number}").as_bytes())) else { continue };
        found += 1;
        for output in outputs.values() {
            assert!(matches!(store.output(output).unwrap(), kiln::store::Presence::Good(_)), "{number}: {output:?}");
        }
    }
    assert!(found >= results, "{found} results");
    let tmp: Vec<_> = std::fs::read_dir(root.join("tmp")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(tmp.len(), 3, "the door, and this process's own directory and lock: {tmp:?}");
}

#[test]
fn two_processes_that_are_killed_again_and_again_leave_a_sound_store() {
    let root = scratch("crash-kill");
    let rounds = if std::env::var("KILN_LIVE").is_ok_and(|value| value == "1") { 100 } else { 6 };
    // Moments that depend on nothing but the round, spread over the time that the work takes.
    for round in 0..rounds {
        let mut pair = [start(&root, ""), start(&root, "")];
        std::thread::sleep(Duration::from_millis(5 + round * 37 % 160));
        for victim in &mut pair {
            victim.kill().unwrap();
            let status = victim.wait().unwrap();
            assert!(status.signal() == Some(9) || status.success(), "{status}");
        }
        sound(&root, 0);
    }
    assert!(said(&mut start(&root, "")).contains("all done"));
    sound(&root, 40);
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn a_limit_on_file_sizes_is_reported_as_a_lack_of_space() {
    let root = scratch("crash-limit");
    // 100 blocks of 512 bytes (POSIX), less than one blob; the signal that comes with it is ignored.
    let text = said(&mut start(&root, "trap '' XFSZ; ulimit -f 100;"));
    assert!(text.contains("no space left for the store") && text.contains("kiln gc"), "{text}");
    sound(&root, 0);
    assert!(said(&mut start(&root, "")).contains("all done"));
    sound(&root, 40);
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn a_full_disk_is_one_clear_error_and_harms_nothing() {
    let root = scratch("crash-full");
    let mount = format!("mount -t tmpfs -o size=3M kiln {0} || {{ echo cannot mount; exit 0; }};", root.display());
    let this = std::env::current_exe().unwrap();
    let run = format!("{} --exact --nocapture suite::crash::victim", this.display());
    // Twice on the same full disk, then moved to one with more room: all within one namespace, for both end with it.
    let larger = "mkdir large; mount -t tmpfs -o size=200M kiln large; cp -a cas ac tree large";
    let larger = format!("cd {}; {larger}; {STORE}=$PWD/large", root.display());
    let script = format!("{mount} {run}; {run}; {larger} {run}");
    let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).env(STORE, &root).output();
    let text = match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return skip(format!("unshare: {error}")),
    };
    if text.is_empty() || text.contains("cannot mount") {
        return skip("no namespace to mount a small disk in");
    }
    assert_eq!(text.matches("no space left for the store").count(), 2, "{text}");
    assert_eq!(text.matches("all done").count(), 1, "{text}");
    std::fs::remove_dir_all(&root).unwrap();
}

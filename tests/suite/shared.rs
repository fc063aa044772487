//! One memory, three views: what two guests wrote to the device is in the host's file.
//!
//! `KILN_LIVE_STORE=DIR` is a store that may have the machines already; else they are built in that of the other live tests.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, quick, succeed};

/// How long QEMU may take from the notice to making the file.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_host_reads_what_the_guests_wrote() {
    if !live("cxl-shared: two machines and the host see one memory") || !has_its_turn("shared", &SELDOM) {
        return;
    }
    let scratch = Scratch::new("shared");
    let store = std::env::var_os("KILN_LIVE_STORE").map_or_else(|| quick().store.clone(), PathBuf::from);
    let store = &store;
    let lock = scratch.path("lock");
    succeed(kiln(store).args(["lock", "recipes/cxl-shared.kiln", "--lock"]).arg(&lock));
    let mut test = kiln(store);
    test.args(["test", "recipes/cxl-shared.kiln", "--lock"]).arg(&lock).arg("--logs").arg(scratch.path("log"));
    let mut child = test.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let notice = lines.find_map(|line| {
        println!("{line}");
        Some(PathBuf::from(line.strip_prefix("memory `pool` is ")?.strip_suffix(" while the machines run")?))
    });
    let path = notice.expect("kiln says where the memory is");
    // Open, it outlives the run's directory: what is read below is what was there when the machines ended.
    let began = Instant::now();
    let memory = loop {
        match File::open(&path) {
            Ok(file) => break file,
            Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(100)),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    };
    lines.for_each(|line| println!("{line}"));
    assert!(child.wait().unwrap().success());
    assert_eq!(memory.metadata().unwrap().len(), 256 << 20);
    for (mebibytes, word) in [(0, "from the left"), (64, "from the right"), (128, "from the left")] {
        let mut found = vec![0; 1 << 20];
        memory.read_exact_at(&mut found, mebibytes << 20).unwrap();
        let pattern: Vec<u8> = format!("{word}\n").bytes().cycle().take(1 << 20).collect();
        assert!(found == pattern, "at {mebibytes} MiB: {:?}", String::from_utf8_lossy(&found[..64]));
    }
    // Where nobody wrote, nothing is.
    let mut found = vec![1; 1 << 20];
    memory.read_exact_at(&mut found, 200 << 20).unwrap();
    assert!(found.iter().all(|byte| *byte == 0));
    assert!(!path.exists(), "the run's directory stayed");
}

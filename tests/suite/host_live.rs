//! `kiln test` with memory, CPUs and options that one run alone has: the guests have them, and a start of the machine has
//! nothing of what the one before left in its memory.

use std::path::Path;
use std::process::Command;

use super::live::{SELDOM, Scratch, has_its_turn, kiln, live, quick, succeed};

/// Two machines, one with volatile memory of CXL besides its own, which is a file as well.
const RECIPE: &str = r#"
import "lib/cxl-lab.kiln"

machine given {
  kernel = stock
  image  = cxl-lab
  qemu   = qemu-11
  memory = 1GiB
  cpu    = lab-cpu
  append = [no-timer-check]
  cxl {
    bridge host0 { port p0 { expander mem0 { volatile = 256MiB } } port p1 { } }
    window w0 { targets = [host0] size = 256MiB }
  }
}

test "the machine has what the command line gives it" on given {
  expect "cat /proc/cmdline" matches " kiln.trial=1$"
  run "test -e /sys/bus/pci/devices/0000:00:0e.0"
  qmp "query-memdev" matches "\"kiln.memory\""
  qmp "query-memdev" matches "\"prealloc\": *true"
}

test "it has it after a restart" on given {
  reboot
  expect "cat /proc/cmdline" matches " kiln.trial=1$"
  qmp "query-memdev" matches "\"mem0.volatile\""
}

test "an expander is plugged in and out, as docs/qemu.md says" on given {
  wait "cxl list -M | grep -q mem0" for 60s
  qmp "object-add" { qom-type = "memory-backend-ram" id = "hot.memory" size = 268435456 }
  qmp "device_add" { driver = "cxl-type3" id = "hot" bus = "host0.p1" volatile-memdev = "hot.memory" sn = 18193 }
  wait "test $(cxl list -M | grep -c memdev) = 2" for 60s
  expect "cxl list -M" matches "\"serial\": *18193"
  run "sleep 10"
  qmp "device_del" { id = "hot" }
  wait "test $(cxl list -M | grep -c memdev) = 1" for 60s
}
"#;

const ADDED: [&str; 6] = ["--append", "kiln.trial=1", "--pin", "0", "--", "-device"];
const DEVICE: &str = "virtio-rng-pci,bus=pcie.0,addr=0xe";

/// What a run of the tests says, with these options before those that both have.
fn tested(recipe: &Path, store: &Path, options: &[&str]) -> String {
    let mut test = kiln(store);
    test.arg("test").arg(recipe).args(options).args(ADDED).arg(DEVICE);
    let said = String::from_utf8(succeed(&mut test).stderr).unwrap();
    assert!(said.contains("kernel parameters for this run only, not in the lock: kiln.trial=1"), "{said}");
    assert!(said.contains("QEMU options for this run only, not in the lock: -device"), "{said}");
    assert!(said.contains("QEMU runs on CPUs 0 of this host"), "{said}");
    said
}

#[test]
fn tested_machines_have_memory_of_files_cpus_and_options_of_one_run() {
    if !live("kiln test --memory-file, --pin, --append, -- QEMU-OPTIONS") || !has_its_turn("host-files", &SELDOM) {
        return;
    }
    let (scratch, store) = (Scratch::new("host-files"), &quick().store);
    let recipe = scratch.recipe("given.kiln", RECIPE);
    succeed(kiln(store).arg("lock").arg(&recipe));
    let memory = scratch.path("memory");
    std::fs::create_dir(&memory).unwrap();
    let said = tested(&recipe, store, &["--memory-file", memory.to_str().unwrap()]);
    assert!(said.contains("memory is in files below"), "{said}");
    assert_eq!(std::fs::read_dir(&memory).unwrap().count(), 0, "memory is gone with the run");
}

/// 1GiB of ordinary memory, and 256MiB behind the bridge.
const PAGES: u32 = 640;
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

/// Huge pages that are reserved until this is dropped.
struct Reserved(String);

impl Reserved {
    fn pages(count: u32) -> Option<Reserved> {
        let before = std::fs::read_to_string(POOL).ok()?.trim().to_owned();
        let all = before.parse::<u32>().ok()? + count;
        std::fs::write(POOL, all.to_string()).ok()?;
        // The kernel gives as many as it can put together.
        let reserved = Reserved(before);
        let given = std::fs::read_to_string(POOL).ok()?;
        (given.trim() == all.to_string()).then_some(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        std::fs::write(POOL, &self.0).unwrap();
    }
}

#[test]
fn tested_machines_have_memory_of_huge_pages() {
    if !live("kiln test --hugepages") || !has_its_turn("host-pages", &SELDOM) {
        return;
    }
    let (scratch, store) = (Scratch::new("host-pages"), &quick().store);
    let recipe = scratch.recipe("given.kiln", RECIPE);
    succeed(kiln(store).arg("lock").arg(&recipe));
    let free = Command::new("cat").arg(POOL.replace("nr_", "free_")).output().unwrap();
    if String::from_utf8_lossy(&free.stdout).trim() == "0" {
        let refused = kiln(store).arg("test").arg(&recipe).arg("--hugepages=2MiB").output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(4), "{said}");
        assert!(said.contains("huge pages of 2MiB, and 0 are free: as root, `echo ") && said.contains(POOL), "{said}");
    }
    let Some(_reserved) = Reserved::pages(PAGES) else {
        println!("skipped: this host cannot reserve {PAGES} huge pages of 2MiB");
        return;
    };
    let said = tested(&recipe, store, &["--hugepages=2MiB"]);
    assert!(said.contains("memory is in huge pages of 2MiB"), "{said}");
}

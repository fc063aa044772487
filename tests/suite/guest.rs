//! Machines that really boot, on what `recipes/cxl-quick.kiln` builds; see `docs/testing.md`.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kiln::base::{Digest, SourceMap, Span, Spanned};
use kiln::deliver::launch::LaunchFile;
use kiln::exec::sandbox;
use kiln::guest::event::{TestEvent, TestListener};
use kiln::guest::host::HostResources;
use kiln::guest::report::{Outcome, TestReport};
use kiln::guest::test::{BOOT_TIMEOUT, TestOptions, run};
use kiln::guest::{AccelChoice, Launch};
use kiln::recipe::test::{QmpAnswer, Test, TestAction, TestStep};

use super::live::{Quick, live, quick};
use super::machine_support;

fn material() -> Option<&'static Quick> {
    live("booting machines that go wrong").then(quick)
}

fn span() -> Span {
    Span { file: SourceMap::default().add("live.kiln".into(), String::new()), start: 0, end: 0 }
}

/// A machine with more in its block than the least.
fn machine(name: &str, material: &Quick, more: &str) -> Launch {
    let text = std::fs::read(material.out.join("launch.json")).unwrap();
    let quick = LaunchFile::read(&text).unwrap();
    let cpu = if more.contains("cpu = ") { "" } else { "cpu = \"max,-hypervisor\"" };
    let mut machine = machine_support::machine(&format!("memory = 1GiB\n user-network = false\n {cpu}\n {more}"));
    machine.name = name.to_owned();
    Launch {
        machine: name.to_owned(),
        tree: material.qemu.clone(),
        artifacts: material.out.clone(),
        program: "/usr/bin/qemu-system-x86_64".to_owned(),
        description: machine_support::described(&machine, &BTreeMap::new(), &quick.description.qemu),
        files: quick.artifacts.into_iter().map(|(place, artifact)| (place, artifact.file)).collect(),
        disk: Digest::of(b"live"),
        states: BTreeMap::new(),
        variables: None,
        credentials: Vec::new(),
        shares: Vec::new(),
        transport: Default::default(),
        disk_size: None,
        additions: kiln::machine::LaunchAdditions::default(),
    }
}

const CXL: &str = "cxl { bridge bridge { port rp0 { expander expander { volatile = 512MiB } } }\n\
    window w { targets = [bridge] size = 1GiB } }";

/// Adds a word to what the kernel is told.
fn tell(launch: &mut Launch, word: &str) {
    launch.description.machine.append.push(Spanned::new(word.to_owned(), span()));
}

fn test(title: &str, machine: &str, actions: Vec<TestAction>) -> Test {
    let steps = actions.into_iter().map(|action| TestStep { machine: None, action, span: span() }).collect();
    Test { title: title.into(), machine: machine.into(), steps, timeout: 120, slow: false, span: span() }
}

fn sh(command: &str) -> TestAction {
    TestAction::Run(command.into())
}

fn expect(command: &str, pattern: &str, matches: bool) -> TestAction {
    TestAction::Expect { command: command.into(), pattern: pattern.into(), matches }
}

struct Print;

impl TestListener for Print {
    fn on(&self, event: TestEvent<'_>) {
        match event {
            TestEvent::TestFinished(result) => eprintln!("{}", result.text()),
            other => eprintln!("{other:?}"),
        }
    }
}

fn boot(machines: Vec<Launch>, tests: &[Test], accel: AccelChoice) -> TestReport {
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let scratch = std::env::temp_dir().join(format!("kiln-live-guest-{}-{}", std::process::id(), tests[0].title.len()));
    // Other tests have machines as well.
    let base = scratch.join("run");
    std::fs::create_dir_all(&base).unwrap();
    let interrupted = AtomicBool::new(false);
    let options = TestOptions {
        accel,
        logs: scratch.clone(),
        base: base.clone(),
        boot: BOOT_TIMEOUT,
        slow: false,
        filter: None,
        shell: None,
        host: HostResources::default(),
        interrupted: &interrupted,
    };
    let machines: BTreeMap<String, Launch> =
        machines.into_iter().map(|launch| (launch.machine.clone(), launch)).collect();
    let report = run(&machines, tests, &options, &Print).unwrap();
    std::fs::remove_dir(base).expect("nothing is left of the run");
    std::fs::remove_dir_all(scratch).unwrap();
    report
}

/// The reason that a test gave.
fn reason(report: &TestReport, index: usize) -> &str {
    match &report.tests[index].outcome {
        Outcome::Failed(failed) => &failed.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn cxl_memory_is_a_node_again_after_a_restart() {
    let Some(material) = material() else { return };
    let more = vec![
        TestAction::Fails("test -e /run/cxl-nothing".into()),
        TestAction::Qmp {
            command: "query-status".into(),
            arguments: String::new(),
            answer: QmpAnswer::Matches("\"running\":true".into()),
        },
        sh("touch /run/before"),
        TestAction::Reboot,
        TestAction::Fails("test -e /run/before".into()),
        TestAction::Wait { command: "grep -q MemTotal /sys/devices/system/node/node1/meminfo".into(), limit: 120 },
    ];
    // What the image's own service makes of the memory is the recipe's test; here it is that a restart brings it back.
    let node =
        || TestAction::Wait { command: "grep -q MemTotal /sys/devices/system/node/node1/meminfo".into(), limit: 120 };
    let kernel =
        expect("dmesg", "Failed to get interrupt|Failed to synchronize|no free capacity|bogus descriptor", false);
    let tests = [test("the memory works", "cxl", vec![node(), kernel]), test("it reboots", "cxl", more)];
    let report = boot(vec![machine("cxl", material, CXL)], &tests, AccelChoice::Tcg);
    assert_eq!((report.counts(), report.boots.len()), ((2, 0, 0), 1));
}

#[test]
fn guests_that_panic_power_off_hang_or_go_wrong_are_told_apart() {
    let Some(material) = material() else { return };
    let mut hang = test("hangs!", "m", vec![sh("sleep 1000")]);
    hang.timeout = 5;
    let tests = [
        test("panics", "m", vec![sh("sleep 1; echo c >/proc/sysrq-trigger; sleep 60")]),
        test("powers off", "m", vec![sh("systemctl poweroff --no-block; sleep 60")]),
        hang,
        test("restarts", "m", vec![sh("echo b >/proc/sysrq-trigger; sleep 60")]),
        test("is well again", "m", vec![sh("true"), expect("echo $((6*7))", "^42$", true)]),
    ];
    let report = boot(vec![machine("m", material, "")], &tests, AccelChoice::Tcg);
    assert!(reason(&report, 0).contains("the kernel panicked"), "{}", reason(&report, 0));
    assert!(reason(&report, 1).contains("powered off unexpectedly"), "{}", reason(&report, 1));
    assert!(reason(&report, 2).contains("did not finish within the test's timeout of 5 s"), "{}", reason(&report, 2));
    assert!(reason(&report, 3).contains("restarted unexpectedly"), "{}", reason(&report, 3));
    assert_eq!(report.counts(), (1, 4, 0));
    assert_eq!(report.boots.len(), 4, "a hanging command costs no boot");
}

#[test]
fn a_guest_without_a_root_and_a_qemu_that_refuses_are_failures_with_words() {
    let Some(material) = material() else { return };
    let mut rootless = machine("rootless", material, "");
    // The last word of its kind counts.
    tell(&mut rootless, "root=/dev/nothing");
    tell(&mut rootless, "rootdelay=1");
    let refused = machine("refused", material, "cpu = \"no-such-cpu\"");
    let tests = [test("no root", "rootless", vec![sh("true")]), test("no processor", "refused", vec![sh("true")])];
    let report = boot(vec![rootless, refused], &tests, AccelChoice::Auto);
    assert!(reason(&report, 0).contains("root file system") || reason(&report, 0).contains("initramfs"));
    assert!(format!("{:?}", report.tests[1].outcome).contains("no-such-cpu"));
}

/// A machine that starts, and powers off by itself when it has.
fn fleeting(material: &Quick, seconds: u32) -> Launch {
    let mut launch = machine("fleeting", material, "");
    tell(&mut launch, "systemd.run_success_action=poweroff");
    tell(&mut launch, &format!("systemd.run=\"/bin/sleep {seconds}\""));
    launch
}

#[test]
fn a_machine_on_the_terminal_ends_by_itself_or_when_it_is_told() {
    let Some(material) = material() else { return };
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let base = std::env::temp_dir().join(format!("kiln-live-run-{}", std::process::id()));
    std::fs::create_dir_all(&base).unwrap();
    let interrupted = AtomicBool::new(false);
    let keep = base.join("keep.qcow2");
    let options = kiln::guest::run::RunOptions {
        accel: AccelChoice::Auto,
        keep: Some(keep.clone()),
        ssh: None,
        gdb: None,
        host: kiln::guest::host::HostResources::default(),
        sources: Vec::new(),
        base: base.clone(),
        interrupted: &interrupted,
    };
    kiln::guest::run::run(&fleeting(material, 0), &[], &options, &Print).unwrap();
    assert!(std::fs::metadata(&keep).unwrap().len() > 1 << 20, "what the guest wrote is kept");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(4));
            interrupted.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let options = kiln::guest::run::RunOptions { keep: None, accel: AccelChoice::Tcg, ..options };
        let result = kiln::guest::run::run(&fleeting(material, 1000), &[], &options, &Print);
        assert!(matches!(result, Err(kiln::guest::GuestError::Interrupted)), "{result:?}");
    });
    std::fs::remove_file(keep).unwrap();
    std::fs::remove_dir(base).expect("nothing else is left");
}

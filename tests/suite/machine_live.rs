//! Against real QEMUs: they take what kiln accepts and refuse what `# qemu: refuses ...` says in the fixture.
//!
//! Runs with `KILN_LIVE=1` on the QEMU of `recipes/cxl-quick.kiln`, and on those in `KILN_QEMU_TREES`: a colon-separated list
//! of directories, each a root file system made of the packages of one `qemu-system-x86`. QEMU runs in a mount namespace with that root, so the tests need root.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln::base::Arch;
use kiln::exec::builtin::qemu;
use kiln::machine::argv::{CommandLine, Console, Forwards, Place, QmpPort, Writes, table_name};
use kiln::machine::capability::{self, Emulator, KernelFacts, facts};
use kiln::machine::{Description, Topology};
use kiln::ops;
use kiln::plan::qemu::{DEVICES, Facts, OBJECTS, Questions, RARE_DEVICES, RARE_OBJECTS};
use kiln::recipe::machine::{Chipset, Machine};

use super::live::{live, quick};
use super::machine_support::{described, every, read, recipes};

/// A QEMU of a tree.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) tree: PathBuf,
    /// What it emulates.
    pub(crate) arch: Arch,
}

/// The QEMUs; none, and the reason told, when nothing is run.
fn trees() -> Vec<Subject> {
    if !live("asking QEMU what it takes and refuses") {
        return Vec::new();
    }
    let more = std::env::var("KILN_QEMU_TREES").unwrap_or_default();
    let more = more.split(':').filter(|tree| !tree.is_empty()).map(PathBuf::from);
    let trees: Vec<PathBuf> = std::iter::once(linked(&quick().qemu, "live-quick/qemu")).chain(more).collect();
    let found = trees.iter().flat_map(|tree| Arch::ALL.map(|arch| Subject { tree: tree.clone(), arch }));
    found.filter(|qemu| qemu.tree.join("usr/bin").join(qemu.arch.facts().qemu.program).exists()).collect()
}

/// The same files in a directory that may get mount points: trees of a store stay as they are.
pub(crate) fn linked(tree: &Path, name: &str) -> PathBuf {
    let linked = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !linked.exists() {
        assert!(Command::new("cp").arg("-al").arg(tree).arg(&linked).status().unwrap().success());
        assert!(Command::new("chmod").arg("u+w").arg(&linked).status().unwrap().success());
        ["proc", "dev", "tmp"].iter().for_each(|name| std::fs::create_dir_all(linked.join(name)).unwrap());
    }
    linked
}

/// The program of a tree in namespaces of its own: the ports that a machine forwards may be in use on the host.
fn qemu(subject: &Subject, words: &[String]) -> Command {
    let script = "ip link set lo up; for d in proc dev tmp; do mount --bind /$d $0/$d; done; \
                  p=$1; shift; exec chroot $0 /usr/bin/$p \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "-n", "sh", "-c", script]).arg(&subject.tree);
    command.arg(subject.arch.facts().qemu.program).args(words);
    command
}

fn ask(tree: &Subject, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    String::from_utf8(qemu(tree, &words).output().unwrap().stdout).unwrap()
}

pub(crate) fn emulator(tree: &Subject) -> Emulator {
    let said = ask(tree, &["--version"]);
    let version = said.split_whitespace().nth(3).unwrap_or_else(|| panic!("{}: {said}", tree.tree.display()));
    Emulator::of(version).unwrap()
}

/// A directory of a run, removed with what is in it.
pub(crate) struct Run(PathBuf);

impl Run {
    pub(crate) fn new(name: &str) -> Run {
        let directory = std::env::temp_dir().join(format!("kiln-live-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Run(directory)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a machine stopped, and says whether QEMU took it: `Ok` once QMP answers, `Err` with its words otherwise.
pub(crate) fn start(tree: &Subject, line: &CommandLine, run: &Run, machine: &Machine) -> Result<(), String> {
    for file in ["kernel", "initrd"] {
        std::fs::write(run.0.join(file), kernel_stub(machine.arch())).unwrap();
    }
    std::fs::write(run.0.join("disk"), empty_disk()).unwrap();
    // QEMU refuses a flash whose size is none that it can have; nothing in it runs before the machine is stopped.
    for flash in [Place::FirmwareCode, Place::FirmwareVars] {
        std::fs::File::create(run.0.join(flash.name())).unwrap().set_len(1 << 20).unwrap();
    }
    for disk in &machine.disks {
        std::fs::File::create(run.0.join(format!("{}.disk", disk.name.value)))
            .unwrap()
            .set_len(disk.size.value)
            .unwrap();
    }
    for (id, cdat) in machine.cxl.as_ref().map(Topology::of).iter().flat_map(Topology::tables) {
        std::fs::write(run.0.join(table_name(id)), &cdat.bytes).unwrap();
    }
    let [qmp, agent] = ["qmp", "agent"].map(|name| {
        let _ = std::fs::remove_file(run.0.join(name));
        UnixListener::bind(run.0.join(name)).unwrap()
    });
    qmp.set_nonblocking(true).unwrap();
    let fill = |place: Place| match place {
        Place::Run | Place::Shared => run.0.to_str().unwrap().to_owned(),
        Place::Accel => "tcg".to_owned(),
        other => run.0.join(other.name()).to_str().unwrap().to_owned(),
    };
    // `snapshot=on` makes its file in TMPDIR, else in /var/tmp, which the tree does not have.
    let mut command = qemu(tree, &line.words(&fill));
    command.env("TMPDIR", &run.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let mut socket = None;
    loop {
        if child.try_wait().unwrap().is_some() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            return Err(said.lines().last().unwrap_or_default().to_owned());
        }
        socket = socket.or_else(|| qmp.accept().ok().map(|(socket, _)| socket));
        // It calls before it makes devices, and greets afterwards.
        if let Some(socket) = socket.take_if(|socket| greeted(socket))
            // One that refuses a device hangs up after its greeting: its end is seen in the next round.
            && quit(socket).is_ok()
        {
            child.wait().unwrap();
            drop(agent);
            return Ok(());
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "QEMU neither refuses nor answers");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether QEMU has said something.
fn greeted(socket: &UnixStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut first = [0];
    matches!(rustix::net::recv(socket, &mut first[..], rustix::net::RecvFlags::PEEK), Ok((_, 1..)))
}

/// Ends QEMU, which answers only when all its devices are there.
fn quit(mut socket: UnixStream) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let mut heard = || lines.next().unwrap_or(Err(std::io::ErrorKind::UnexpectedEof.into())).map(drop);
    heard()?;
    for command in ["qmp_capabilities", "quit"] {
        writeln!(socket, "{{\"execute\":\"{command}\"}}")?;
        heard()?;
    }
    Ok(())
}

/// A disk of the format that is delivered, with nothing on it.
fn empty_disk() -> Vec<u8> {
    let directory = Run::new(&format!("disk-{:?}", std::thread::current().id()));
    let raw = directory.0.join("raw");
    std::fs::File::create(&raw).unwrap().set_len(1 << 20).unwrap();
    let mut disk = std::io::Cursor::new(Vec::new());
    let raw = std::fs::File::open(&raw).unwrap();
    kiln::format::qcow2::write_qcow2(&raw, &mut disk, Default::default(), &mut |_, _| {}).unwrap();
    disk.into_inner()
}

/// What QEMU's loader takes for a Linux, which is never run: of boot protocol 2.15 (Documentation/arch/x86/boot.rst), or one
/// with the header of Documentation/arch/arm64/booting.rst.
fn kernel_stub(arch: Arch) -> Vec<u8> {
    let mut stub = vec![0; 64 << 10];
    if arch == Arch::Arm64 {
        stub[0x10..0x18].copy_from_slice(&(64u64 << 10).to_le_bytes());
        stub[0x38..0x3c].copy_from_slice(b"ARM\x64");
        return stub;
    }
    stub[0x1f1] = 4;
    stub[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    stub[0x202..0x206].copy_from_slice(b"HdrS");
    stub[0x206..0x208].copy_from_slice(&[0x0f, 0x02]);
    stub[0x211] = 1;
    stub[0x22c..0x230].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    stub[0x238..0x23c].copy_from_slice(&2047u32.to_le_bytes());
    stub
}

/// What `launch.sh` runs, stopped and with somebody to say so.
pub(crate) fn run_line(described: &Description) -> CommandLine {
    described.argv(|launch| (launch.paused, launch.qmp) = (true, QmpPort::Connects))
}

/// What `kiln test` runs, stopped.
pub(crate) fn test_line(described: &Description) -> CommandLine {
    described.argv(|launch| {
        (launch.paused, launch.qmp, launch.agent) = (true, QmpPort::Connects, true);
        (launch.console, launch.writes, launch.forwards) = (Console::Log, Writes::Kept, Forwards::Closed);
        launch.append.push("kiln.test".to_owned());
    })
}

fn by_name(machines: Vec<Machine>) -> BTreeMap<String, Machine> {
    machines.into_iter().map(|machine| (machine.name.clone(), machine)).collect()
}

/// What kiln's own step hears from a QEMU.
pub(crate) fn asked(subject: &Subject, emulator: &Emulator) -> Facts {
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let chipsets = Chipset::ALL.into_iter().filter(|chipset| chipset.arch() == subject.arch);
    let machines = chipsets.map(|chipset| emulator.machine_type(chipset)).collect();
    let architecture = subject.arch;
    let questions = Questions {
        architecture,
        devices: owned(&[&DEVICES[..], &RARE_DEVICES].concat()),
        objects: owned(&[&OBJECTS[..], &RARE_OBJECTS].concat()),
        machines,
    };
    let log = Run::new("questions");
    let subject = qemu::Subject { tree: &subject.tree, ids: kiln::exec::sandbox::SandboxIds::Single };
    qemu::ask(subject, &questions, &log.0.join("stderr")).unwrap()
}

/// `  sn=<uint64>            -  (default: 0)` names `sn`.
fn listed(help: &str) -> BTreeSet<String> {
    let property = |line: &str| Some(line.strip_prefix("  ")?.split_once("=<")?.0.to_owned());
    help.lines().filter_map(property).collect()
}

#[test]
fn what_qemu_is_asked_is_what_its_help_prints() {
    for tree in trees() {
        let emulator = emulator(&tree);
        let facts = asked(&tree, &emulator);
        for (thing, properties) in &facts.properties {
            let (flag, kind) = thing.split_once(' ').unwrap();
            let help = listed(&ask(&tree, &[flag, &format!("{kind},help")]));
            let missing: Vec<_> = help.difference(properties).collect();
            assert!(!help.is_empty() && missing.is_empty(), "{thing} on {}: {missing:?}", emulator.version);
            if flag == "-device" {
                assert_eq!(help, *properties, "{thing} on {}", emulator.version);
            }
        }
    }
}

#[test]
fn qemu_takes_the_argv_of_every_recipe() {
    for tree in trees() {
        let emulator = emulator(&tree);
        let mut taken = 0;
        for (stem, recipe, lock) in recipes() {
            for machine in recipe.machines.values().filter(|machine| machine.arch() == tree.arch) {
                // The one recipe with machines of two QEMUs boots them all in a live test of its own.
                if Emulator::of(&lock.machines[&machine.name].qemu).unwrap() != emulator {
                    println!("{stem}: {} has another QEMU than {}", machine.name, emulator.version);
                    continue;
                }
                let described = ops::machines::description(&recipe, &lock, machine).unwrap();
                for line in [run_line(&described), test_line(&described)] {
                    assert_eq!(start(&tree, &line, &Run::new(&stem), machine), Ok(()), "{stem}: {}", machine.name);
                }
                taken += 1;
            }
        }
        assert!(taken > 0 || tree.arch != Arch::BUILD, "no recipe has a machine of QEMU {}", emulator.version);
    }
}

#[test]
fn qemu_takes_every_good_machine_and_knows_every_property() {
    for tree in trees() {
        let emulator = emulator(&tree);
        let facts = asked(&tree, &emulator);
        for (stem, text) in every("good") {
            let machines = by_name(read(&text).machines);
            for machine in machines.values().filter(|machine| machine.arch() == tree.arch) {
                let findings = capability::check(machine, &emulator, &KernelFacts::default());
                if !findings.errors.is_empty() {
                    continue;
                }
                let line = run_line(&described(machine, &machines, &emulator.version.to_string()));
                assert_eq!(facts::unknown(machine, &line, &facts), [], "{stem} on {}", emulator.version);
                let taken = start(&tree, &line, &Run::new(&stem), machine);
                assert_eq!(taken, Ok(()), "{stem} on {}", emulator.version);
            }
        }
    }
}

#[test]
fn qemu_refuses_what_the_fixtures_say_it_refuses_and_takes_the_rest() {
    let mut wrong = Vec::new();
    for tree in trees() {
        let emulator = emulator(&tree);
        for (stem, text) in every("rules") {
            let machines = by_name(read(&text).machines);
            let machine = machines.values().next().unwrap();
            if machine.arch() != tree.arch {
                continue;
            }
            let said = text.lines().find_map(|line| line.strip_prefix("# qemu: ")).unwrap_or("not said");
            let taken = {
                let line = run_line(&described(machine, &machines, &emulator.version.to_string()));
                start(&tree, &line, &Run::new(&stem), machine)
            };
            let as_said = match (&taken, said.strip_prefix("refuses ")) {
                (Err(words), Some(reason)) => words.contains(reason),
                (Ok(()), None) => said.starts_with("takes"),
                _ => false,
            };
            if !as_said {
                wrong.push(format!("{stem} on {}: {taken:?}, the fixture says: {said}", emulator.version));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

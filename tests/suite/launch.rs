//! `launch.json` reads back and refuses what kiln would not write; `launch.sh` does what it says, in a real shell.

use std::path::Path;
use std::process::{Command, Output};

use kiln::base::Digest;
use kiln::machine::argv::{Launch, Place, argv};
use kiln::machine::capability::Emulator;
use kiln::share::launch::{LaunchArtifact, LaunchError, LaunchFile, script};

use super::machine_support::{fixtures, golden, machine};

const BODY: &str = "append = [\"quote='$HOME'\"]\n disk data { size = 8MiB }\n\
    cxl { bridge b { port p { expander e { persistent = 256MiB } } }\n window w { targets = [b] size = 256MiB } }";

fn artifact(place: Place, file: &str, bytes: &[u8]) -> LaunchArtifact {
    LaunchArtifact {
        place: place.name().into(),
        file: file.into(),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    }
}

fn launch_file() -> LaunchFile {
    let machine = machine(BODY);
    let networks = Default::default();
    let line = argv(&machine, &Emulator::of("11.1.3").unwrap(), &Launch::plain(true, &networks));
    let artifacts = vec![
        artifact(Place::Kernel, "vmlinuz", b"kernel"),
        artifact(Place::Initrd, "initrd.img", b"initrd"),
        artifact(Place::Disk, "disk.qcow2", b"disk"),
    ];
    LaunchFile::new(&machine, "11.1.3", &line, artifacts)
}

#[test]
fn json_reads_back() {
    let file = launch_file();
    assert_eq!(LaunchFile::read(file.json().as_bytes()), Ok(file.clone()));
    assert_eq!(file.machine_type, "pc-q35-11.1");
    let words = file.fill(&|place| format!("/run/{}", place.name())).unwrap();
    assert!(words.contains(&"root=/dev/vda rw console=ttyS0 quote='$HOME'".to_owned()));
}

#[test]
fn the_script_and_the_json_are_golden() {
    let file = launch_file();
    golden(&fixtures("launch").join("launch.json"), &file.json());
    golden(&fixtures("launch").join("launch.sh"), &script(&file).unwrap());
}

#[test]
fn firmware_stands_beside_the_script_and_its_variables_are_copied() {
    let machine = machine("firmware = uefi\n boot = [\"ovmf\", \"systemd-boot-efi\"]");
    let networks = Default::default();
    let line = argv(&machine, &Emulator::of("11.1.3").unwrap(), &Launch::plain(true, &networks));
    let artifacts = vec![
        artifact(Place::Kernel, "vmlinuz", b"kernel"),
        artifact(Place::Disk, "disk.qcow2", b"disk"),
        artifact(Place::FirmwareCode, "ovmf-code.fd", b"code"),
        artifact(Place::FirmwareVars, "ovmf-vars.fd", b"vars"),
    ];
    let file = LaunchFile::new(&machine, "11.1.3", &line, artifacts);
    assert_eq!(LaunchFile::read(file.json().as_bytes()), Ok(file.clone()));
    let text = script(&file).unwrap();
    for part in
        ["ovmf-code.fd\n", "firmware_code=./ovmf-code.fd", "cat <\"$firmware_vars\" >\"$run/vars\"", "kernel=./vmlinuz"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("-append \"") && !text.contains("-initrd"), "{text}");
    let without = LaunchFile { artifacts: file.artifacts[..2].to_vec(), ..file };
    assert_eq!(LaunchFile::read(without.json().as_bytes()), Err(LaunchError::Unfilled("firmware-code")));
}

#[test]
fn hostile_launch_files_are_refused() {
    let with = |change: &dyn Fn(&mut LaunchFile)| {
        let mut file = launch_file();
        change(&mut file);
        LaunchFile::read(file.json().as_bytes()).unwrap_err()
    };
    let name = |text: &str| LaunchError::Name(text.to_owned());
    assert_eq!(with(&|file| file.artifacts[0].file = "../vmlinuz".into()), name("../vmlinuz"));
    assert_eq!(with(&|file| file.artifacts[0].file = "-rf".into()), name("-rf"));
    assert_eq!(with(&|file| file.empty[0].file = "a;b".into()), name("a;b"));
    assert_eq!(with(&|file| file.artifacts[0].place = "run".into()), name("run"));
    assert!(matches!(with(&|file| file.machine = "$(id)".into()), LaunchError::Name(_)));
    assert!(matches!(with(&|file| file.qemu = "11.1;id".into()), LaunchError::Name(_)));
    assert!(matches!(with(&|file| file.argv.push("${home}".into())), LaunchError::Word(_)));
    assert_eq!(with(&|file| drop(file.artifacts.remove(2))), LaunchError::Unfilled("disk"));
    assert_eq!(with(&|file| file.format = 2), LaunchError::Format(2));
    assert!(matches!(LaunchFile::read(b"{}"), Err(LaunchError::Json(_))));
}

/// A result directory with a QEMU that writes its words, one a line, into `said`.
struct Bench(std::path::PathBuf);

impl Bench {
    fn new(name: &str) -> Bench {
        let directory = std::env::temp_dir().join(format!("kiln-launch-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let put = |file: &str, text: &str| std::fs::write(directory.join(file), text).unwrap();
        put("vmlinuz", "kernel");
        put("initrd.img", "initrd");
        put("disk.qcow2", "disk");
        put("launch.sh", &script(&launch_file()).unwrap());
        put(
            "qemu",
            "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'QEMU emulator version 11.1.3 (Debian)'; exit; }\n\
             printf '%s\\n' \"$@\" > said\nls \"$TMPDIR\" > files\nexit 7\n",
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.join("qemu"), mode).unwrap();
        Bench(directory)
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("sh");
        command.arg(self.0.join("launch.sh")).args(arguments).current_dir("/").env("KILN_ACCEL", "tcg");
        command.env("KILN_QEMU", self.0.join("qemu")).envs(variables.iter().copied()).output().unwrap()
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_script_runs_qemu_with_the_words_of_the_argv() {
    let bench = Bench::new("runs");
    let output = bench.run(&[], &[]);
    assert_eq!(output.status.code(), Some(7), "QEMU's own code: {}", error(&output));
    let said: Vec<String> = bench.file("said").lines().map(str::to_owned).collect();
    let run = said.iter().find_map(|word| word.strip_prefix("id=").or(word.split("mem-path=").nth(1))).unwrap();
    let run = run.split("/e.persistent").next().unwrap().to_owned();
    let fill = |place: Place| match place {
        Place::Kernel => "./vmlinuz".to_owned(),
        Place::Initrd => "./initrd.img".to_owned(),
        Place::Disk => "./disk.qcow2".to_owned(),
        Place::Accel => "tcg".to_owned(),
        _ => run.clone(),
    };
    assert_eq!(said, launch_file().fill(&fill).unwrap());
    assert_eq!(bench.file("files"), "data.disk\n", "the empty disk was there");
    assert!(!Path::new(&run).exists(), "the directory of the run is gone");
}

#[test]
fn the_script_refuses_changed_files_other_versions_and_odd_arguments() {
    let bench = Bench::new("refuses");
    assert_eq!(bench.run(&["--help"], &[]).status.code(), Some(2));
    assert_eq!(bench.run(&[], &[("KILN_ACCEL", "xen")]).status.code(), Some(2));
    let comma = bench.run(&[], &[("KILN_SHARED", "/a,b")]);
    assert_eq!(comma.status.code(), Some(4), "{}", error(&comma));
    let absent = bench.run(&[], &[("KILN_QEMU", "/nonexistent/qemu")]);
    assert!(absent.status.code() == Some(4) && error(&absent).contains("is missing"), "{}", error(&absent));
    let old = bench.file("qemu").replace("11.1.3", "10.0.13");
    std::fs::write(bench.0.join("qemu"), old).unwrap();
    let other = bench.run(&[], &[]);
    assert!(other.status.code() == Some(4) && error(&other).contains("locked with 11.1.3"), "{}", error(&other));
    assert_eq!(bench.run(&[], &[("KILN_ANY_QEMU", "1")]).status.code(), Some(7));
    std::fs::write(bench.0.join("disk.qcow2"), "dusk").unwrap();
    let changed = bench.run(&[], &[]);
    assert!(changed.status.code() == Some(3) && error(&changed).contains("disk.qcow2"), "{}", error(&changed));
}

#[test]
fn the_printed_command_is_the_one_that_runs() {
    let bench = Bench::new("prints");
    let output = bench.run(&["--print"], &[]);
    assert!(output.status.success(), "{}", error(&output));
    assert!(!bench.0.join("said").exists(), "nothing ran");
    let printed = String::from_utf8(output.stdout).unwrap();
    // The printed text is a command: run it, and the words arrive whole.
    let directory = bench.0.to_str().unwrap();
    let status =
        Command::new("sh").args(["-c", &printed]).current_dir(directory).env("TMPDIR", directory).status().unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(bench.file("said").lines().any(|word| word == "root=/dev/vda rw console=ttyS0 quote='$HOME'"));
}

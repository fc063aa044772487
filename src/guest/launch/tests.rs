//! What a start of a machine that is never started looks like.

use super::*;
use crate::deliver::launch::LaunchFile;
use crate::exec::sandbox::{self, DirectoryAccess};
use crate::world::dir::Dir;

/// A machine that is never started, with more fields than the least.
pub(in crate::guest) fn launch(more: &str) -> Launch {
    let artifact = |file: &str| format!("{{ \"file\": \"{file}\", \"size\": 1, \"sha256\": \"{}\" }}", Digest::of(b""));
    let artifacts = [("kernel", "vmlinuz"), ("disk", "disk.qcow2"), ("firmware-code", "c"), ("firmware-vars", "v")];
    let artifacts = artifacts.map(|(place, file)| format!("\"{place}\": {}", artifact(file))).join(", ");
    let firmware = if more.contains("\"firmware\"") { "" } else { "\"firmware\": \"direct\", " };
    let text = format!(
        "{{ \"format\": 2, \"qemu\": \"11.1.3\", \"artifacts\": {{ {artifacts} }}, \"machine\": {{ {firmware} {more} \
         \"name\": \"m\", \"type\": \"q35\", \"cpus\": 1, \"memory\": 1073741824, \"cpu\": \"max\", \
         \"user-network\": true, \"bounce\": false, \"rng\": true }}, \
         \"memories\": [{{ \"name\": \"pool\", \"size\": 1073741824 }}] }}"
    );
    let read = LaunchFile::read(text.as_bytes()).unwrap();
    Launch {
        machine: "m".into(),
        tree: "/tree".into(),
        artifacts: "/built".into(),
        program: "/usr/bin/qemu".into(),
        files: read.artifacts.into_iter().map(|(place, artifact)| (place, artifact.file)).collect(),
        description: read.description,
        disk: Digest::of(b""),
        states: BTreeMap::new(),
        variables: None,
        disk_size: None,
        credentials: Vec::new(),
        shares: Vec::new(),
        transport: Default::default(),
        additions: LaunchAdditions::default(),
    }
}

fn places() -> Places {
    Places { run: "/r".into(), shared: "/s".into(), log: Some(("/l".into(), "m.log".into())), memory: None, keep: None }
}

fn words(more: &str, purpose: Purpose) -> Vec<String> {
    argv(&launch(more), purpose, &places(), Accelerator::Tcg).unwrap()
}

/// The value of the first option of this name.
fn value<'a>(words: &'a [String], flag: &str) -> &'a str {
    &words[words.iter().position(|word| word == flag).unwrap() + 1]
}

const NETDEV: &str = "stream,id=kiln.user,server=off,addr.type=unix,addr.path=/kiln/run/network";
const FORWARD: &str = "\"forwards\": [{ \"guest\": 22, \"host\": 2222 }],";

#[test]
fn a_test_adds_words_for_the_kernel_and_drops_the_terminal_and_forwarded_ports() {
    let words = words(FORWARD, Purpose::Test);
    let line = value(&words, "-append");
    let own = "root=/dev/vda rw console=ttyS0 rcupdate.rcu_expedited=1 cryptomgr.notests=1 systemd.unit=";
    assert!(line.starts_with(own) && line.contains("/dev/ttyS1"), "{line}");
    assert_eq!(value(&words, "-netdev"), NETDEV);
    assert_eq!(value(&words, "-qmp"), "unix:/kiln/run/qmp");
    assert_eq!(value(&words, "-chardev"), "file,id=kiln.console,path=/kiln/logs/m.log");
    assert!(words.contains(&"socket,id=kiln.agent,path=/kiln/run/agent".to_owned()));
    assert!(!words.iter().any(|word| word.contains("stdio") || word.contains("snapshot")), "{words:?}");
    assert_eq!(words.iter().filter(|word| *word == "-serial").count(), 2);
}

#[test]
fn a_run_has_the_terminal_and_its_ports_and_a_neighbour_a_log() {
    let front = words(FORWARD, Purpose::Terminal);
    assert_eq!(value(&front, "-serial"), "mon:stdio");
    assert_eq!(value(&front, "-netdev"), NETDEV);
    let beside = words(FORWARD, Purpose::Background);
    assert_eq!(value(&beside, "-serial"), "chardev:kiln.console");
    assert_eq!(value(&beside, "-qmp"), "unix:/kiln/run/qmp,server=on,wait=off");
    assert_eq!(value(&front, "-qmp"), value(&beside, "-qmp"));
}

#[test]
fn only_a_run_has_forwarded_ports() {
    let launch = launch(FORWARD);
    let ports = |purpose| forwards(&launch, purpose).unwrap().iter().map(|forward| forward.host.value).collect();
    let [front, beside, test]: [Vec<u16>; 3] = [Purpose::Terminal, Purpose::Background, Purpose::Test].map(ports);
    assert_eq!((front, beside, test), (vec![2222], vec![2222], vec![]));
}

#[test]
fn what_is_added_to_a_tested_machine_is_in_its_argv_after_all_others() {
    let mut launch = launch("");
    launch.additions.append = vec!["kiln.trial=1".into(), "quiet".into()];
    launch.additions.arguments = vec!["-device".into(), "usb-ehci".into()];
    let words = argv(&launch, Purpose::Test, &places(), Accelerator::Tcg).unwrap();
    assert!(value(&words, "-append").ends_with("-d)'\" kiln.trial=1 quiet"), "{}", value(&words, "-append"));
    assert!(words.ends_with(&["-device".to_owned(), "usb-ehci".to_owned()]));
    launch.additions.append.push("x".repeat(2000));
    let error = argv(&launch, Purpose::Test, &places(), Accelerator::Tcg).unwrap_err();
    assert!(matches!(error, GuestError::KernelLine { over, .. } if over > 0), "{error}");
}

#[test]
fn the_hosts_own_cpu_is_not_emulated() {
    let mut launch = launch("");
    let accel =
        |launch: &Launch, first| accelerator(launch, AccelChoice::Auto, first).map_err(|error| error.to_string());
    assert_eq!(accel(&launch, Accelerator::Tcg), Ok(Accelerator::Tcg));
    launch.description.machine.cpu.value = "host,-hypervisor".to_owned();
    let error = accel(&launch, Accelerator::Tcg).unwrap_err();
    assert!(error.contains("machine m: its `cpu` is `host`, which only KVM has"), "{error}");
    if crate::base::Arch::of_this_processor() == Some(crate::base::Arch::Amd64) {
        assert_eq!(accel(&launch, Accelerator::Kvm), Ok(Accelerator::Kvm));
    }
}

#[test]
fn memory_is_made_of_what_the_host_has_for_it() {
    let mut launch = launch("");
    launch.additions.memory = MemoryBacking::HugePages(2 << 20);
    let words = argv(&launch, Purpose::Test, &places(), Accelerator::Tcg).unwrap();
    let backend =
        "memory-backend-memfd,id=kiln.memory,size=1073741824,hugetlb=on,hugetlbsize=2097152,share=on,prealloc=on";
    assert_eq!(value(&words, "-object").replace("1G", "1073741824").replace("2M", "2097152"), backend);
    assert!(words.iter().any(|word| word.contains("memory-backend=kiln.memory")), "{words:?}");
    launch.additions.memory = MemoryBacking::Files;
    let words = argv(&launch, Purpose::Test, &places(), Accelerator::Tcg).unwrap();
    assert!(value(&words, "-object").contains("mem-path=/kiln/memory/kiln.memory,"), "{words:?}");
}

#[test]
fn a_test_of_a_disk_that_boots_by_itself_tells_its_loader() {
    let line = |firmware: &str, before: &str| {
        let words = words(&format!("\"firmware\": \"{firmware}\","), Purpose::Test);
        value(&words, "-smbios").strip_prefix(before).unwrap().to_owned()
    };
    let stub = line("uefi", "type=11,value=io.systemd.stub.kernel-cmdline-extra=");
    assert!(stub.starts_with("systemd.unit=") && stub.ends_with("-d)'\""), "{stub}");
    let grub = line("seabios", "type=11,value=kiln.kernel-words=");
    assert!(grub.starts_with("'systemd.unit=graphical.target' 'systemd.wants="), "{grub}");
    assert!(grub.contains(" eval$IFS$(") && !grub.contains(['"', '\\']), "{grub}");
}

#[test]
fn shared_memories_are_named() {
    let shared = "\"cxl\": { \"bridges\": [{ \"name\": \"b\", \"decoders\": false, \"ports\": [{ \"name\": \"p\", \
                  \"expander\": { \"name\": \"e\", \"volatile\": \"pool\", \"back-invalidate\": false, \
                  \"flit256\": false } }] }] },";
    let launches = [launch(shared), launch(shared), launch("")];
    assert_eq!(memories(&launches), BTreeSet::from(["pool".to_owned()]));
    let notice = memory_notice(Path::new("/tmp/r/shared"), "pool");
    assert_eq!(notice, "memory `pool` is /tmp/r/shared/pool.memory while the machines run");
}

#[test]
fn places_are_filled_in() {
    let launch = launch("\"append\": [\"a$b\"], \"firmware\": \"uefi\",");
    let kept = KeptFiles { disk: "/k".into(), ..KeptFiles::default() };
    let kept = Places { keep: Some(kept), ..places() };
    let words = argv(&launch, Purpose::Terminal, &kept, Accelerator::Kvm).unwrap();
    assert_eq!(words[0], "/usr/bin/qemu");
    assert_eq!(value(&words, "-accel"), "kvm");
    for part in ["file=/kiln/keep.qcow2,format=qcow2", "file=/kiln/artifacts/c", "file=/kiln/run/firmware-vars"] {
        assert!(words.iter().any(|word| word.contains(part)), "{part} in {words:?}");
    }
    let lost = Launch { files: BTreeMap::from([(Place::Disk, "disk.qcow2".to_owned())]), ..launch };
    let error = argv(&lost, Purpose::Terminal, &places(), Accelerator::Kvm).unwrap_err().to_string();
    assert!(error.contains("missing file for `firmware-code`"), "{error}");
}

#[test]
fn a_kernel_line_that_tests_do_not_fit_into_is_refused() {
    let long = format!("\"append\": [\"{}\", \"{}\"],", "x".repeat(700), "y".repeat(790));
    let wide = launch(&long);
    argv(&wide, Purpose::Terminal, &places(), Accelerator::Tcg).unwrap();
    let mut longer = wide.clone();
    longer.description.machine.append.extend(wide.description.machine.append);
    let error = argv(&longer, Purpose::Test, &places(), Accelerator::Tcg).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn a_file_that_changes_after_it_was_checked_is_refused() {
    let directory = std::env::temp_dir().join(format!("kiln-launch-states-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("vmlinuz");
    fs::write_atomically(&path, b"kernel").unwrap();
    let state = Dir::open_named(&directory).unwrap().plain("vmlinuz").unwrap().state().unwrap();
    let states = BTreeMap::from([("vmlinuz".to_owned(), state)]);
    let checked = Launch { artifacts: directory.clone(), states, ..launch("") };
    changed::refuse(&checked).unwrap();
    fs::write_atomically(&path, b"kernel").unwrap();
    let error = changed::refuse(&checked).unwrap_err().to_string();
    assert!(error.contains("vmlinuz changed after it was checked"), "{error}");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    changed::refuse(&checked).unwrap_err();
    fs::remove_tree(&directory).unwrap();
}

#[test]
fn qemu_sees_the_directories_that_are_shared_and_the_guest_mounts_them() {
    let directory = std::env::temp_dir();
    let identity = sandbox::DirectoryIdentity::of(&directory.metadata().unwrap());
    let share = |name: &str, access| Share { name: name.into(), directory: directory.clone(), identity, access };
    let shares = vec![share("a", DirectoryAccess::Writable), share("b-c", DirectoryAccess::ReadOnly)];
    let launch = Launch { shares, ..launch("") };
    let words = argv(&launch, Purpose::Terminal, &places(), Accelerator::Tcg).unwrap();
    let has = |word: &str| assert!(words.iter().any(|found| found == word), "{word}: {words:?}");
    has("local,id=share.a,path=/kiln/share/a,security_model=none,multidevs=remap");
    has("local,id=share.b-c,path=/kiln/share/b-c,security_model=none,multidevs=remap,readonly=on");
    has("virtio-9p-pci,id=share.a.device,bus=pcie.0,fsdev=share.a,mount_tag=a");
    let line = value(&words, "-append");
    assert!(line.contains(" systemd.mount-extra=a:/mnt/a:9p:") && line.ends_with("512000"), "{line}");
    let seen = spec(&launch, &places(), words).directories;
    let targets: Vec<_> = seen.iter().map(|seen| (seen.target.to_str().unwrap(), seen.access)).collect();
    assert_eq!(targets, [("/kiln/share/a", DirectoryAccess::Writable), ("/kiln/share/b-c", DirectoryAccess::ReadOnly)]);
}

#[test]
fn virtio_fs_is_served_beside_qemu_from_memory_that_both_see() {
    let directory = std::env::temp_dir();
    let identity = sandbox::DirectoryIdentity::of(&directory.metadata().unwrap());
    let shares = vec![Share { name: "a".into(), directory, identity, access: DirectoryAccess::Writable }];
    let words = |launch: &Launch| argv(launch, Purpose::Terminal, &places(), Accelerator::Tcg).unwrap();
    let launch = Launch { shares, transport: Transport::VirtioFs, ..launch("") };
    let line = words(&launch);
    for word in [
        "socket,id=share.a,path=/kiln/sockets/a/socket",
        "vhost-user-fs-pci,id=share.a.device,bus=pcie.0,chardev=share.a,tag=a",
        "memory-backend-memfd,id=kiln.memory,size=1G,share=on",
    ] {
        assert!(line.iter().any(|found| found == word), "{word}: {line:?}");
    }
    assert!(value(&line, "-machine").ends_with(",memory-backend=kiln.memory"), "{line:?}");
    let seen = spec(&launch, &places(), line);
    assert!(seen.directories.is_empty(), "QEMU itself sees nothing of it");
    let sockets = Mount { source: "/r.shares".into(), target: "/kiln/sockets".into(), readonly: true };
    assert!(seen.mounts.contains(&sockets), "{:?}", seen.mounts);
    let alone = words(&Launch { shares: Vec::new(), transport: Transport::NineP, ..launch });
    assert!(!alone.join(" ").contains("memory-backend"), "{alone:?}");
}

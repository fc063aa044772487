//! The steps of a root file system on real packages: live, for it needs the network for the packages and a range of user ids.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::base::{Arch, Digest, Timestamp};
use kiln::exec::builtin::{self, BuiltinContext};
use kiln::exec::event::{StepEvent, StepListener};
use kiln::plan::Builtin;
use kiln::plan::root::{
    BaseSpec, PLACEHOLDER, PathFilters, RULES, RootContent, RootFile, RootIds, RootSpec, RootUnits, RootUser,
};

use super::live::is_among;
use super::{live, packages};

/// Prints what a failing build would otherwise keep to itself.
struct Shown;

impl StepListener for Shown {
    fn on(&self, event: StepEvent) {
        if let StepEvent::StepLog { line, .. } = event {
            println!("{line}");
        }
    }
}

/// Variables by which a test tells the process that it starts what to build, and where.
const SET: &str = "KILN_TEST_ROOT_SET";
pub(super) const WORK: &str = "KILN_TEST_ROOT_WORK";
/// A file with the specification, where it is not [`spec`].
pub(super) const SPEC: &str = "KILN_TEST_ROOT_SPEC";
/// Set where every program of the packages is to run itself.
const WITHOUT_STAND_INS: &str = "KILN_TEST_ROOT_WITHOUT_STAND_INS";

const EPOCH: Timestamp = Timestamp(1_789_199_741);

pub(super) fn spec() -> RootSpec {
    RootSpec {
        grow: None,
        architecture: Arch::BUILD,
        rules: RULES,
        epoch: EPOCH,
        hostname: "cxl-guest".to_owned(),
        stated: Vec::new(),
        remove: Vec::new(),
        groups: Vec::new(),
        users: vec![
            RootUser {
                name: "root".to_owned(),
                uid: None,
                password_hash: Some(String::new()),
                authorized_keys: Vec::new(),
                groups: Vec::new(),
                shell: Some("/bin/bash".to_owned()),
                home: Some("/root".to_owned()),
            },
            RootUser {
                name: "kiln".to_owned(),
                uid: Some(1000),
                password_hash: None,
                authorized_keys: vec!["ssh-ed25519 AAAA test".to_owned()],
                groups: vec!["systemd-journal".to_owned()],
                shell: Some("/bin/bash".to_owned()),
                home: Some("/home/kiln".to_owned()),
            },
        ],
        files: vec![RootFile {
            path: "/opt/hello/text".to_owned(),
            content: RootContent::Input("files/text".to_owned()),
            mode: 0o640,
            owner: "kiln".to_owned(),
            group: "adm".to_owned(),
            capabilities: None,
        }],
        units: RootUnits { mask: vec!["apt-daily.timer".to_owned()], ..RootUnits::default() },
        serial_console: true,
        dhcp: true,
        locale: "C.UTF-8".to_owned(),
        timezone: "Etc/UTC".to_owned(),
        swap_file: None,
        root_device: Some("/dev/vda".to_owned()),
        ids: RootIds::default(),
        new_ids: true,
        strict: false,
    }
}

/// Runs both steps in `work`, and gives the digests of the base and of the root.
fn build(work: &Path, spec: &RootSpec, packages: &[packages::Package]) -> [Digest; 2] {
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let _ = std::fs::remove_dir_all(work);
    let [base, out, scratch] = ["base", "out", "scratch"].map(|name| work.join(name));
    for directory in [&base, &out, &scratch] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let locked = packages.iter().map(|package| package.locked.clone()).collect();
    let base_spec = BaseSpec {
        architecture: Arch::BUILD,
        rules: RULES,
        packages: locked,
        layers: Vec::new(),
        paths: PathFilters::default(),
        epoch: EPOCH,
        hostname: PLACEHOLDER.to_owned(),
        locale: spec.locale.clone(),
        timezone: spec.timezone.clone(),
        answers: Vec::new(),
    };
    std::fs::write(work.join("base.json"), serde_json::to_vec(&base_spec).unwrap()).unwrap();
    std::fs::write(work.join("root.json"), serde_json::to_vec(spec).unwrap()).unwrap();
    std::fs::write(work.join("text"), "hello\n").unwrap();
    for name in ["base.json", "root.json", "text"] {
        // As blobs of a store are, whatever the umask: of root, the user inside is another.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        std::fs::set_permissions(work.join(name), mode).unwrap();
    }
    let input = |name: &str, file: PathBuf| (name.to_owned(), file);
    let mut debs: BTreeMap<String, PathBuf> =
        packages.iter().map(|package| (package.locked.input.clone(), package.file.clone())).collect();
    debs.extend([input("base.json", work.join("base.json"))]);
    // Nothing in the base depends on the host name: see `images::names` for one where something does.
    std::fs::write(work.join("named.tar"), "").unwrap();
    let others = BTreeMap::from([
        input("base.tar", base.join("base.tar")),
        input("named.tar", work.join("named.tar")),
        input("named-warnings.json", base.join("warnings.json")),
        input("base-warnings.json", base.join("warnings.json")),
        input("files/text", work.join("text")),
        input("root.json", work.join("root.json")),
    ]);
    let run = |inputs, out, step: &Builtin| {
        let context = BuiltinContext {
            step: "root",
            inputs,
            out,
            scratch: &scratch,
            variation: None,
            without_stand_ins: std::env::var_os(WITHOUT_STAND_INS).is_some(),
            earlier: None,
            limits: kiln::exec::sandbox::Limits::default(),
            listener: &Shown,
        };
        let started = std::time::Instant::now();
        builtin::inside::carry_out(step, &context).unwrap_or_else(|error| panic!("{error}"));
        started.elapsed()
    };
    let configured = run(&debs, &base, &Builtin::Base(Arch::BUILD));
    let finished = run(&others, &out, &Builtin::Root(Arch::BUILD));
    println!("{} packages: base {configured:?}, root {finished:?}", packages.len());
    // With what dpkg was asked about, or did not have to be.
    let digest = |archive: PathBuf| {
        let warnings = archive.with_file_name("warnings.json");
        Digest::of(&[archive, warnings].map(|file| std::fs::read(file).unwrap()).concat())
    };
    [base.join("base.tar"), out.join("root.tar")].map(digest)
}

/// Not a test of its own: what [`one_build_in`] starts.
#[test]
fn one_build() {
    let (Ok(set), Ok(work)) = (std::env::var(SET), std::env::var(WORK)) else { return };
    let packages = packages::fetch("trixie", &set.split(' ').collect::<Vec<_>>());
    let spec = match std::env::var(SPEC) {
        Ok(file) => serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap(),
        Err(_) => spec(),
    };
    let [base, root] = build(Path::new(&work), &spec, &packages);
    println!("digest {base} {root}");
}

/// A process that builds a set.
pub(super) fn one_build_in(set: &str, work: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask \"$KILN_TEST_UMASK\"; exec \"$0\" \"$@\""]).env("KILN_TEST_UMASK", "022");
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "suite::root::one_build", "--nocapture"]);
    command.env(SET, set).env(WORK, work);
    command
}

/// Builds a set in three processes that differ in umask, time zone, locale, cores, directory and environment; in the third, nothing
/// stands in for programs of the packages.
fn in_three_environments(name: &str, set: &str) {
    if !live(&format!("building a root file system with {set}")) || !is_among(name, SETS, 2) {
        return;
    }
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("root");
    let digest = |directory: &str, umask: &str, variables: &[(&str, &str)]| {
        let mut command = one_build_in(set, &base.join(name).join(directory));
        let output = command.env("KILN_TEST_UMASK", umask).envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        println!("{}", text.lines().filter(|line| line.contains(" packages: ")).collect::<String>());
        text.lines().find_map(|line| line.strip_prefix("digest ")).unwrap().to_owned()
    };
    let one = digest("one", "022", &[]);
    let other = [("TZ", "Pacific/Chatham"), ("LANG", "tr_TR.UTF-8"), ("RAYON_NUM_THREADS", "1"), ("HOME", "/")];
    let two = digest("another/place", "077", &other);
    assert_eq!(one, two, "{set}: trees differ; see {}", base.display());
    let third = [("TZ", "America/St_Johns"), ("LC_ALL", "ja_JP.eucJP"), ("RAYON_NUM_THREADS", "7"), ("USER", "eve")];
    let third = [&third[..], &[(WITHOUT_STAND_INS, "1")]].concat();
    let three = digest("a third with blanks", "027", &third);
    assert_eq!(one, three, "{set}: trees differ; see {}", base.display());
    println!("{name}: {one}, three times");
    std::fs::remove_dir_all(base.join(name)).unwrap();
}

macro_rules! sets {
    ($($name:ident: $set:expr,)*) => {
        const SETS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                in_three_environments(stringify!($name), $set);
            }
        )*
    };
}

// The sets that people install, besides that of the machine that this project is for.
sets! {
    cxl: "systemd-sysv openssh-server cxl ndctl daxctl numactl iproute2 dbus udev",
    databases: "systemd-sysv nginx postgresql python3 ca-certificates",
    compilers: "systemd-sysv python3 python3-venv build-essential",
    java: "systemd-sysv openjdk-21-jre-headless ca-certificates-java",
    containers: "systemd-sysv containerd runc nftables iptables containernetworking-plugins",
    docker: "systemd-sysv docker.io",
    caches: "systemd-sysv fontconfig fonts-dejavu man-db locales",
    desktop_services: "systemd-sysv network-manager openssh-server sudo polkitd dbus",
    storage: "systemd-sysv nvme-cli mdadm lvm2 cryptsetup",
    mail: "systemd-sysv exim4 logrotate cron",
    editors: "systemd-sysv xserver-xorg-core vim emacs-nox",
}

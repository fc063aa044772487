//! The root step on real packages: live, for it needs the network for the packages and a range of user ids.

mod packages;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiln::base::{Digest, Epoch};
use kiln::exec::builtin::{self, Context};
use kiln::exec::event::{Event, Listener};
use kiln::plan::root::{RULES, RootContent, RootFile, RootSpec, RootUnits, RootUser};

use super::live;

/// Prints what a failing build would otherwise keep to itself.
struct Shown;

impl Listener for Shown {
    fn on(&self, event: Event) {
        if let Event::StepLog { line, .. } = event {
            println!("{line}");
        }
    }
}

/// The package set of the machine that this project is for.
const CXL: [&str; 9] =
    ["systemd-sysv", "openssh-server", "cxl", "ndctl", "daxctl", "numactl", "iproute2", "dbus", "udev"];

fn spec(packages: &[packages::Package]) -> RootSpec {
    RootSpec {
        rules: RULES,
        packages: packages.iter().map(|package| package.locked.clone()).collect(),
        epoch: Epoch(1_789_199_741),
        seed: Digest::of(b"seed"),
        hostname: "cxl-guest".to_owned(),
        users: vec![
            RootUser {
                name: "root".to_owned(),
                uid: None,
                password_hash: Some(String::new()),
                authorized_keys: Vec::new(),
                groups: Vec::new(),
                shell: "/bin/bash".to_owned(),
                home: "/root".to_owned(),
            },
            RootUser {
                name: "kiln".to_owned(),
                uid: Some(1000),
                password_hash: None,
                authorized_keys: vec!["ssh-ed25519 AAAA test".to_owned()],
                groups: vec!["systemd-journal".to_owned()],
                shell: "/bin/bash".to_owned(),
                home: "/home/kiln".to_owned(),
            },
        ],
        files: vec![RootFile {
            path: "/opt/hello/text".to_owned(),
            content: RootContent::Input("files/text".to_owned()),
            mode: 0o640,
            owner: "kiln".to_owned(),
            group: "adm".to_owned(),
        }],
        units: RootUnits { mask: vec!["apt-daily.timer".to_owned()], ..RootUnits::default() },
        serial_console: true,
        dhcp: true,
        locale: "C.UTF-8".to_owned(),
        timezone: "Etc/UTC".to_owned(),
        root_device: Some("/dev/vda".to_owned()),
        ids: None,
    }
}

/// Runs the step in `work`, and gives the archive's digest.
fn build(work: &Path, spec: &RootSpec, packages: &[packages::Package]) -> Digest {
    kiln::exec::sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let _ = std::fs::remove_dir_all(work);
    let [out, scratch] = ["out", "scratch"].map(|name| work.join(name));
    for directory in [&out, &scratch] {
        std::fs::create_dir_all(directory).unwrap();
    }
    std::fs::write(work.join("root.json"), serde_json::to_vec(spec).unwrap()).unwrap();
    std::fs::write(work.join("text"), "hello\n").unwrap();
    let mut inputs: BTreeMap<String, PathBuf> =
        packages.iter().map(|package| (package.locked.input.clone(), package.file.clone())).collect();
    inputs.insert("root.json".to_owned(), work.join("root.json"));
    inputs.insert("files/text".to_owned(), work.join("text"));
    let context = Context { step: "root", inputs: &inputs, out: &out, scratch: &scratch, listener: &Shown };
    let started = std::time::Instant::now();
    builtin::root::run(&context).unwrap_or_else(|error| panic!("{error}"));
    println!("root step: {:?}", started.elapsed());
    Digest::of(&std::fs::read(out.join("root.tar")).unwrap())
}

#[test]
fn a_root_for_cxl_is_the_same_twice() {
    if !live("building a root file system") {
        return;
    }
    let packages = packages::fetch("trixie", &CXL);
    let spec = spec(&packages);
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("root");
    let first = build(&base.join("one"), &spec, &packages);
    let second = build(&base.join("two"), &spec, &packages);
    assert_eq!(first, second);
}

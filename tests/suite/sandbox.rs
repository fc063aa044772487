//! Sandboxes as a program sees them from inside. The root is the host's own `/usr`, for want of a locked one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kiln::exec::sandbox::{self, Call, Limits, Mount, Privileges, Root, SandboxError, SandboxIds, Spec, Streams};

use super::skip::skip;

/// A directory that has `/usr` as its only content, and a sandbox of it.
fn spec(name: &str, script: &str) -> Spec {
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sandbox-{name}"));
    std::fs::create_dir_all(root.join("usr")).unwrap();
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        let _ = std::os::unix::fs::symlink(target, root.join(link));
    }
    Spec {
        root: Root::ReadOnly(root),
        mounts: vec![Mount { source: "/usr".into(), target: "/usr".into(), readonly: true }],
        ids: SandboxIds::Single,
        privileges: Privileges::Build,
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]),
        argv: ["/bin/sh", "-ec", script].map(str::to_owned).to_vec(),
        directories: Vec::new(),
        hostname: sandbox::HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: PathBuf::from("/tmp"),
    }
}

/// What the script prints; `None`, said aloud, where this machine allows no sandbox at all.
fn output(spec: &Spec) -> Option<String> {
    let mut lines = Vec::new();
    match sandbox::run(spec, &mut |line| lines.push(line.to_owned())) {
        Ok(status) => {
            assert!(status.success(), "{status}: {lines:?}");
            Some(lines.join("\n"))
        }
        Err(error @ (SandboxError::NoUserNamespace { .. } | SandboxError::NoIdRange { .. })) => {
            skip(error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_sandbox_has_what_the_contract_says() {
    let script = "hostname; umask; pwd; id -u; echo $$; env | sort | tr '\\n' ' '; ls /dev | tr '\\n' ' '; \
                  ls / | tr '\\n' ' '; stat -c %a /tmp /dev/shm; test ! -t 0; cat </dev/null; tty || true";
    let Some(text) = output(&spec("contract", script)) else { return };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..5], ["kiln", "0022", "/tmp", "0", "2"]);
    assert_eq!(
        lines[5],
        "PATH=/usr/bin PWD=/tmp fd full null ptmx pts random shm stderr stdin stdout tty urandom zero \
         bin dev lib lib64 proc tmp usr 1777"
    );
    assert_eq!(lines[6..], ["1777", "not a tty"]);
}

#[test]
fn there_is_no_network_and_nothing_of_the_host() {
    let script = "cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /proc/net/route | wc -l; \
                  ls -d /proc/[0-9]* | wc -l; readlink /proc/1/exe || echo hidden; cat /proc/1/environ 2>&1 || true; \
                  cut -d' ' -f5 /proc/self/mountinfo | grep -c host || true; ls /sys /home /root /etc 2>/dev/null || echo none; \
                  (echo x >/proc/sys/kernel/hostname) 2>&1 || true; ls /proc/self/fd | tr '\\n' ' '";
    let mut spec = spec("nothing", script);
    spec.env.insert("LC_ALL".to_owned(), "C".to_owned());
    let Some(text) = output(&spec) else { return };
    println!("{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].trim(), "lo");
    assert_eq!(lines[1], "0", "no route, not even the heading that a table with routes has");
    assert!(lines.contains(&"hidden") && lines.contains(&"none"), "{text}");
    assert!(text.contains("Permission denied") && text.contains("Read-only file system"), "{text}");
    assert_eq!(lines.last().unwrap().trim(), "0 1 2 3", "3 is the listing itself");
}

#[test]
fn the_network_of_the_host_cannot_be_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo reached || echo refused");
    let Some(text) = output(&spec("network", &script)) else { return };
    assert_eq!(text, "refused");
    let outside = std::process::Command::new("/bin/sh").args(["-ec", &script]).output().unwrap();
    assert_eq!(outside.stdout, b"reached\n", "the same check finds a network that is there");
}

#[test]
fn a_read_only_root_stays_as_it_is_and_has_every_mount_point() {
    let mut spec = spec(
        "points",
        "cat /usr/lib/kiln-test/deep/x; ls /srv/build; touch /srv/build/y; touch /usr/z || echo ro; touch /z || echo ro",
    );
    let Root::ReadOnly(root) = spec.root.clone() else { unreachable!() };
    let given = root.with_extension("given");
    std::fs::create_dir_all(given.join("build")).unwrap();
    std::fs::write(given.join("x"), "seen\n").unwrap();
    std::fs::create_dir_all(root.join("opt/there")).unwrap();
    // The real /usr as the root's own directory this time, so that mount points below it are missing.
    spec.root = Root::ReadOnly("/usr".into());
    spec.mounts = vec![
        Mount { source: "/usr".into(), target: "/usr".into(), readonly: true },
        Mount { source: given.join("build"), target: "/srv/build".into(), readonly: false },
        Mount { source: given.join("x"), target: "/lib/kiln-test/deep/x".into(), readonly: true },
    ];
    spec.argv[2] =
        "cat /lib/kiln-test/deep/x; ls /lib/os-release; touch /srv/build/y; touch /lib/z 2>/dev/null || echo ro; \
                    touch /z 2>/dev/null || echo ro"
            .to_owned();
    let Some(text) = output(&spec) else { return };
    assert_eq!(text, "seen\n/lib/os-release\nro\nro");
    assert!(given.join("build/y").exists());
    assert!(!PathBuf::from("/usr/lib/kiln-test").exists());
}

#[test]
fn a_range_gives_other_owners() {
    let mut spec =
        spec("range", "touch /tmp/x; chown 1000:65534 /tmp/x; stat -c %u:%g /tmp/x; cut -c-11 /proc/self/uid_map");
    spec.ids = SandboxIds::Range;
    let Some(text) = output(&spec) else { return };
    assert!(text.starts_with("1000:65534\n"), "{text}");
}

#[test]
fn what_fails_is_named() {
    let mut spec = spec("names", "exit 3");
    if output(&Spec { argv: vec!["/bin/true".to_owned()], ..spec.clone() }).is_none() {
        return;
    }
    assert_eq!(sandbox::run(&spec, &mut |_| ()).unwrap().code(), Some(3));
    spec.argv[2] = "kill -9 $$".to_owned();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&sandbox::run(&spec, &mut |_| ()).unwrap()), Some(9));
    spec.argv = vec!["/bin/no-such-program".to_owned()];
    let error = sandbox::run(&spec, &mut |_| ()).unwrap_err();
    assert!(matches!(&error, SandboxError::Program { program, .. } if program == "/bin/no-such-program"), "{error}");
    spec.cwd = "/usr/nowhere/at/all".into();
    spec.mounts.push(Mount { source: "/no/such/source".into(), target: "/in".into(), readonly: true });
    let error = sandbox::run(&spec, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("/no/such/source does not exist"), "{error}");
}

#[test]
fn killing_ends_everything_inside() {
    let mut spec =
        spec("kill", "trap '' TERM; (sleep 1000 & echo $! ; exec sleep 1000) & echo ready; read line; sleep 1000");
    let piped = || Streams { stdin: Stdio::piped(), stdout: Stdio::piped(), stderr: Stdio::null() };
    let mut running = match sandbox::spawn(&spec, piped()) {
        Ok(running) => running,
        Err(error) => return skip(error),
    };
    let mut output = BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        output.read_line(&mut line).unwrap();
    }
    assert!(running.wait_timeout(Duration::from_millis(20)).unwrap().is_none());
    running.terminate();
    assert!(running.wait_timeout(Duration::from_millis(20)).unwrap().is_none(), "it ignores SIGTERM");
    running.kill();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut output, &mut rest).unwrap();

    spec.argv[2] = "read line; echo got $line; exit 7".to_owned();
    let mut running = sandbox::spawn(&spec, piped()).unwrap();
    running.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), running.wait().unwrap().code()), ("got hello\n", Some(7)));
}

/// A Ctrl-C goes to the terminal's process group. Were a sandbox in it, its end could be seen before the signal that
/// caused it, and taken for a failure.
#[test]
fn no_program_shares_the_terminals_signals() {
    // Process group and session (fifth and sixth field of proc_pid_stat(5)); those outside of the sandbox are 0 inside.
    let spec = spec("group", "set -- $(cat /proc/self/stat); echo $5 $6");
    if let Some(text) = output(&spec) {
        assert_eq!(text, "2 2");
    }
}

#[test]
fn a_program_without_privileges_has_none_and_gets_none() {
    let mut spec = spec("privileges", "grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr '\\n' ' '");
    let Some(text) = output(&spec) else { return };
    assert!(text.contains("CapBnd:\t00000000a80425fb") && text.contains("NoNewPrivs:\t0"), "{text}");
    spec.privileges = Privileges::None;
    let none = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:\t0000000000000000"));
    assert_eq!(output(&spec).unwrap().trim_end(), format!("{} NoNewPrivs:\t1", none.join(" ")));
}

#[test]
fn an_unknown_function_is_refused() {
    spec("call", "");
    let call = Call {
        ids: SandboxIds::Single,
        entry: "no-such-function",
        argument: "{}".to_owned(),
        mounts: Vec::new(),
        limits: Limits::default(),
    };
    match sandbox::call(call, &mut |_| ()) {
        Err(SandboxError::Misuse(message)) => assert_eq!(message, "kiln has no function no-such-function"),
        Err(error @ SandboxError::NoUserNamespace { .. }) => skip(error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn functions_of_kiln_make_sandboxes_of_their_own() {
    let mut spec = spec("nested", "cut -c-11 /proc/self/uid_map; touch /out/x; chown 33:44 /out/x; hostname; echo $$");
    let Root::ReadOnly(root) = spec.root.clone() else { unreachable!() };
    let out = root.with_extension("out");
    std::fs::create_dir_all(&out).unwrap();
    spec.ids = SandboxIds::Inherit;
    let shown =
        |source: &Path, target: &str, readonly| Mount { source: source.to_owned(), target: target.into(), readonly };
    let mounts =
        vec![shown(&root, "/root", true), shown(&out, "/out", false), shown(Path::new("/usr"), "/host-usr", true)];
    spec.root = Root::ReadOnly("/root".into());
    spec.mounts = vec![shown(Path::new("/host-usr"), "/usr", true), shown(Path::new("/out"), "/out", false)];
    let argument = serde_json::to_string(&spec).unwrap();
    let mut lines = Vec::new();
    let call =
        Call { ids: SandboxIds::Range, entry: sandbox::inside::NESTED, argument, mounts, limits: Limits::default() };
    match sandbox::call(call, &mut |heard| lines.push(heard.text().to_owned())) {
        Err(error @ (SandboxError::NoUserNamespace { .. } | SandboxError::NoIdRange { .. })) => {
            return skip(error);
        }
        result => result.unwrap(),
    }
    assert_eq!(lines[lines.len() - 2..], ["kiln", "2"]);
    let owner = std::os::unix::fs::MetadataExt::uid(&out.join("x").metadata().unwrap());
    assert!(owner > 33, "outside it is a subordinate id: {owner}");
    let mounts = vec![shown(&out, "/out", false)];
    let call = Call {
        ids: SandboxIds::Range,
        entry: sandbox::inside::EMPTY,
        argument: "[\"/out\"]".to_owned(),
        mounts,
        limits: Limits::default(),
    };
    sandbox::call(call, &mut |_| ()).unwrap();
    std::fs::remove_dir(&out).expect("it is empty");
}

#[test]
fn what_the_machine_allows_is_tried_and_not_guessed() {
    match sandbox::kvm::probe() {
        Ok(()) => println!("KVM runs guests here"),
        Err(reason) => {
            println!("{reason}");
            assert!(reason.contains("/dev/kvm"), "{reason}");
        }
    }
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    if let Err(error) = sandbox::namespaces_possible() {
        assert!(matches!(error, SandboxError::NoUserNamespace { .. } | SandboxError::Setup { .. }), "{error}");
    }
}

/// Run by root, a sandbox must not be root: what it leaves could otherwise make root of whoever finds it.
#[test]
fn what_a_sandbox_of_root_leaves_is_not_of_root() {
    let mut spec = spec("owner", "cp /usr/bin/true /out/x; chmod 4755 /out/x; mkdir /out/d; cat /proc/self/uid_map");
    let Root::ReadOnly(root) = spec.root.clone() else { unreachable!() };
    let out = root.with_extension("out");
    std::fs::create_dir_all(&out).unwrap();
    spec.mounts.push(Mount { source: out.clone(), target: "/out".into(), readonly: false });
    let Some(_) = output(&spec) else { return };
    let data = out.join("x").metadata().unwrap();
    let own = rustix::process::getuid().as_raw();
    let expected = sandbox::builder().unwrap_or(own);
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&data), expected);
    assert!(own != 0 || expected >= 0x7000_0000 || sandbox::builder().is_none());
    println!("0 inside is {expected} here");
    std::fs::remove_dir_all(&out).unwrap();
}

#[test]
fn no_mount_honours_set_uid_bits_and_no_device_node_can_be_changed() {
    let script = "cut -d' ' -f5,6 /proc/self/mountinfo | grep -v nosuid || true; \
                  cut -d' ' -f5,6 /proc/self/mountinfo | grep -v nodev | cut -d' ' -f1 | sort | tr '\\n' ' '; echo; \
                  for d in null zero full random urandom tty; do chmod 600 /dev/$d 2>&1 || true; echo x >/dev/$d || true; done";
    let mut spec = spec("flags", script);
    spec.env.insert("LC_ALL".to_owned(), "C".to_owned());
    let Some(text) = output(&spec) else { return };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0].trim(),
        "/dev/full /dev/null /dev/pts /dev/random /dev/tty /dev/urandom /dev/zero /proc/key-users /proc/keys",
        "{text}"
    );
    assert_eq!(lines.iter().filter(|line| line.contains("Read-only file system")).count(), 6, "{text}");
}

/// A function of kiln that is led astray finds nothing of the host.
#[test]
fn functions_of_kiln_see_nothing_of_the_host() {
    spec("blind", "");
    let canary = std::env::temp_dir().join(format!("kiln-canary-{}", std::process::id()));
    std::fs::create_dir_all(canary.join("kept")).unwrap();
    for path in ["/etc", "/root", "/home", "/host", canary.to_str().unwrap()] {
        let argument = serde_json::to_string(&[path]).unwrap();
        let call = Call {
            ids: SandboxIds::Single,
            entry: sandbox::inside::EMPTY,
            argument,
            mounts: Vec::new(),
            limits: Limits::default(),
        };
        match sandbox::call(call, &mut |_| ()) {
            Err(SandboxError::Failed { message, .. }) => assert!(message.contains("No such file"), "{message}"),
            Err(error @ SandboxError::NoUserNamespace { .. }) => return skip(error),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(canary.join("kept").exists());
    std::fs::remove_dir_all(canary).unwrap();
}

/// As QEMU needs `/dev/kvm`, whoever may open that on the host: a device of a sandbox of root is its own.
#[test]
fn a_device_that_is_shown_opens_and_its_node_cannot_be_changed() {
    let script = "head -c 3 /dev/shown | od -An -tx1; chmod 600 /dev/shown 2>&1 || true; test ! -e /dev/kvm || \
                  { exec 3<>/dev/kvm; } && echo open";
    let mut spec = spec("device", script);
    spec.env.insert("LC_ALL".to_owned(), "C".to_owned());
    spec.mounts.push(Mount { source: "/dev/zero".into(), target: "/dev/shown".into(), readonly: false });
    if rustix::process::geteuid().is_root() && Path::new("/dev/kvm").exists() {
        spec.mounts.push(Mount { source: "/dev/kvm".into(), target: "/dev/kvm".into(), readonly: false });
    }
    let Some(text) = output(&spec) else { return };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!((lines[0], lines[2]), ("00 00 00", "open"), "{text}");
    assert!(lines[1].contains("Read-only file system"), "{text}");
}

#[test]
fn a_sandbox_shows_more_files_than_a_process_has_open() {
    let mut spec = spec("many", "ls /many | wc -l; ulimit -n");
    let Root::ReadOnly(root) = spec.root.clone() else { unreachable!() };
    let file = root.with_extension("file");
    std::fs::write(&file, "x").unwrap();
    spec.mounts.extend((0..1500).map(|number| Mount {
        source: file.clone(),
        target: format!("/many/{number}").into(),
        readonly: true,
    }));
    let Some(text) = output(&spec) else { return };
    assert_eq!(text, "1500\n1024");
}

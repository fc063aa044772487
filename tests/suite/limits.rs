//! What a program in a sandbox may not do and how much it may use, as it sees it from inside.
#![allow(unsafe_code, reason = "a key of the caller's can only be made by a system call")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kiln::exec::sandbox::seccomp::{FilterKind, refused};
use kiln::exec::sandbox::{
    self, Bound, Call, Exceeded, HOST_NAME, Limits, Mount, Privileges, Root, SandboxError, SandboxEvent, SandboxIds,
    Spec, Streams,
};

use super::skip::skip;

/// Calls that arguments decide about, or whose number says what they are: name, number, arguments, error.
const JUDGED: [(&str, i64, &str, i32); 8] = [
    ("unshare user", libc::SYS_unshare, "0x10000000", libc::EPERM),
    ("unshare mounts", libc::SYS_unshare, "0x00020000", libc::EPERM),
    ("clone user", libc::SYS_clone, "0x10000011,0,0,0,0", libc::EPERM),
    ("push input", libc::SYS_ioctl, "0,0x5412,0", libc::EPERM),
    ("console", libc::SYS_ioctl, "0,0x541c,0", libc::EPERM),
    ("vsock", libc::SYS_socket, "40,1,0", libc::EAFNOSUPPORT),
    ("crypto", libc::SYS_socket, "38,5,0", libc::EAFNOSUPPORT),
    ("bluetooth", libc::SYS_socket, "31,3,0", libc::EAFNOSUPPORT),
];

/// Carries out calls, a word each, and prints the error of each.
const PROBE: &str = r#"for (@ARGV) { my ($number, @args) = map { /^0x/ ? hex : $_ + 0 } split /,/; push @args, 0 while @args < 5; $! = 0;
my $done = syscall($number, @args); print $done == -1 ? $! + 0 : "done", "\n"; }"#;

fn spec(name: &str, argv: &[&str]) -> Spec {
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("limits-{name}"));
    std::fs::create_dir_all(root.join("usr")).unwrap();
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        let _ = std::os::unix::fs::symlink(target, root.join(link));
    }
    Spec {
        root: Root::ReadOnly(root),
        mounts: vec![Mount { source: "/usr".into(), target: "/usr".into(), readonly: true }],
        ids: SandboxIds::Single,
        privileges: Privileges::Build,
        env: BTreeMap::from([("PATH", "/usr/bin"), ("LC_ALL", "C")].map(|(a, b)| (a.to_owned(), b.to_owned()))),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        directories: Vec::new(),
        hostname: HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: PathBuf::from("/tmp"),
    }
}

fn shell(name: &str, script: &str) -> Spec {
    spec(name, &["/bin/sh", "-ec", script])
}

/// What was heard of a sandbox, and how it ended: `None`, said aloud, where this machine allows none.
struct Run {
    lines: Vec<String>,
    notices: Vec<String>,
    end: Result<std::process::ExitStatus, SandboxError>,
}

fn run(spec: &Spec, limits: Limits) -> Option<Run> {
    let (mut lines, mut notices) = (Vec::new(), Vec::new());
    let end = sandbox::run_within(spec, &limits, &mut |heard| match heard {
        SandboxEvent::Line(line) => lines.push(line.to_owned()),
        SandboxEvent::Notice(notice) => notices.push(notice.to_owned()),
    });
    if let Err(error @ (SandboxError::NoUserNamespace { .. } | SandboxError::NoIdRange { .. })) = &end {
        skip(error);
        return None;
    }
    println!("{lines:?} {notices:?} {end:?}");
    Some(Run { lines, notices, end })
}

fn limits(word: &str) -> Limits {
    Limits::default().with(word.parse().unwrap())
}

/// The bound that ended it.
fn exceeded(run: &Run) -> &Exceeded {
    match &run.end {
        Err(SandboxError::Limit(exceeded)) => exceeded,
        other => panic!("{other:?} {:?}", run.lines),
    }
}

#[test]
fn every_call_of_the_table_is_refused_with_its_error() {
    for kind in [FilterKind::Step, FilterKind::Machine] {
        let table = refused(kind).map(|call| (call.name, call.number.to_string(), call.error));
        let judged = JUDGED.iter().map(|(name, number, args, error)| (*name, format!("{number},{args}"), *error));
        let all: Vec<_> = table.chain(judged).collect();
        let mut spec = spec("calls", &["/usr/bin/perl", "-e", PROBE]);
        spec.argv.extend(all.iter().map(|(_, words, _)| words.clone()));
        let streams = Streams { stdin: Stdio::null(), stdout: Stdio::piped(), stderr: Stdio::inherit() };
        let text = match kind {
            FilterKind::Step => match run(&spec, Limits::default()) {
                Some(run) => run.lines.join("\n"),
                None => return,
            },
            FilterKind::Machine => {
                let mut running = sandbox::spawn(&spec, streams).unwrap();
                let text = std::io::read_to_string(running.stdout.take().unwrap()).unwrap();
                assert!(running.wait().unwrap().success());
                text
            }
        };
        let errors: Vec<&str> = text.lines().collect();
        assert_eq!(errors.len(), all.len(), "{text}");
        for ((name, _, error), found) in all.iter().zip(errors) {
            assert_eq!(found, error.to_string(), "{kind:?}: {name}");
        }
    }
}

/// The errors above are also what a kernel says for reasons of its own; this is what the filter is known by.
#[test]
fn programs_run_under_a_filter_and_ordinary_calls_go_through_it() {
    let probe = format!("{PROBE} open F, '/proc/self/status'; print grep /^(Seccomp|CapBnd)/, <F>;");
    // getpid, unshare of nothing, an Internet socket, the size of the terminal, clone as fork does it is perl's own.
    let calls = [
        libc::SYS_getpid.to_string(),
        format!("{},0", libc::SYS_unshare),
        format!("{},2,1,0", libc::SYS_socket),
        format!("{},0,0x5413,0", libc::SYS_ioctl),
    ];
    let mut argv = vec!["/usr/bin/perl", "-e", &probe];
    argv.extend(calls.iter().map(String::as_str));
    let Some(run) = run(&spec("ordinary", &argv), Limits::default()) else { return };
    let text = run.lines.join("\n");
    assert!(text.contains("Seccomp:\t2"), "{text}");
    assert_eq!(run.lines[..4], ["done", "done", "done", &libc::ENOTTY.to_string()]);
}

/// A program of 32 bits, and one of x32, by the machine code of one call; the error is its exit code.
#[cfg(target_arch = "x86_64")]
#[test]
fn other_abis_of_the_processor_are_not_there() {
    // mov eax, 20 (getpid); int 0x80 | mov eax, 0x40000027 (getpid of x32); syscall; then exit(-eax).
    let calls: [&[u8]; 2] = [b"\xb8\x14\0\0\0\xcd\x80", b"\xb8\x27\0\0\x40\x0f\x05"];
    for (at, call) in calls.into_iter().enumerate() {
        let code = [call, b"\x89\xc7\xf7\xdf\xb8\x3c\0\0\0\x0f\x05"].concat();
        let mut spec = spec(&format!("abi{at}"), &["/in/probe"]);
        let Root::ReadOnly(root) = &spec.root else { unreachable!() };
        let file = root.with_extension("probe");
        super::executable::write(&file, elf(&code));
        spec.mounts.push(Mount { source: file, target: "/in/probe".into(), readonly: true });
        let Some(run) = run(&spec, Limits::default()) else { return };
        assert_eq!(run.end.unwrap().code(), Some(libc::ENOSYS), "{at}");
    }
}

/// A static program of one segment.
#[cfg(target_arch = "x86_64")]
fn elf(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let size = 120 + code.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    [BASE + 120, 64, 0].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0");
    [0, BASE, BASE, size, size, 0x1000].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(code);
    bytes
}

/// `/proc/keys` shows a key whose owner may not even see it to those alone that possess it.
#[test]
fn keys_of_the_caller_stay_with_the_caller() {
    let name = format!("kiln-test-key-{}", std::process::id());
    let description = std::ffi::CString::new(name.clone()).unwrap();
    // SAFETY: the pointers are of strings that live through the calls. They change this thread's credentials alone.
    let key = unsafe {
        // A session keyring of this thread's own, so that nothing is left in the one of whoever runs the tests.
        libc::syscall(libc::SYS_keyctl, 1, std::ptr::null::<u8>());
        let (kind, payload) = (c"user".as_ptr(), c"canary".as_ptr());
        let key = libc::syscall(libc::SYS_add_key, kind, description.as_ptr(), payload, 6, -3);
        // KEYCTL_SETPERM: everything for the possessor, nothing for anybody else.
        if key >= 0 { libc::syscall(libc::SYS_keyctl, 5, key, 0x3f00_0000) } else { key }
    };
    if key < 0 || !std::fs::read_to_string("/proc/keys").is_ok_and(|keys| keys.contains(&name)) {
        return skip("this kernel, or this container, has no keys");
    }
    let Some(run) = run(&spec("keys", &["/bin/cat", "/proc/keys"]), Limits::default()) else { return };
    assert!(run.end.unwrap().success());
    assert!(!run.lines.iter().any(|line| line.contains(&name)), "{:?}", run.lines);
}

#[test]
fn a_fork_bomb_ends_with_a_word_about_processes() {
    let bomb = shell("bomb", "i=0; while [ $i -lt 400 ]; do sleep 100 & i=$((i+1)); done; sleep 100");
    let Some(run) = run(&bomb, limits("processes=60")) else { return };
    assert_eq!((exceeded(&run).bound, exceeded(&run).limit), (Bound::Processes, 60));
    let text = exceeded(&run).to_string();
    assert!(text.contains("its limit of 60 processes") && text.contains("--limit processes=120"), "{text}");
}

#[test]
fn a_hog_ends_with_a_word_about_memory() {
    let hog =
        "my @all; for (1..400) { push @all, 'x' x (1 << 20); select undef, undef, undef, 0.01 } print 'all'; sleep 100";
    let Some(run) = run(&spec("hog", &["/usr/bin/perl", "-e", hog]), limits("memory=96MiB")) else { return };
    assert_eq!((exceeded(&run).bound, exceeded(&run).limit), (Bound::Memory, 96 << 20));
    let text = exceeded(&run).to_string();
    assert!(text.contains("its memory limit of 96.0 MiB") && text.contains("--limit memory=192MiB"), "{text}");
}

/// Memory that is no process's: a file that was never anywhere.
#[test]
fn memory_files_are_memory() {
    let script = format!(
        "$fd = syscall({}, my $name = 'x', 0); open F, '>&=', $fd; for (1..200) {{ syswrite F, 'x' x (1 << 20) }} sleep 100",
        libc::SYS_memfd_create
    );
    let Some(run) = run(&spec("memfd", &["/usr/bin/perl", "-e", &script]), limits("memory=96MiB")) else { return };
    assert_eq!(exceeded(&run).bound, Bound::Memory);
}

#[test]
fn file_systems_in_memory_are_full_before_the_memory_is() {
    let script = "for at in /tmp /dev/shm; do cat /dev/zero >$at/x 2>/dev/null || true; stat -c %s $at/x; rm $at/x; done; \
                  i=0; while [ $i -lt 100000 ] && true 2>/dev/null >/tmp/$i; do i=$((i+1)); done; echo $i";
    let Some(run) = run(&shell("full", script), limits("memory=64MiB")) else { return };
    let sizes: Vec<u64> = run.lines.iter().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(sizes[..2], [16 << 20, 8 << 20]);
    assert!((1000..2100).contains(&sizes[2]), "files: {sizes:?}");
}

#[test]
fn what_fills_the_disk_ends_with_a_word_about_it() {
    fills_the_disk("disk", "head -c 80M /dev/urandom >/out/x; sleep 100");
}

#[test]
fn a_file_without_a_name_fills_the_disk_as_well() {
    fills_the_disk("unlinked", "exec 3>/out/x; rm /out/x; head -c 80M /dev/urandom >&3; sleep 100");
}

/// A path of six thousand bytes, which no call takes whole, so that only the free space of the disk tells. The file grows, for whoever
/// frees as much elsewhere at that moment hides it.
#[test]
fn a_file_too_deep_to_be_found_fills_the_disk_as_well() {
    let deep = "$d = 'x' x 200; chdir '/out'; for (1..30) { mkdir $d; chdir $d or die } open F, '>', 'y' or die; \
                for (1..12) { print F 'x' x (80 << 20); F->flush(); sleep 8 }";
    fills_the_disk("deep", &format!("exec perl -e '{}'", deep.replace('\'', "\"")));
}

fn fills_the_disk(name: &str, script: &str) {
    let mut spec = shell(name, script);
    let Root::ReadOnly(root) = &spec.root else { unreachable!() };
    let out = root.with_extension("out");
    std::fs::create_dir_all(&out).unwrap();
    if rustix::fs::statfs(&out).unwrap().f_type == 0x0102_1994 {
        return skip("the directory for temporary files is in memory on this machine");
    }
    spec.mounts.push(Mount { source: out.clone(), target: "/out".into(), readonly: false });
    let ended = run(&spec, limits("disk=20MiB"));
    let removed = std::process::Command::new("rm").arg("-rf").arg(&out).status();
    assert!(removed.unwrap().success());
    let Some(run) = ended else { return };
    assert_eq!(exceeded(&run).bound, Bound::Disk);
    assert!(exceeded(&run).to_string().contains("--limit disk=40MiB"));
}

#[test]
fn who_waits_for_nothing_is_named_and_then_ended() {
    let spec = shell("silent", "mkfifo pipe; exec 3<>pipe; read line <&3");
    let Some(run) = run(&spec, limits("silence=6s")) else { return };
    assert_eq!(exceeded(&run).bound, Bound::Silence);
    let text = exceeded(&run).to_string();
    for words in ["printed anything for 6s: sh (pid 2) waits in read of fd 0 (/tmp/pipe)", "--limit silence=12s"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(run.notices[0].contains("waits in read") && run.notices[0].contains(" for "), "{:?}", run.notices);
}

#[test]
fn a_word_now_and_then_is_enough() {
    let spec = shell("slow", "for i in 1 2 3 4 5 6 7 8; do sleep 1; echo $i; done");
    let Some(run) = run(&spec, limits("silence=6s")) else { return };
    assert!(run.end.unwrap().success());
    assert_eq!(run.lines.len(), 8);
}

/// A function of kiln that runs `spec` in a sandbox within its own, where it sees what the spec shows under other names.
fn within(spec: &mut Spec, limits: Limits) -> Call<'static> {
    spec.ids = SandboxIds::Inherit;
    let mut mounts = Vec::new();
    let mut show = |source: &mut PathBuf, readonly| {
        let target = PathBuf::from(format!("/shown/{}", mounts.len()));
        mounts.push(Mount { source: source.clone(), target: target.clone(), readonly });
        *source = target;
    };
    if let Root::ReadOnly(root) = &mut spec.root {
        show(root, true);
    }
    spec.mounts.iter_mut().for_each(|mount| show(&mut mount.source, mount.readonly));
    let argument = serde_json::to_string(&spec).unwrap();
    Call { ids: SandboxIds::Range, entry: sandbox::inside::NESTED, argument, mounts, limits }
}

#[test]
fn a_sandbox_within_another_is_watched_by_it() {
    let mut spec = shell("within", "echo begun; exec sleep 100");
    let mut heard = Vec::new();
    let result = sandbox::call(within(&mut spec, limits("silence=6s")), &mut |said| heard.push(said.text().to_owned()));
    match result {
        Err(error @ (SandboxError::NoUserNamespace { .. } | SandboxError::NoIdRange { .. })) => skip(error),
        Err(SandboxError::Limit(exceeded)) => {
            assert!(
                exceeded.detail.contains("sleep (pid ") && exceeded.detail.contains("waits in sleep"),
                "{exceeded}"
            );
            assert!(heard.iter().any(|line| line.contains("sleep (pid ") && line.contains(" for ")), "{heard:?}");
        }
        other => panic!("{other:?} {heard:?}"),
    }
}

#[test]
fn limits_go_on_into_a_sandbox_within_another() {
    let mut spec = shell("sizes", "stat -f -c '%b %S' /tmp");
    let mut heard = Vec::new();
    let call = within(&mut spec, limits("memory=256MiB"));
    match sandbox::call(call, &mut |said| heard.push(said.text().to_owned())) {
        Err(error @ (SandboxError::NoUserNamespace { .. } | SandboxError::NoIdRange { .. })) => return skip(error),
        result => result.unwrap(),
    }
    let words: Vec<u64> = heard[0].split(' ').map(|word| word.parse().unwrap()).collect();
    assert_eq!(words[0] * words[1], 64 << 20);
}

/// Threads, child processes, pipes, locks and what a compiler does, where the host has one.
#[test]
fn ordinary_work_goes_on_under_the_filter() {
    let script = r#"
        perl -e 'for (1..20) { fork || exit 0 } 1 while wait > 0; print "forked\n"'
        echo piped | cat | sort
        ( flock 9 && echo locked ) 9>/tmp/lock
        su --version >/dev/null && echo su
        command -v gcc >/dev/null || { echo threads; exit 0; }
        printf '%s\n' '#include <pthread.h>' '#include <stdio.h>' 'static void *f(void *x) { return x; }' \
            'int main(void) { pthread_t t; if (pthread_create(&t, 0, f, "threads")) return 1;' \
            'void *x; pthread_join(t, &x); puts(x); return 0; }' >t.c
        gcc -O2 -pthread -o t t.c && ./t"#;
    let Some(run) = run(&shell("ordinary-work", script), Limits::default()) else { return };
    assert_eq!(run.lines, ["forked", "piped", "locked", "su", "threads"]);
    assert!(run.end.unwrap().success());
}

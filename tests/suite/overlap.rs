//! Downloads beside steps: nothing waits for what it does not read, and what fails ends everything else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use kiln::base::Digest;
use kiln::exec::event::{StepEvent, StepListener};
use kiln::exec::executor::LocalExecutor;
use kiln::exec::{self, ExecError, ExecOptions, Outlook, Realized, RefusedOutputs, Services, StepJudge};
use kiln::plan::step::FetchPlace;
use kiln::plan::{Fetch, Input};
use kiln::store::Output;
use kiln::world::RealWorld;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::failure_support::{Lab, refused, text};
use super::schedule::{Bench, inline};

/// What happened, and somebody to wait for it.
#[derive(Default)]
struct Stage {
    said: Mutex<Vec<String>>,
    /// Bytes of files that are to be fetched, and those that were.
    fetching: Mutex<[u64; 2]>,
    more: Condvar,
}

impl Stage {
    fn wait_for(&self, word: &str) {
        let said = self.said.lock().unwrap();
        let lacks = |said: &mut Vec<String>| !said.iter().any(|known| known == word);
        let (said, waited) = self.more.wait_timeout_while(said, Duration::from_secs(60), lacks).unwrap();
        assert!(!waited.timed_out(), "`{word}` never happened: {said:?}");
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().drain(..).collect()
    }
}

impl StepListener for Stage {
    fn on(&self, event: StepEvent) {
        let word = match event {
            StepEvent::Planned(outlook) => format!("planned {outlook:?}"),
            StepEvent::StepStarted { step, .. } => format!("{step} started"),
            StepEvent::StepFinished { step, .. } => format!("{step} finished"),
            StepEvent::Fetched { label } => format!("{label} fetched"),
            StepEvent::FetchPlanned { bytes, .. } => return self.fetching.lock().unwrap()[0] += bytes,
            StepEvent::FetchProgress { bytes } => return self.fetching.lock().unwrap()[1] += bytes,
            _ => return,
        };
        self.said.lock().unwrap().push(word);
        self.more.notify_all();
    }
}

/// A server on loopback that answers every request so; its address.
fn server(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/file", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
                answer(&mut stream);
            });
        }
    });
    address
}

fn send(stream: &mut TcpStream, status: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client that hangs up early is its own business.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

/// Adds a file to a plan that is fetched from this address.
fn fetched(bench: &mut Bench, name: &str, body: &[u8], url: &str) -> Input {
    let (label, digest, size) = (name.to_owned(), Digest::of(body), body.len() as u64);
    bench.plan.fetches.insert(digest, Fetch { label, size, digest, place: FetchPlace::Url(url.to_owned()) });
    Input::Fetched(digest)
}

fn realize(bench: &Bench, stage: &Stage, judge: &dyn StepJudge) -> Result<Realized, ExecError> {
    let mirrors = |place: &FetchPlace| match place {
        FetchPlace::Url(url) => vec![url.clone()],
        FetchPlace::Repository { .. } | FetchPlace::Recipe(_) => Vec::new(),
    };
    let (store, world, executor) = (&bench.store, &RealWorld::default(), &LocalExecutor);
    let services = Services { store, world, mirrors: &mirrors, executor, caches: None, listener: stage };
    let options = ExecOptions { jobs: Some(2), ..ExecOptions::default() };
    exec::realize_judged(&bench.plan, &services, &options, judge)
}

struct Lenient;

impl StepJudge for Lenient {
    fn judge(
        &self,
        _: usize,
        _: &BTreeMap<String, Output>,
        _: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RefusedOutputs> {
        Ok(())
    }
}

/// Nothing that a step was working on is left.
fn is_clean(bench: &Bench) {
    for session in std::fs::read_dir(bench.store.root().join("tmp")).unwrap() {
        let session = session.unwrap().path();
        if session.is_dir() {
            let left: Vec<_> = std::fs::read_dir(&session).unwrap().collect();
            assert!(left.iter().all(|entry| !entry.as_ref().unwrap().path().is_dir()), "{left:?}");
        }
    }
}

#[test]
fn a_step_runs_while_what_another_reads_is_still_downloaded() {
    let Some(mut bench) = Bench::new("overlap") else { return };
    let stage = Arc::new(Stage::default());
    let seen = stage.clone();
    // The file ends when the step has, so that a step which waits for the file is found.
    let url = server(move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab").unwrap();
        seen.wait_for("kernel-build one finished");
        stream.write_all(b"cd").unwrap();
    });
    let late = fetched(&mut bench, "late", b"abcd", &url);
    let two = bench.step("two", "cat /kiln/in/late >out", &[("late", late)]);
    let one = bench.step("one", "cat /kiln/in/x >out", &[("x", inline("x"))]);
    bench.deliver(one);
    bench.deliver(two);
    let realized = realize(&bench, &stage, &Lenient).unwrap();
    assert_eq!(bench.content(&realized, two), "abcd");
    let said = stage.said();
    let at = |word: &str| said.iter().position(|known| known == word).unwrap();
    assert!(at("kernel-build one finished") < at("late fetched"), "{said:?}");
    assert!(at("late fetched") < at("kernel-build two started"), "{said:?}");
}

#[test]
fn a_download_that_fails_ends_the_steps_that_run_and_leaves_nothing_of_them() {
    let Some(mut bench) = Bench::new("overlap-fails") else { return };
    let stage = Arc::new(Stage::default());
    let seen = stage.clone();
    let url = server(move |stream| {
        seen.wait_for("kernel-build long started");
        send(stream, "404 Not Found", b"");
    });
    let lost = fetched(&mut bench, "lost", b"abcd", &url);
    let reader = bench.step("reader", "cat /kiln/in/lost >out", &[("lost", lost)]);
    let long = bench.step("long", "echo begun >out; sleep 600", &[]);
    bench.deliver(reader);
    bench.deliver(long);
    let error = realize(&bench, &stage, &Lenient).unwrap_err();
    assert!(matches!(&error, ExecError::Fetch { label, .. } if label == "lost"), "{error}");
    let said = stage.said();
    assert!(said.contains(&"kernel-build long started".to_owned()), "{said:?}");
    assert!(!said.iter().any(|word| word.ends_with(" finished")), "{said:?}");
    is_clean(&bench);

    // The next build begins it anew, and has its sandboxes.
    bench.plan.steps.truncate(long);
    bench.plan.artifacts.truncate(1);
    let url = server(|stream| send(stream, "200 OK", b"abcd"));
    fetched(&mut bench, "lost", b"abcd", &url);
    let realized = realize(&bench, &stage, &Lenient).unwrap();
    assert_eq!(bench.content(&realized, reader), "abcd");
}

/// Refuses what one step leaves, when another one runs.
struct Strict<'a> {
    stage: &'a Stage,
    step: usize,
}

impl StepJudge for Strict<'_> {
    fn judge(
        &self,
        step: usize,
        outputs: &BTreeMap<String, Output>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RefusedOutputs> {
        if step != self.step {
            return Ok(());
        }
        assert!(outputs.contains_key("out") && !stop());
        self.stage.wait_for("kernel-build long started");
        Err(RefusedOutputs)
    }
}

#[test]
fn what_a_step_left_can_end_a_build_from_cache_as_well() {
    let Some(mut bench) = Bench::new("overlap-refused") else { return };
    let stage = Stage::default();
    let step = bench.step("one", "echo bad >out", &[]);
    bench.deliver(step);
    realize(&bench, &stage, &Lenient).unwrap();
    let long = bench.step("long", "sleep 600", &[]);
    bench.deliver(long);
    stage.said();
    let error = realize(&bench, &stage, &Strict { stage: &stage, step }).unwrap_err();
    assert!(matches!(error, ExecError::Refused), "{error}");
    assert_eq!(stage.said(), ["kernel-build long started"]);
    is_clean(&bench);
}

#[test]
fn what_will_be_fetched_and_unpacked_is_told_first_and_only_then() {
    let Some(mut bench) = Bench::new("overlap-told") else { return };
    let url = server(|stream| send(stream, "200 OK", b"abcd"));
    let (there, new) = (fetched(&mut bench, "there", b"abcde", &url), fetched(&mut bench, "new", b"abcd", &url));
    bench.store.put(b"abcde").unwrap();
    // No step reads it.
    fetched(&mut bench, "other", b"abc", &url);
    let one = bench.step("one", "cat /kiln/in/a.deb /kiln/in/b >out", &[("a.deb", there), ("b", new.clone())]);
    let two = bench.step("two", "cat /kiln/in/x.deb /kiln/in/x.deb >out", &[("x.deb", new)]);
    bench.deliver(one);
    bench.deliver(two);
    let stage = Stage::default();
    realize(&bench, &stage, &Lenient).unwrap();
    let outlook = Outlook {
        files: 1,
        bytes: 4,
        files_present: 1,
        bytes_present: 5,
        packages: 2,
        packages_bytes: 9,
        at_most: false,
    };
    assert_eq!(stage.said()[0], format!("planned {outlook:?}"));
    // Both steps wait for the file that is fetched, which is told once.
    assert_eq!(*stage.fetching.lock().unwrap(), [4, 4]);
    // What made them is gone, and nobody needs it.
    std::fs::remove_file(bench.store.path(&Digest::of(b"abcd")).unwrap()).unwrap();
    realize(&bench, &stage, &Lenient).unwrap();
    assert_eq!(stage.said(), Vec::<String>::new());
}

#[test]
fn what_an_earlier_download_has_left_is_neither_fetched_nor_told_again() {
    let Some(mut bench) = Bench::new("overlap-begun") else { return };
    let url = server(|stream| {
        let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-3/4\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";
        stream.write_all(&[head.as_bytes(), b"d"].concat()).unwrap();
    });
    let file = fetched(&mut bench, "begun", b"abcd", &url);
    let part = bench.store.part_path(&Digest::of(b"abcd"));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, b"abc").unwrap();
    let step = bench.step("one", "cat /kiln/in/x >out", &[("x", file)]);
    bench.deliver(step);
    let stage = Stage::default();
    let realized = realize(&bench, &stage, &Lenient).unwrap();
    assert_eq!(bench.content(&realized, step), "abcd");
    let said = stage.said();
    assert!(said[0].starts_with("planned Outlook { files: 1, bytes: 1, "), "{said:?}");
    // Of the four bytes that the step waits for, three were there.
    assert_eq!(*stage.fetching.lock().unwrap(), [4, 4]);
}

/// What a build says on a terminal of this kind.
fn on_terminal(lab: &Lab, kind: &str) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
    rustix::termios::tcsetwinsize(&theirs, Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut command = lab.kiln();
    command.env("KILN_STORE", lab.directory.join(kind)).env("TERM", kind).args(["build", "tiny.kiln"]);
    let mut build = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs).spawn().unwrap();
    // The terminal ends with the last of those who have it open.
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut said, mut terminal) = (Vec::new(), std::fs::File::from(ours));
        // Whoever reads hears of the end as an error.
        let _ = terminal.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    assert!(!build.wait().unwrap().success());
    reader.join().unwrap()
}

#[test]
fn a_terminal_that_cannot_draw_is_told_in_lines() {
    let lab = Lab::new("overlap-terminal");
    let [dumb, other] = ["dumb", "xterm"].map(|kind| on_terminal(&lab, kind));
    for said in [&dumb, &other] {
        assert!(said.contains("to download: ") && said.contains("failed here"), "{said}");
    }
    assert!(dumb.contains("fetch: ") && !dumb.contains('\x1b'), "{dumb}");
    assert!(other.contains('\x1b'), "nothing was drawn: {other}");
}

#[test]
fn a_build_says_what_it_downloads_and_a_plan_says_the_same() {
    let lab = Lab::new("overlap-line");
    let plan = lab.kiln().args(["plan", "tiny.kiln", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let [files, packages] = ["files_missing", "packages_unpacked"].map(|name| plan[name].as_u64().unwrap());
    assert!(files > 4 && packages >= files, "{plan}");
    // No package of this archive is a real one, so that the build fails soon.
    let build = lab.kiln().args(["build", "tiny.kiln"]).output().unwrap();
    assert!(!build.status.success());
    let said = text(&build);
    let told = format!("to download: {files} files, ");
    assert!(said.starts_with(&told) && said.contains(&format!("; to unpack: {packages} packages, ")), "{said}");
    assert_eq!(said.matches("to download").count(), 1, "{said}");
    let mut offline = lab.kiln();
    offline.env("KILN_STORE", lab.directory.join("empty"));
    let offline = offline.args(["build", "--offline", "tiny.kiln"]).output().unwrap();
    refused(&offline, 4, &["--offline forbids fetching"]);
    assert!(!text(&offline).contains("to download"), "{}", text(&offline));
}

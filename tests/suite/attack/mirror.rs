//! Mirrors that lead elsewhere, never end, or say too much.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::ground::{Ground, Image, run, run_within};
use super::served::Trap;
use super::tally::{Attack, Front, Tally};
use crate::suite::live::{SELDOM, has_its_turn, live};

pub(super) static FRONT: Front = Front {
    name: "mirror",
    packages: |_| Vec::new(),
    attacks: &[
        Attack { row: 14, name: "mirror-redirects", run: redirects },
        Attack { row: 14, name: "mirror-long-answers", run: long_answers },
        Attack { row: 14, name: "mirror-slow-bodies", run: slow },
    ],
};

/// A mirror somewhere in the world, seen through a proxy, that sends one file's reader to another address.
fn redirecting(ground: &Ground, end: &'static str, status: &'static str, to: String) -> Trap {
    let files: BTreeMap<String, Vec<u8>> =
        ground.archive.files().into_iter().map(|(path, bytes)| (format!("/debian/{path}"), bytes)).collect();
    Trap::answering(move |path, stream| {
        let _ = match files.get(path) {
            Some(_) if path.ends_with(end) => {
                let head = format!(
                    "HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes())
            }
            Some(bytes) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
                stream.write_all(&[head.as_bytes(), bytes].concat())
            }
            None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        };
    })
}

fn redirects(ground: &Ground, tally: &mut Tally) {
    ground.recipe("away", &Image::default());
    let secret = Trap::new();
    let port = secret.port();
    let hosts = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("127.1:{port}"),
        format!("0.0.0.0:{port}"),
        format!("2130706433:{port}"),
    ];
    for (number, host) in hosts.iter().enumerate() {
        let ends = if number == 0 { &["InRelease", "", "_amd64.deb"][..] } else { &["InRelease"] };
        for end in ends {
            let status = ["301", "302", "303", "307", "308"][number % 5];
            let mirror = redirecting(ground, end, status, format!("http://{host}/latest/meta-data/"));
            let store = ground.path(&format!("away-{number}-{}", end.len()));
            let proxy = mirror.url();
            let kiln = |words: &[&str]| {
                let mut kiln = ground.kiln();
                kiln.env("KILN_STORE", &store).env("KILN_MIRROR", "http://mirror.example").env("ALL_PROXY", &proxy);
                kiln.env("http_proxy", &proxy)
                    .env("NO_PROXY", "127.0.0.1,localhost,::ffff:127.0.0.1,127.1,0.0.0.0,2130706433");
                run_within(kiln.args(words), Duration::from_secs(60))
            };
            let locked = kiln(&["lock", "away.kiln"]);
            let fetched = (locked.code == Some(0)).then(|| kiln(&["verify", "--inputs", "away.kiln"]));
            let visits = secret.visits();
            let asked = visits.first().map(|line| format!("a service of this machine was asked: {line}"));
            // The mirror itself must have been asked, or nothing was tried.
            let silent = mirror.visits().is_empty().then(|| format!("the mirror was never asked: {}", locked.text()));
            let broken = locked.broken().or_else(|| fetched.as_ref().and_then(|ended| ended.broken()));
            tally.case(&format!("{status} of *{end} to {host}"), asked.or(silent).or(broken));
            if !visits.is_empty() {
                return;
            }
        }
    }
}

/// What is wrong with an answer is said in a line, not with the answer.
fn long_answers(ground: &Ground, tally: &mut Tally) {
    ground.recipe("long", &Image::default());
    let release = String::from_utf8(ground.archive.files()["dists/trixie/InRelease"].clone()).unwrap();
    let filler = "x".repeat(3 << 20);
    let armored = release.replace("\n\n", &format!("\nComment: {filler}\n\n"));
    let huge_field = release.replacen("Origin: Test", &format!("Origin: {filler}"), 1);
    let head = release.replacen("Hash: ", &format!("Hash: {filler}"), 1);
    let suite = release.replacen("Suite: trixie", &format!("Suite: {filler}"), 1);
    for (way, text) in [
        ("armour headers", armored),
        ("a field", huge_field),
        ("the Hash header", head),
        ("the suite", suite),
        ("no release at all", filler.clone()),
    ] {
        let mirror = Trap::answering(move |_, stream| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            let _ = stream.write_all(&[head.as_bytes(), text.as_bytes()].concat());
        });
        let ended = run(ground.kiln().env("KILN_MIRROR", mirror.url()).args(["lock", "long.kiln", "--update"]));
        let long = (ended.stderr.len() > 64 << 10).then(|| format!("the error has {} bytes", ended.stderr.len()));
        let accepted = (ended.code == Some(0)).then(|| "it was accepted".to_owned());
        tally.case(&format!("3 MiB in {way}"), long.or(accepted).or(ended.broken()));
    }
    let status = format!("HTTP/1.1 500 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "x".repeat(60 << 10));
    let mirror = Trap::answering(move |_, stream| _ = stream.write_all(status.as_bytes()));
    let ended = run(ground.kiln().env("KILN_MIRROR", mirror.url()).args(["lock", "long.kiln", "--update"]));
    let long = (ended.stderr.len() > 64 << 10).then(|| format!("the error has {} bytes", ended.stderr.len()));
    tally.case("a long status line", long.or(ended.broken()));
}

/// A body of one byte now and then is given up; seldom, for it takes the patience of kiln itself.
fn slow(ground: &Ground, tally: &mut Tally) {
    let what = "mirrors that send a byte every two seconds";
    if !live(what) || !has_its_turn("slow-bodies", &SELDOM) {
        return tally.skip("slow bodies take minutes: KILN_LIVE=1 KILN_ONLY=slow-bodies");
    }
    ground.recipe("slow", &Image::default());
    let mirror = Trap::answering(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    let mut kiln = ground.kiln();
    let ended = run_within(
        kiln.env("KILN_MIRROR", mirror.url()).args(["lock", "slow.kiln", "--update"]),
        // It is asked three times, and given a minute each time.
        Duration::from_secs(300),
    );
    tally.case("a byte every two seconds", ended.broken());
}

//! Fetching from servers that misbehave, over loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln::base::Digest;
use kiln::exec::ExecError;
use kiln::exec::event::IgnoreSteps;
use kiln::exec::fetch::Fetcher;
use kiln::plan::Fetch;
use kiln::plan::step::FetchPlace;
use kiln::store::Store;
use kiln::world::RealWorld;

use super::store::scratch;

/// What a server does with a request for a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Honest,
    IgnoresRanges,
    /// Sends so many bytes of what was asked for, then hangs up; announces all.
    Truncates(usize),
    /// Sends so many bytes, and begins anew with half as many where it is asked for what follows them.
    ComesAndGoes(usize),
    /// Says nothing of lengths, and sends more.
    Overflows,
    /// Other bytes of the same number.
    Lies,
    Missing,
}

struct Server {
    address: String,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Server {
    fn start(body: &[u8], manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        let (requests, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (body, counts) = (body.to_vec(), (requests.clone(), sent.clone()));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counts.0.fetch_add(1, Ordering::SeqCst);
                counts.1.fetch_add(answer(stream.unwrap(), &body, manner), Ordering::SeqCst);
            }
        });
        Server { address, requests, sent }
    }
}

/// Answers one request; how many bytes of body it sent.
fn answer(mut stream: TcpStream, body: &[u8], manner: Manner) -> usize {
    let mut from = 0;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap_or_default().to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let (status, start) = match manner {
        Manner::Missing => ("404 Not Found", body.len()),
        Manner::IgnoresRanges => ("200 OK", 0),
        Manner::ComesAndGoes(bytes) if from >= bytes => ("200 OK", 0),
        _ if from > 0 => ("206 Partial Content", from),
        _ => ("200 OK", 0),
    };
    let mut rest = body[start..].to_vec();
    let length = format!("Content-Length: {}\r\n", rest.len());
    match manner {
        Manner::Truncates(bytes) => rest.truncate(bytes),
        Manner::ComesAndGoes(bytes) if from >= bytes => rest.truncate(bytes / 2),
        Manner::ComesAndGoes(bytes) => rest.truncate(bytes),
        Manner::Overflows => rest.extend_from_slice(&[0; 100_000]),
        Manner::Lies => rest.iter_mut().for_each(|byte| *byte ^= 1),
        _ => {}
    }
    let length = if manner == Manner::Overflows { "" } else { &length };
    let range = if status.starts_with("206") {
        format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len())
    } else {
        String::new()
    };
    let head = format!("HTTP/1.1 {status}\r\n{length}{range}Connection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&rest));
    rest.len()
}

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(|number| number.to_le_bytes()).collect()
}

fn wanted(body: &[u8]) -> Fetch {
    Fetch {
        label: "bash 5.2.37-2 (amd64)".to_owned(),
        size: body.len() as u64,
        digest: Digest::of(body),
        place: FetchPlace::Url("where".to_owned()),
    }
}

/// Fetches from the servers, in this order.
fn fetch(store: &Store, servers: &[&Server], fetches: &[Fetch]) -> Result<(), ExecError> {
    let urls: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let (mirrors, world) = (|_: &FetchPlace| urls.clone(), RealWorld::default());
    let all: Vec<&Fetch> = fetches.iter().collect();
    Fetcher::new(store, &world, &mirrors, &IgnoreSteps, &|| false).fetch(&all)
}

struct Bench(std::path::PathBuf, Option<Store>);

impl Bench {
    fn new(name: &str) -> Bench {
        let root = scratch(name);
        let store = Store::open(&root).unwrap();
        Bench(root, Some(store))
    }

    fn store(&self) -> &Store {
        self.1.as_ref().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.1.take());
        kiln::world::fs::remove_tree(&self.0).unwrap();
    }
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let (bench, body) = (Bench::new("fetch-resume"), body());
    let server = Server::start(&body, Manner::Truncates(500_000));
    fetch(bench.store(), &[&server], &[wanted(&body)]).unwrap();
    assert_eq!(bench.store().read(&Digest::of(&body), 1 << 24).unwrap(), body);
    assert_eq!(server.requests.load(Ordering::SeqCst), 3);
    assert_eq!(server.sent.load(Ordering::SeqCst), body.len(), "no byte twice");
    assert!(!bench.store().part_path(&Digest::of(&body)).exists());
}

#[test]
fn connections_may_end_as_often_as_they_like_as_long_as_bytes_come() {
    let (bench, body) = (Bench::new("fetch-flaky"), body());
    let server = Server::start(&body, Manner::Truncates(100_000));
    fetch(bench.store(), &[&server], &[wanted(&body)]).unwrap();
    assert_eq!(server.requests.load(Ordering::SeqCst), 12);
    assert_eq!(server.sent.load(Ordering::SeqCst), body.len(), "no byte twice");
}

#[test]
fn a_server_that_takes_back_what_it_sent_is_given_up() {
    let (bench, body) = (Bench::new("fetch-comes-and-goes"), body());
    let server = Server::start(&body, Manner::ComesAndGoes(400_000));
    let error = fetch(bench.store(), &[&server], &[wanted(&body)]).unwrap_err().to_string();
    assert!(error.contains("broke off"), "{error}");
    assert!(server.requests.load(Ordering::SeqCst) < 10);
}

#[test]
fn a_server_without_ranges_begins_anew() {
    let (bench, body) = (Bench::new("fetch-range"), body());
    // As an earlier kiln left it when it was killed.
    std::fs::write(bench.store().part_path(&Digest::of(&body)), &body[..1000]).unwrap();
    let server = Server::start(&body, Manner::IgnoresRanges);
    fetch(bench.store(), &[&server], &[wanted(&body)]).unwrap();
    assert!(bench.store().has(&Digest::of(&body)));
}

#[test]
fn a_place_without_the_file_does_not_throw_its_beginning_away() {
    let (bench, body) = (Bench::new("fetch-missing"), body());
    std::fs::write(bench.store().part_path(&Digest::of(&body)), &body[..1000]).unwrap();
    let (missing, honest) = (Server::start(&body, Manner::Missing), Server::start(&body, Manner::Honest));
    fetch(bench.store(), &[&missing, &honest], &[wanted(&body)]).unwrap();
    assert_eq!(honest.sent.load(Ordering::SeqCst), body.len() - 1000);
}

#[test]
fn wrong_bytes_left_by_somebody_are_not_kept() {
    let (bench, body) = (Bench::new("fetch-part"), body());
    std::fs::write(bench.store().part_path(&Digest::of(&body)), vec![7; 1000]).unwrap();
    let server = Server::start(&body, Manner::Honest);
    fetch(bench.store(), &[&server], &[wanted(&body)]).unwrap();
    std::fs::remove_file(bench.store().path(&Digest::of(&body)).unwrap()).unwrap();
    std::fs::write(bench.store().part_path(&Digest::of(&body)), vec![7; body.len() + 1000]).unwrap();
    fetch(bench.store(), &[&server], &[wanted(&body)]).unwrap();
    assert_eq!(bench.store().read(&Digest::of(&body), 1 << 24).unwrap(), body);
}

#[test]
fn bad_mirrors_are_passed_over_and_all_are_named_when_none_is_good() {
    let (bench, body) = (Bench::new("fetch-bad"), body());
    let bad = [Manner::Missing, Manner::Lies, Manner::Overflows, Manner::Truncates(0)];
    let bad: Vec<Server> = bad.iter().map(|manner| Server::start(&body, *manner)).collect();
    let longer = Server::start(&[body.as_slice(), b"x"].concat(), Manner::Honest);
    // Nobody listens here any more.
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        Server { address, requests: Arc::default(), sent: Arc::default() }
    };
    let mut servers: Vec<&Server> = bad.iter().collect();
    servers.extend([&longer, &dead]);
    let error = fetch(bench.store(), &servers, &[wanted(&body)]).unwrap_err().to_string();
    let digest = Digest::of(&body).hex();
    let mut words =
        vec!["bash 5.2.37-2 (amd64)", &digest, "404", "have digest", "more than the expected 1200000 bytes"];
    words.extend(["broke off", "has 1200001 bytes, expected", "kiln lock --gone", "KILN_MIRROR"]);
    words.extend(servers.iter().map(|server| server.address.as_str()));
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
    assert!(!bench.store().has(&Digest::of(&body)));
    let good = Server::start(&body, Manner::Honest);
    servers.push(&good);
    fetch(bench.store(), &servers, &[wanted(&body)]).unwrap();
    assert!(bench.store().has(&Digest::of(&body)));
}

#[test]
fn many_files_arrive_at_the_same_time_and_each_once() {
    let (bench, body) = (Bench::new("fetch-many"), body());
    let server = Server::start(&body, Manner::Honest);
    let same: Vec<Fetch> = (0..20).map(|_| wanted(&body)).collect();
    fetch(bench.store(), &[&server], &same).unwrap();
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
}

#[test]
fn a_server_that_falls_silent_is_given_up_and_whoever_waits_can_be_called_off() {
    let (bench, body) = (Bench::new("fetch-silent"), body());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Part of the body, then nothing, with the connection open.
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n1234").unwrap();
            open.push(stream);
        }
    });
    let (mirrors, world) = (|_: &FetchPlace| vec![url.clone()], RealWorld::default());
    let fetch = wanted(&body);
    let patient = Fetcher::new(bench.store(), &world, &mirrors, &IgnoreSteps, &|| false);
    let error = patient.patient_for(std::time::Duration::from_millis(200)).fetch(&[&fetch]).unwrap_err();
    assert!(error.to_string().contains("sent nothing for"), "{error}");
    let began = std::time::Instant::now();
    let stop = || began.elapsed() > std::time::Duration::from_millis(300);
    let error = Fetcher::new(bench.store(), &world, &mirrors, &IgnoreSteps, &stop).fetch(&[&fetch]).unwrap_err();
    assert!(matches!(error, ExecError::Interrupted), "{error}");
}

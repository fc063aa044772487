//! Servers that limit downloads: left alone as long as they say, asked last, and never by many at a time.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use kiln::base::{Digest, Timestamp};
use kiln::debian::mirror;
use kiln::exec::ExecError;
use kiln::exec::event::IgnoreSteps;
use kiln::exec::fetch::Fetcher;
use kiln::plan::Fetch;
use kiln::plan::step::FetchPlace;
use kiln::store::Store;
use kiln::world::download::ServerWait;
use kiln::world::{HttpRequest, RealWorld, Response, World, WorldError};

use super::failure_support::{Lab, text};
use super::store::scratch;
use super::world_support::real_files_and_clock;

/// The real network, on a machine where waiting takes no time.
struct Quick {
    real: RealWorld,
    service: Option<String>,
    waited: Mutex<Duration>,
}

impl Quick {
    fn new(service: Option<String>) -> Quick {
        Quick { real: RealWorld::default(), service, waited: Mutex::default() }
    }

    fn waited(&self) -> u64 {
        self.waited.lock().unwrap().as_secs()
    }
}

impl World for Quick {
    real_files_and_clock!();

    fn env(&self, name: &str) -> Option<String> {
        self.service.clone().filter(|_| name == "KILN_SNAPSHOT")
    }

    fn wait(&self, time: Duration) {
        *self.waited.lock().unwrap() += time;
    }

    fn get(&self, request: &HttpRequest<'_>) -> Result<Response, WorldError> {
        self.real.get(request)
    }
}

/// How long a test waits for what another thread is to do.
const PATIENCE: Duration = Duration::from_secs(60);
const A_MOMENT: Duration = Duration::from_millis(100);

/// What a server does with one request.
#[derive(Clone)]
enum Turn {
    /// A status line and headers, without a body.
    Says(String),
    /// So many bytes of what was asked for, of all that it announces.
    Sends(usize),
}

fn says(status: &str, headers: &[&str]) -> Turn {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    Turn::Says(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"))
}

/// A server of one file: its turns, the last of which it repeats.
struct Server {
    url: String,
    state: Arc<State>,
}

struct State {
    body: Vec<u8>,
    turns: Mutex<Vec<Turn>>,
    requests: Mutex<Vec<usize>>,
    /// How many are answered at the moment, and how many ever were.
    busy: Mutex<(usize, usize)>,
    more: Condvar,
    /// So many are to be answered at a time once.
    together: usize,
}

impl Server {
    fn start(body: &[u8], turns: &[Turn]) -> Server {
        Server::together(body, turns, 1)
    }

    /// One that answers when so many have asked at the same time, and from then on.
    fn together(body: &[u8], turns: &[Turn], together: usize) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let turns = Mutex::new(turns.iter().rev().cloned().collect());
        let (requests, busy, more) = (Mutex::default(), Mutex::default(), Condvar::new());
        let state = Arc::new(State { body: body.to_vec(), turns, requests, busy, more, together });
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = shared.clone();
                // A client that hangs up early is its own business.
                std::thread::spawn(move || _ = state.answer(stream.unwrap()));
            }
        });
        Server { url, state }
    }

    /// The first byte of every request.
    fn requests(&self) -> Vec<usize> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl State {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut from = 0;
        for line in BufReader::new(stream.try_clone()?).lines() {
            let line = line?.to_ascii_lowercase();
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        self.requests.lock().unwrap().push(from);
        self.meet();
        let turn = {
            let mut turns = self.turns.lock().unwrap();
            if turns.len() > 1 { turns.pop().unwrap() } else { turns[0].clone() }
        };
        // Whoever has the answer may ask again at once.
        self.busy.lock().unwrap().0 -= 1;
        match turn {
            Turn::Says(head) => stream.write_all(head.as_bytes()),
            Turn::Sends(count) => {
                let rest = &self.body[from..];
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
                stream.write_all(&[head.as_bytes(), &rest[..count.min(rest.len())]].concat())
            }
        }
    }

    /// Waits until enough have asked at the same time, and then gives one more the opportunity.
    fn meet(&self) {
        let mut busy = self.busy.lock().unwrap();
        busy.0 += 1;
        busy.1 = busy.1.max(busy.0);
        self.more.notify_all();
        if self.together > 1 {
            let (busy, _) = self.more.wait_timeout_while(busy, PATIENCE, |busy| busy.1 < self.together).unwrap();
            drop(self.more.wait_timeout_while(busy, A_MOMENT, |busy| busy.1 <= self.together).unwrap());
        }
    }
}

fn body() -> Vec<u8> {
    (0..100_000u32).flat_map(|number| number.to_le_bytes()).collect()
}

fn wanted(body: &[u8]) -> Fetch {
    let place = FetchPlace::Url("where".to_owned());
    Fetch { label: "bash".to_owned(), size: body.len() as u64, digest: Digest::of(body), place }
}

/// Fetches one file; what was said of waiting.
fn fetch(name: &str, world: &Quick, servers: &[&Server]) -> (Result<(), ExecError>, Vec<ServerWait>) {
    let root = scratch(name);
    let store = Store::open(&root).unwrap();
    let urls: Vec<String> = servers.iter().map(|server| server.url.clone()).collect();
    let (mirrors, waits) = (|_: &FetchPlace| urls.clone(), Mutex::new(Vec::new()));
    let told = |waiting| waits.lock().unwrap().push(waiting);
    let fetcher = Fetcher::new(&store, world, &mirrors, &IgnoreSteps, &|| false).telling(&told);
    let fetched = fetcher.fetch(&[&wanted(&body())]);
    assert_eq!(store.has(&Digest::of(&body())), fetched.is_ok());
    drop(store);
    kiln::world::fs::remove_tree(&root).unwrap();
    (fetched, waits.into_inner().unwrap())
}

fn seconds(waits: &[ServerWait]) -> Vec<u64> {
    waits.iter().map(|waiting| waiting.seconds).collect()
}

#[test]
fn a_server_that_limits_downloads_is_left_alone_as_long_as_it_says_and_the_download_goes_on() {
    let dates = ["Date: Sat, 12 Sep 2026 07:55:41 GMT", "Retry-After: Sat, 12 Sep 2026 07:57:11 GMT"];
    let turns = [
        Turn::Sends(150_000),
        says("429 Too Many Requests", &["Retry-After: 120"]),
        says("503 Service Unavailable", &dates),
        Turn::Sends(150_000),
        says("429 Too Many Requests", &[]),
        Turn::Sends(usize::MAX),
    ];
    let (server, world) = (Server::start(&body(), &turns), Quick::new(None));
    let (fetched, waits) = fetch("throttle-resume", &world, &[&server]);
    fetched.unwrap();
    assert_eq!(seconds(&waits), [120, 90, 15]);
    assert!(world.waited() >= 225, "it waits for {} s", world.waited());
    assert_eq!(server.requests(), [0, 150_000, 150_000, 150_000, 300_000, 300_000], "no byte twice");
    assert_eq!(waits[0].reason, "http status: 429");
    assert!(waits[0].host.starts_with("127.0.0.1:"), "{:?}", waits[0]);
}

#[test]
fn whoever_does_not_limit_downloads_is_asked_first() {
    let limited = Server::start(&body(), &[says("429 Too Many Requests", &["Retry-After: 600"])]);
    let (honest, world) = (Server::start(&body(), &[Turn::Sends(usize::MAX)]), Quick::new(None));
    let (fetched, waits) = fetch("throttle-others", &world, &[&limited, &honest]);
    fetched.unwrap();
    assert_eq!((waits, world.waited(), limited.requests().len()), (Vec::new(), 0, 1));
}

#[test]
fn no_server_is_waited_for_without_end() {
    let always = Server::start(&body(), &[says("429 Too Many Requests", &["Retry-After: 1"])]);
    let world = Quick::new(None);
    let (fetched, waits) = fetch("throttle-always", &world, &[&always]);
    let error = fetched.unwrap_err().to_string();
    assert!(error.contains("http status: 429"), "{error}");
    assert_eq!(seconds(&waits), [1, 1, 1, 15, 30, 60, 120, 240], "minutes, whatever it says");
    let far = Server::start(&body(), &[says("503 Service Unavailable", &["Retry-After: 86400"])]);
    let (fetched, waits) = fetch("throttle-far", &Quick::new(None), &[&far]);
    let error = fetched.unwrap_err().to_string();
    assert!(error.contains("asks to wait 86400 s") && waits.is_empty(), "{error}");
}

#[test]
fn only_a_service_that_is_known_to_be_slow_is_waited_for_without_being_asked() {
    let turns = [says("503 Service Unavailable", &[]), Turn::Sends(usize::MAX)];
    let mirror = Server::start(&body(), &turns);
    let (fetched, waits) = fetch("throttle-mirror", &Quick::new(None), &[&mirror]);
    fetched.unwrap();
    assert_eq!(waits, [], "it is asked again at once");
    let service = Server::start(&body(), &turns);
    let (fetched, waits) = fetch("throttle-service", &Quick::new(Some(service.url.clone())), &[&service]);
    fetched.unwrap();
    assert_eq!(seconds(&waits), [15]);
}

/// Files of different digests from one server, which sends to everybody what it has.
#[test]
fn the_snapshot_service_is_asked_with_two_connections_at_a_time_and_a_mirror_with_more() {
    for (name, most) in [("throttle-two", 2), ("throttle-many", 3)] {
        let server = Server::together(&body(), &[says("404 Not Found", &[])], most);
        let world = Quick::new((most == 2).then(|| server.url.clone()));
        let root = scratch(name);
        let store = Store::open(&root).unwrap();
        let (mirrors, stop) = (|_: &FetchPlace| vec![server.url.clone()], || false);
        let fetcher = Fetcher::new(&store, &world, &mirrors, &IgnoreSteps, &stop);
        std::thread::scope(|scope| {
            for number in 0..6_u8 {
                let fetcher = &fetcher;
                scope.spawn(move || fetcher.fetch(&[&wanted(&[number])]).unwrap_err());
            }
        });
        let (_, seen) = *server.state.busy.lock().unwrap();
        assert!(if most == 2 { seen == 2 } else { seen >= 3 }, "{seen} connections at a time");
        drop(store);
        kiln::world::fs::remove_tree(&root).unwrap();
    }
}

#[test]
fn waiting_can_be_called_off() {
    let server = Server::start(&body(), &[says("429 Too Many Requests", &["Retry-After: 600"])]);
    let (world, root, over) = (Quick::new(None), scratch("throttle-stop"), AtomicBool::new(false));
    let store = Store::open(&root).unwrap();
    let (mirrors, stop) = (|_: &FetchPlace| vec![server.url.clone()], || over.load(Ordering::SeqCst));
    let told = |_| over.store(true, Ordering::SeqCst);
    let fetcher = Fetcher::new(&store, &world, &mirrors, &IgnoreSteps, &stop).telling(&told);
    let error = fetcher.fetch(&[&wanted(&body())]).unwrap_err();
    assert!(matches!(error, ExecError::Interrupted), "{error}");
    assert_eq!(world.waited(), 0);
    drop(store);
    kiln::world::fs::remove_tree(&root).unwrap();
}

/// The service answers with the last state that it took before a timestamp.
#[test]
fn a_file_that_the_service_took_later_is_found_at_a_later_timestamp_through_its_redirects() {
    let lab = Lab::new("throttle-later");
    let lock = kiln::lock::read(&std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap()).unwrap();
    let snapshot = lock.archives.values().next().unwrap().snapshot;
    let states = mirror::states(snapshot);
    let package = lock.sets["tiny"].iter().find(|package| package.name == "payload").unwrap();
    let place = |moment: Timestamp| format!("/archive/debian/{}/{}", moment.snapshot(), package.path);
    let bytes = lab.server.lose(&format!("/debian/{}", package.path)).unwrap();
    let service = format!("{}/archive", lab.server.url());
    let inputs = || lab.inputs().env("KILN_SNAPSHOT", &service).output().unwrap();

    // Neither at the lock's own timestamp, where an earlier state is, nor at any other.
    lab.server.redirect(&place(states[0]), &place(Timestamp(snapshot.0 - 7200)));
    let output = inputs();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    for moment in &states {
        assert!(text(&output).contains(&place(*moment)), "{}", text(&output));
    }
    // It is busy at first, and sends kiln on.
    let taken = Timestamp(states[1].0 - 60);
    lab.server.redirect(&place(states[1]), &place(taken));
    lab.server.put(&place(taken), bytes);
    lab.server.throttle(&place(states[1]), 2);
    let output = inputs();
    assert!(output.status.success(), "{}", text(&output));
    let host = lab.server.url().replace("http://", "");
    let said = format!("waiting 0 s for {host}, which limits downloads (http status: 429)");
    assert_eq!(text(&output).matches(&said).count(), 2, "{}", text(&output));
}

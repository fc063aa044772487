//! A mirror on loopback, over plain HTTP, that can be told to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::TinyArchive;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each topic takes what it needs")]
pub(crate) enum Fault {
    /// The connection ends after so many bytes.
    Truncated(usize),
    /// One bit is another.
    Flipped,
    /// 404.
    Missing,
    /// 500.
    Broken,
    /// Half of it comes, then nothing more, with the connection open.
    Stalled,
    /// Endless zeros, of no stated length.
    Endless,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, Fault>,
    redirects: BTreeMap<String, String>,
    /// By path: how often it is still refused, since it was asked too much.
    throttled: BTreeMap<String, u32>,
    log: Vec<String>,
}

/// A running server; it ends with the value.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
}

#[allow(dead_code, reason = "each topic takes what it needs")]
impl Server {
    /// Serves archives, each below `/REPOSITORY`.
    pub(crate) fn start(archives: &[&TinyArchive]) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Server { address: listener.local_addr().unwrap(), state: Arc::default(), over: Arc::default() };
        archives.iter().for_each(|archive| server.publish(archive));
        let (state, over) = (server.state.clone(), server.over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (state, over, stream) = (state.clone(), over.clone(), stream.unwrap());
                // A client that hangs up early is its own business.
                std::thread::spawn(move || _ = serve(&stream, &state, &over));
            }
        });
        server
    }

    /// Adds an archive's files, or replaces them.
    pub(crate) fn publish(&self, archive: &TinyArchive) {
        for (path, bytes) in archive.files() {
            self.put(&format!("/{}/{path}", archive.repository), bytes);
        }
    }

    /// One more file, at an absolute path.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.state.lock().unwrap().files.insert(path.to_owned(), bytes);
    }

    /// Takes a file away; its bytes.
    pub(crate) fn lose(&self, path: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().files.remove(path)
    }

    /// Sends whoever asks for one path to another.
    pub(crate) fn redirect(&self, from: &str, to: &str) {
        self.state.lock().unwrap().redirects.insert(from.to_owned(), to.to_owned());
    }

    /// 429 so many times, with the wish to be asked again at once.
    pub(crate) fn throttle(&self, path: &str, times: u32) {
        self.state.lock().unwrap().throttled.insert(path.to_owned(), times);
    }

    /// Makes every path that ends so misbehave.
    pub(crate) fn fault(&self, end: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(end.to_owned(), fault);
    }

    /// Behaves again.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// `METHOD PATH [RANGE]` of every request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    /// What `KILN_MIRROR` is to be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>, over: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut from = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (file, fault) = {
        let mut state = state.lock().unwrap();
        state.log.push(format!("{method} {path} {from}"));
        if let Some(left) = state.throttled.get_mut(path).filter(|left| **left > 0) {
            *left -= 1;
            let head =
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(head.as_bytes());
        }
        if let Some(to) = state.redirects.get(path) {
            let head =
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return stream.write_all(head.as_bytes());
        }
        let fault = state.faults.iter().find(|(end, _)| path.ends_with(*end)).map(|(_, fault)| *fault);
        (state.files.get(path).cloned(), fault)
    };
    let Some(mut file) = file else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let rest = file.split_off(from.min(file.len()));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
    match fault {
        None => stream.write_all(&[head.as_bytes(), &rest].concat()),
        Some(Fault::Truncated(length)) => {
            stream.write_all(&[head.as_bytes(), &rest[..length.min(rest.len())]].concat())
        }
        Some(Fault::Flipped) => {
            let mut rest = rest;
            let middle = rest.len() / 2;
            rest[middle] ^= 1;
            stream.write_all(&[head.as_bytes(), &rest].concat())
        }
        Some(Fault::Missing) => {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Some(Fault::Broken) => stream.write_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        Some(Fault::Stalled) => {
            stream.write_all(&[head.as_bytes(), &rest[..rest.len() / 2]].concat())?;
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Some(Fault::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            while !over.load(Ordering::Relaxed) {
                stream.write_all(&[0; 1 << 16])?;
            }
            Ok(())
        }
    }
}

//! Servers that are not honest: one that nobody may ask, and one that answers what it was told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A service of the machine or of its network that a build has no business with.
pub(super) struct Trap {
    address: SocketAddr,
    visits: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Trap {
    pub(super) fn new() -> Trap {
        Trap::answering(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncontent");
        })
    }

    /// One that answers; everything asked is kept all the same. Plain requests are understood, and those of a proxy.
    pub(super) fn answering(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Trap {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let trap = Trap { address: listener.local_addr().unwrap(), visits: Arc::default(), over: Arc::default() };
        let (visits, over, answer) = (trap.visits.clone(), trap.over.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (visits, answer, stream) = (visits.clone(), answer.clone(), stream.unwrap());
                std::thread::spawn(move || converse(stream, &visits, answer.as_ref()));
            }
        });
        trap
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// First lines of requests, and `connected` for whoever said nothing.
    pub(super) fn visits(&self) -> Vec<String> {
        self.visits.lock().unwrap().clone()
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(mut stream: TcpStream, visits: &Mutex<Vec<String>>, answer: &dyn Fn(&str, &mut TcpStream)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        let mut line = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            line.clear();
        }
        visits.lock().unwrap().push(first.trim().to_owned());
        let mut words = first.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if method == "CONNECT" {
            // From here on whoever connected takes this for the server behind the proxy.
            if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
                return;
            }
            continue;
        }
        let path = target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        answer(path, &mut stream);
        return;
    }
}

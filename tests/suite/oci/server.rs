//! A registry on loopback as the OCI distribution specification has it, that can be told to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use kiln::base::Digest;

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn query(&self, name: &str) -> Option<String> {
        let query = self.path.split_once('?')?.1;
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.replace("%3A", ":").replace("%2F", "/"))
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Sends the body again and again without stating a length.
    pub(crate) endless: bool,
    /// Ends the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Sends nothing more after so many bytes, with the connection open.
    pub(crate) stalls_at: Option<usize>,
    /// Sends the body byte by byte, a few in a second.
    pub(crate) trickles: bool,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        self
    }
}

/// Answers in the registry's stead.
type Hook = Box<dyn FnMut(&Request) -> Option<Reply> + Send>;

/// How it lets people in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    None,
    /// `user:secret`
    Basic,
    /// A token for `user:secret`, from this address.
    Bearer(String),
}

pub(crate) struct State {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// By tag and by digest: type and text.
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
    uploads: BTreeMap<usize, Vec<u8>>,
    pub(crate) log: Vec<Request>,
    hook: Option<Hook>,
    /// Lists referrers itself.
    pub(crate) referrers: bool,
    pub(crate) login: Login,
}

/// A running registry; it ends with the value.
pub(crate) struct TestRegistry {
    address: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
}

impl TestRegistry {
    pub(crate) fn start() -> TestRegistry {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = State {
            blobs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            uploads: BTreeMap::new(),
            log: Vec::new(),
            hook: None,
            referrers: true,
            login: Login::None,
        };
        let address = listener.local_addr().unwrap();
        let registry = TestRegistry { address, state: Arc::new(Mutex::new(state)), over: Arc::default() };
        let (state, over) = (registry.state.clone(), registry.over.clone());
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
        registry
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host())
    }

    pub(crate) fn hook(&self, hook: impl FnMut(&Request) -> Option<Reply> + Send + 'static) {
        self.state.lock().unwrap().hook = Some(Box::new(hook));
    }

    pub(crate) fn behave(&self) {
        let mut state = self.state.lock().unwrap();
        (state.hook, state.log) = (None, Vec::new());
    }

    /// `METHOD PATH` of requests whose method and path begin so.
    pub(crate) fn asked(&self, begin: &str) -> Vec<Request> {
        let is_one = |request: &&Request| format!("{} {}", request.method, request.path).starts_with(begin);
        self.state.lock().unwrap().log.iter().filter(is_one).cloned().collect()
    }

    /// Puts a manifest in the place of another.
    pub(crate) fn replace(&self, tag: &str, text: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let entry = ("application/vnd.oci.image.manifest.v1+json".to_owned(), text.to_vec());
        state.manifests.insert(format!("sha256:{}", Digest::of(text)), entry.clone());
        state.manifests.insert(tag.to_owned(), entry);
    }

    pub(crate) fn manifest(&self, tag: &str) -> serde_json::Value {
        serde_json::from_slice(&self.state.lock().unwrap().manifests[tag].1).unwrap()
    }

    pub(crate) fn add_blob(&self, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", Digest::of(bytes));
        self.state.lock().unwrap().blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>, over: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let request = Request { method, path, headers, body };
    let reply = {
        let mut state = state.lock().unwrap();
        state.log.push(request.clone());
        let mut hook = state.hook.take();
        let hooked = hook.as_mut().and_then(|hook| hook(&request));
        state.hook = hook;
        hooked.unwrap_or_else(|| state.answer(&request))
    };
    send(stream, &request, &reply, over)
}

fn send(mut stream: &TcpStream, request: &Request, reply: &Reply, over: &AtomicBool) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let stated = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !reply.endless && !stated {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    while reply.endless && !over.load(Ordering::Relaxed) {
        stream.write_all(&reply.body)?;
    }
    if let Some(at) = reply.stalls_at {
        stream.write_all(&reply.body[..at])?;
        while !over.load(Ordering::Relaxed) {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        return Ok(());
    }
    if reply.trickles {
        for byte in &reply.body {
            stream.write_all(&[*byte])?;
            std::thread::park_timeout(std::time::Duration::from_millis(200));
        }
        return Ok(());
    }
    stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())])
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        if let Some(refused) = self.refused(request) {
            return refused;
        }
        let path = request.path.split('?').next().unwrap().to_owned();
        let Some((_, rest)) = path.split_once("/v2/") else { return Reply::new(404) };
        if let Some((_, id)) = rest.split_once("/blobs/uploads/") {
            return self.upload(request, id);
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            return self.blob(request, digest);
        }
        if let Some((_, name)) = rest.split_once("/manifests/") {
            return self.manifest(request, name);
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            let tags: Vec<&String> = self.manifests.keys().filter(|name| !name.starts_with("sha256:")).collect();
            return Reply::new(200).body(serde_json::json!({"name": name, "tags": tags}).to_string());
        }
        match rest.split_once("/referrers/") {
            Some((_, subject)) if self.referrers => self.referrers_of(subject),
            _ => Reply::new(404),
        }
    }

    fn refused(&self, request: &Request) -> Option<Reply> {
        let basic = "Basic dXNlcjpzZWNyZXQ=";
        let authorization = request.header("authorization");
        if request.path.starts_with("/token") {
            let is_user = authorization == basic;
            let token = Reply::new(200).body("{\"token\":\"the-token\",\"expires_in\":60}");
            return Some(if is_user { token } else { Reply::new(401) });
        }
        match &self.login {
            Login::Basic if authorization != basic => {
                Some(Reply::new(401).with("WWW-Authenticate", "Basic realm=\"test\""))
            }
            Login::Bearer(realm) if authorization != "Bearer the-token" => {
                let challenge = format!("Bearer realm=\"{realm}\",service=\"test\",scope=\"repository:*:*\"");
                Some(Reply::new(401).with("WWW-Authenticate", challenge))
            }
            _ => None,
        }
    }

    fn upload(&mut self, request: &Request, id: &str) -> Reply {
        let name = request.path.split("/blobs/").next().unwrap().to_owned();
        if request.method == "POST" {
            if let Some(mounted) = request.query("mount").filter(|digest| self.blobs.contains_key(digest)) {
                return Reply::new(201).with("Location", format!("{name}/blobs/{mounted}"));
            }
            let id = self.uploads.len() + 1;
            self.uploads.insert(id, Vec::new());
            return Reply::new(202).with("Location", format!("{name}/blobs/uploads/{id}")).with("Range", "0-0");
        }
        let Some(upload) = id.parse().ok().and_then(|id: usize| self.uploads.get_mut(&id)) else {
            return Reply::new(404);
        };
        let at = |upload: &Vec<u8>| format!("0-{}", upload.len().saturating_sub(1));
        match request.method.as_str() {
            "GET" => Reply::new(204).with("Location", &request.path).with("Range", at(upload)),
            "PATCH" => {
                let from = request.header("content-range").split('-').next().and_then(|from| from.parse().ok());
                if from != Some(upload.len()) {
                    return Reply::new(416).with("Range", at(upload));
                }
                upload.extend(&request.body);
                Reply::new(202).with("Location", &request.path).with("Range", at(upload))
            }
            _ => {
                upload.extend(&request.body);
                let digest = format!("sha256:{}", Digest::of(upload));
                if request.query("digest").as_ref() != Some(&digest) {
                    return Reply::new(400)
                        .body("{\"errors\":[{\"code\":\"DIGEST_INVALID\",\"message\":\"other bytes\"}]}");
                }
                let bytes = std::mem::take(upload);
                self.blobs.insert(digest.clone(), bytes);
                Reply::new(201).with("Docker-Content-Digest", digest)
            }
        }
    }

    fn blob(&self, request: &Request, digest: &str) -> Reply {
        let Some(bytes) = self.blobs.get(digest) else { return Reply::new(404) };
        let range = request.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
        let number = |text: &str| text.parse::<usize>().ok();
        match range.map(|(from, to)| (number(from), number(to))) {
            Some((Some(from), Some(to))) => Reply::new(206).body(&bytes[from..bytes.len().min(to + 1)]),
            Some((Some(from), None)) if from > 0 => Reply::new(206).body(&bytes[from..]),
            _ => Reply::new(200).body(bytes.clone()),
        }
    }

    fn manifest(&mut self, request: &Request, name: &str) -> Reply {
        if request.method != "PUT" {
            let Some((kind, text)) = self.manifests.get(name) else { return Reply::new(404) };
            return Reply::new(200).with("Content-Type", kind).body(text.clone());
        }
        let digest = format!("sha256:{}", Digest::of(&request.body));
        let entry = (request.header("content-type").to_owned(), request.body.clone());
        let parsed: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let named = parsed["layers"].as_array().into_iter().flatten().chain([&parsed["config"]]);
        let mut digests = named.filter_map(|layer| layer["digest"].as_str());
        if digests.any(|digest| !self.blobs.contains_key(digest)) {
            return Reply::new(400).body("{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\"}]}");
        }
        self.manifests.insert(digest.clone(), entry.clone());
        self.manifests.insert(name.to_owned(), entry);
        let reply = Reply::new(201).with("Docker-Content-Digest", digest);
        match parsed["subject"]["digest"].as_str() {
            Some(subject) if self.referrers => reply.with("OCI-Subject", subject),
            _ => reply,
        }
    }

    fn referrers_of(&self, subject: &str) -> Reply {
        let mut found = Vec::new();
        for (name, (kind, text)) in self.manifests.iter().filter(|(name, _)| name.starts_with("sha256:")) {
            let parsed: serde_json::Value = serde_json::from_slice(text).unwrap();
            if parsed["subject"]["digest"] == subject {
                let mut one = serde_json::json!({
                    "mediaType": kind, "digest": name, "size": text.len(), "artifactType": parsed["artifactType"],
                });
                if parsed["annotations"].is_object() {
                    one["annotations"] = parsed["annotations"].clone();
                }
                found.push(one);
            }
        }
        let index = "application/vnd.oci.image.index.v1+json";
        let body = serde_json::json!({"schemaVersion": 2, "mediaType": index, "manifests": found});
        Reply::new(200).with("Content-Type", index).body(body.to_string())
    }
}

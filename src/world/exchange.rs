//! One exchange with a server that is more than a download: any method, headers and a body; the answer is small and read whole.
//!
//! What an address may lead to is decided as for downloads ([`super::http`]): the user may name any place, a server only the
//! internet or the kind of place that it is in itself. No redirect is followed: the caller knows what the next server may be told.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use ureq::http::{Method, Request, Uri};

use super::WorldError;
use super::http::{Client, Failure, LOOKUP_RETRY_DELAYS, is_one_server, joined, judge, outside, passing};
use super::place::{AddressKind, Kinds};
use super::stream::{Next, Stream};

/// A server may take this long to answer what it was sent: it may read all of it again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// A body that is sent has a few megabytes.
const SEND_TIMEOUT: Duration = Duration::from_secs(900);
/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// Of an answer that is an error, more is not read.
const ERROR_LIMIT: u64 = 64 << 10;
/// How often a wait is interrupted to ask whether it is to end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
}

/// Who named an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy<'a> {
    /// The user: it may be anywhere.
    User,
    /// The server at this address.
    Server(&'a str),
}

/// What is asked of a server.
#[derive(Debug, Clone)]
pub struct HttpExchange<'a> {
    pub method: HttpMethod,
    pub url: &'a str,
    pub named_by: NamedBy<'a>,
    pub headers: Vec<(&'static str, String)>,
    /// Sent by methods that send something.
    pub body: Vec<u8>,
    /// An answer with more bytes is refused.
    pub limit: u64,
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The first header of that name.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All of them.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A reference that stands in the answer of a URL: a whole URL of http or https.
pub fn joined_url(url: &str, reference: &str) -> Option<String> {
    let joined = joined(&url.parse().ok()?, reference)?;
    matches!(joined.scheme_str(), Some("http" | "https")).then(|| joined.to_string())
}

/// Whether two addresses are of one server: what it may be told, another scheme, host or port may not.
pub fn is_same_server(a: &str, b: &str) -> bool {
    let parsed = |url: &str| url.parse::<Uri>().ok();
    parsed(a).zip(parsed(b)).is_some_and(|(a, b)| is_one_server(&a, &b))
}

type Answer = ureq::http::Response<ureq::Body>;

impl Client {
    pub(super) fn exchange(
        &self,
        exchange: &HttpExchange<'_>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<HttpAnswer, WorldError> {
        let fail = |failure: Failure| failure.of(exchange.url);
        let url: Uri = exchange.url.parse().map_err(|error| fail(Failure::refused(format!("no URL: {error}"))))?;
        let reach = self.exchange_reach(&url, exchange.named_by).map_err(fail)?;
        let mut pauses = LOOKUP_RETRY_DELAYS.iter();
        loop {
            let answers = start(self.agent(reach).map_err(fail)?, &url, exchange).map_err(fail)?;
            match (wait(&answers, stop).map_err(fail)?, pauses.next()) {
                (Ok(answer), _) => return read(answer, exchange, stop).map_err(fail),
                (Err(error), Some(pause)) if passing(&error) => std::thread::sleep(*pause),
                (Err(error), _) => return Err(fail(error.into())),
            }
        }
    }

    /// The places that the address may be in.
    fn exchange_reach(&self, url: &Uri, named_by: NamedBy<'_>) -> Result<Kinds, Failure> {
        let NamedBy::Server(from) = named_by else { return Ok(Kinds::ALL) };
        let from: Uri = from.parse().map_err(|error| Failure::refused(format!("no URL: {error}")))?;
        let home = self.home(&from, Kinds::ALL);
        judge(&from, url, home)?;
        let host = url.host().unwrap_or_default();
        let kind = AddressKind::of_host(host);
        if home.has(kind) { Ok(home) } else { Err(Failure::refused(outside(host, kind))) }
    }
}

/// Sends a request from a thread of its own: whoever waits for the answer can be called off.
fn start(
    agent: ureq::Agent,
    url: &Uri,
    exchange: &HttpExchange<'_>,
) -> Result<Receiver<Result<Answer, ureq::Error>>, Failure> {
    let method = match exchange.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
    };
    let sends = !matches!(exchange.method, HttpMethod::Get | HttpMethod::Head);
    let mut request = Request::builder().method(method).uri(url.clone());
    for (name, value) in &exchange.headers {
        request = request.header(*name, value);
    }
    let invalid = |error: ureq::http::Error| Failure::refused(format!("it cannot be asked so: {error}"));
    let (sender, answers) = sync_channel(1);
    // When nobody waits any more, or the server closes, the thread ends; kiln does not wait for it.
    if sends {
        let request = request.body(exchange.body.clone()).map_err(invalid)?;
        std::thread::spawn(move || drop(sender.send(agent.run(patient(&agent, request)))));
    } else {
        let request = request.body(()).map_err(invalid)?;
        std::thread::spawn(move || drop(sender.send(agent.run(patient(&agent, request)))));
    }
    Ok(answers)
}

fn patient<B: ureq::AsSendBody>(agent: &ureq::Agent, request: Request<B>) -> Request<B> {
    let configured = agent.configure_request(request);
    configured.timeout_send_body(Some(SEND_TIMEOUT)).timeout_recv_response(Some(ANSWER_TIMEOUT)).build()
}

fn wait<T>(answers: &Receiver<T>, stop: &(dyn Fn() -> bool + Sync)) -> Result<T, Failure> {
    #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
    let began = Instant::now();
    loop {
        if stop() {
            return Err(Failure::refused("interrupted".to_owned()));
        }
        match answers.recv_timeout(POLL_INTERVAL) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) if began.elapsed() < SEND_TIMEOUT + ANSWER_TIMEOUT => {}
            Err(_) => return Err(Failure::refused("it does not answer".to_owned())),
        }
    }
}

fn read(answer: Answer, exchange: &HttpExchange<'_>, stop: &(dyn Fn() -> bool + Sync)) -> Result<HttpAnswer, Failure> {
    let status = answer.status().as_u16();
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let mut answered = HttpAnswer { status, headers, body: Vec::new() };
    if exchange.method == HttpMethod::Head {
        return Ok(answered);
    }
    let body: Box<dyn Read + Send> = Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader());
    let failed = status >= 300;
    let limit = if failed { ERROR_LIMIT.min(exchange.limit) } else { exchange.limit };
    let mut stream = Stream::start(body, limit);
    loop {
        match stream.next(stop, SILENCE) {
            Next::Piece(piece) => answered.body.extend(piece),
            Next::End => return Ok(answered),
            Next::Broken(_) if failed => return Ok(answered),
            Next::Broken(why) => return Err(Failure::passing(why)),
            Next::Stopped => return Err(Failure::refused("interrupted".to_owned())),
        }
        if answered.body.len() as u64 > limit {
            if failed {
                answered.body.truncate(limit as usize);
                return Ok(answered);
            }
            return Err(Failure::refused(format!("its answer has more than {limit} bytes")));
        }
    }
}

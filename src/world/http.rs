//! HTTP: one GET, with redirects followed as far as they may lead.
//!
//! The first address is somebody's word: the user's, whose mirrors may be anywhere, or a recipe's, which must say by
//! itself that it means this machine or a private network. Where a server sends kiln on to is nobody's word: it may be the
//! internet or the kind of place that the first address is in, and never plain HTTP after HTTPS. Names are judged by the
//! addresses that are then connected to, so that a name which leads elsewhere at the second look gains nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{Uri, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::place::{AddressKind, Kinds};
use super::{HttpRequest, Response, Stated, WorldError};
use crate::base::Timestamp;

/// Redirects in a row.
const MAX_REDIRECTS: usize = 10;
/// All of them, and the answer's header, may take this long.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// A body may take this long; that something of it keeps coming is [`super::download`]'s to see to.
const BODY_TIMEOUT: Duration = Duration::from_secs(86_400);

#[derive(Default)]
pub(super) struct Client {
    /// One for each range of places that may be reached: connections that are kept open were made within that range.
    agents: Mutex<BTreeMap<Kinds, ureq::Agent>>,
    /// The kinds of places that hosts were found in that anybody may name.
    homes: Arc<Mutex<BTreeMap<String, Kinds>>>,
    /// Hosts that the user has named.
    trusted: Mutex<BTreeSet<String>>,
}

impl Client {
    /// The user named these hosts: a recipe may name them, too, wherever they are.
    pub(super) fn trust(&self, hosts: impl IntoIterator<Item = String>) {
        held(&self.trusted).extend(hosts);
    }

    pub(super) fn get(&self, request: &HttpRequest<'_>, now: Timestamp) -> Result<Response, WorldError> {
        self.answer(request, now, None)
    }

    /// The same, where the answer must begin in this time.
    pub(super) fn get_within(
        &self,
        request: &HttpRequest<'_>,
        now: Timestamp,
        time: Duration,
    ) -> Result<Response, WorldError> {
        self.answer(request, now, Some(time))
    }

    fn answer(
        &self,
        request: &HttpRequest<'_>,
        now: Timestamp,
        within: Option<Duration>,
    ) -> Result<Response, WorldError> {
        #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
        let began = Instant::now();
        let fail = |failure: Failure| failure.of(request.url);
        let mut url: Uri = request.url.parse().map_err(|error| fail(Failure::refused(format!("no URL: {error}"))))?;
        let mut reach = self.reach(request, &url);
        let mut home = None;
        let first = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authorization = request.authorization.filter(|_| is_one_server(&first, &url));
            let left = within.map(|within| within.saturating_sub(began.elapsed()));
            let question = Question { url: &url, from: request.from, authorization, within: left };
            let answer = self.ask(&question, reach).map_err(fail)?;
            if answer.status().is_client_error() || answer.status().is_server_error() {
                return Err(fail(Failure::of_status(&answer, now)));
            }
            let Some(next) = redirect(&url, &answer).map_err(fail)? else {
                return Ok(response(answer, request.from));
            };
            let home = *home.get_or_insert_with(|| self.home(&url, reach));
            judge(&url, &next, home).map_err(fail)?;
            if began.elapsed() > within.unwrap_or(RESPONSE_TIMEOUT) {
                return Err(fail(Failure::refused("too many redirects".to_owned())));
            }
            (url, reach) = (next, home);
        }
        Err(fail(Failure::refused(format!("too many redirects (limit {MAX_REDIRECTS})"))))
    }

    /// Where the first request may lead.
    fn reach(&self, request: &HttpRequest<'_>, url: &Uri) -> Kinds {
        let host = url.host().unwrap_or_default();
        match request.stated {
            Stated::User => Kinds::ALL,
            Stated::Recipe if held(&self.trusted).contains(&host.to_ascii_lowercase()) => Kinds::ALL,
            // Nobody writes a recipe for others that needs a cloud's metadata service.
            Stated::Recipe => match AddressKind::of_host(host) {
                AddressKind::LinkLocal | AddressKind::Nowhere => Kinds::PUBLIC,
                kind => Kinds::PUBLIC.and(kind),
            },
        }
    }

    /// Where redirects of the first address may lead.
    pub(super) fn home(&self, url: &Uri, reach: Kinds) -> Kinds {
        if reach != Kinds::ALL {
            return reach;
        }
        let host = url.host().unwrap_or_default();
        let found = held(&self.homes).get(host).copied().unwrap_or(Kinds::PUBLIC);
        found.union(Kinds::PUBLIC).and(AddressKind::of_host(host))
    }

    fn ask(&self, question: &Question<'_>, reach: Kinds) -> Result<Answer, Failure> {
        let Question { url, from, authorization, within } = *question;
        // Where a proxy looks names up, addresses can still be told.
        let host = url.host().unwrap_or_default();
        if !reach.has(AddressKind::of_host(host)) {
            return Err(Failure::refused(outside(host, AddressKind::of_host(host))));
        }
        let agent = self.agent(reach);
        let mut pauses = LOOKUP_RETRY_DELAYS.iter();
        loop {
            let mut request = agent.get(url.clone());
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            let answer = match within {
                None => request.call(),
                // Each of these starts when the one before it is over.
                Some(time) => {
                    let third = Some(time / 3);
                    let bounded = request.config().timeout_resolve(third).timeout_connect(third);
                    bounded.timeout_recv_response(third).build().call()
                }
            };
            match (answer, pauses.next()) {
                (Ok(answer), _) => return Ok(answer),
                (Err(error), Some(pause)) if within.is_none() && passing(&error) => std::thread::sleep(*pause),
                (Err(error), _) => return Err(Failure::from(error)),
            }
        }
    }

    pub(super) fn agent(&self, reach: Kinds) -> ureq::Agent {
        let make = || {
            let config = ureq::Agent::config_builder()
                .timeout_connect(Some(Duration::from_secs(20)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                .timeout_recv_body(Some(BODY_TIMEOUT))
                .max_redirects(0)
                // Its header says how long a busy server wants to be left alone.
                .http_status_as_error(false)
                .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
                .build();
            let names = Names { reach, homes: self.homes.clone(), inner: DefaultResolver::default() };
            ureq::Agent::with_parts(config, DefaultConnector::default(), names)
        };
        held(&self.agents).entry(reach).or_insert_with(make).clone()
    }
}

/// Whether two addresses are of one server: what it may be told, another port may not.
pub(super) fn is_one_server(a: &Uri, b: &Uri) -> bool {
    let of = |url: &Uri| {
        let port = url.port_u16().or(match url.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        });
        (url.scheme_str().map(str::to_owned), url.host().map(str::to_ascii_lowercase), port)
    };
    of(a) == of(b)
}

/// What one server is asked.
struct Question<'a> {
    url: &'a Uri,
    /// The first byte that is wanted.
    from: u64,
    authorization: Option<&'a str>,
    /// In what time the answer must begin, where that is less than usual.
    within: Option<Duration>,
}

type Answer = ureq::http::Response<ureq::Body>;

/// Looks names up, and hands on only addresses that may be connected to.
#[derive(Debug)]
struct Names {
    reach: Kinds,
    homes: Arc<Mutex<BTreeMap<String, Kinds>>>,
    inner: DefaultResolver,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        // The user's own proxy may be anywhere.
        if self.reach == Kinds::ALL || config.proxy().is_some_and(|proxy| proxy.uri().authority() == uri.authority()) {
            let kinds = found.iter().fold(Kinds::PUBLIC, |kinds, address| kinds.and(AddressKind::of(address.ip())));
            held(&self.homes).entry(host.to_owned()).and_modify(|known| *known = known.union(kinds)).or_insert(kinds);
            return Ok(found);
        }
        let mut allowed = self.empty();
        let within = |address: &&SocketAddr| self.reach.has(AddressKind::of(address.ip()));
        found.iter().filter(within).for_each(|address| allowed.push(*address));
        match (allowed.is_empty(), found.first()) {
            (true, Some(address)) => {
                let text = outside(&format!("{host} ({})", address.ip()), AddressKind::of(address.ip()));
                Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)))
            }
            _ => Ok(allowed),
        }
    }
}

pub(super) fn outside(what: &str, kind: AddressKind) -> String {
    format!("{what} is {kind}, which kiln only contacts for mirrors or if the recipe names that address itself")
}

/// Where an answer sends kiln on to.
fn redirect(url: &Uri, answer: &Answer) -> Result<Option<Uri>, Failure> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| Failure::refused("redirects without a location".to_owned()))?;
    joined(url, location)
        .map(Some)
        .ok_or_else(|| Failure::refused(format!("redirects to an invalid URL: {location:?}")))
}

/// A reference that stands in the answer of a URL (RFC 3986, 5.2), but for dots in its path, which are the server's matter.
pub(super) fn joined(url: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (url.scheme_str()?, url.authority()?.as_str());
    let path = url.path();
    let directory = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
    let text = match reference {
        _ if reference.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => reference.to_owned(),
        _ if reference.starts_with("//") => format!("{scheme}:{reference}"),
        _ if reference.starts_with('/') => format!("{scheme}://{authority}{reference}"),
        _ if reference.starts_with('?') => format!("{scheme}://{authority}{path}{reference}"),
        _ => format!("{scheme}://{authority}{directory}{reference}"),
    };
    text.parse().ok().filter(|uri: &Uri| uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty()))
}

/// Whether a redirect may be followed, by its words alone; where its name leads is seen when it is looked up.
pub(super) fn judge(from: &Uri, to: &Uri, home: Kinds) -> Result<(), Failure> {
    let host = to.host().unwrap_or_default();
    match (from.scheme_str(), to.scheme_str()) {
        (Some("https"), Some("http")) => {
            Err(Failure::refused(format!("redirects to {to}: downgrade from https to http")))
        }
        (_, Some("http" | "https")) if home.has(AddressKind::of_host(host)) => Ok(()),
        (_, Some("http" | "https")) => {
            Err(Failure::refused(format!("redirects to {to}: {}", outside(host, AddressKind::of_host(host)))))
        }
        _ => Err(Failure::refused(format!("redirects to {to}: only http and https are followed"))),
    }
}

/// Why an address did not answer.
pub(super) struct Failure {
    reason: String,
    kind: FailureKind,
}

enum FailureKind {
    /// Asking again may help.
    Passing,
    /// There is no such file.
    Missing,
    /// Kiln does not go there.
    Refused,
    Busy {
        throttled: bool,
        after: Option<Duration>,
    },
}

impl Failure {
    pub(super) fn refused(reason: String) -> Failure {
        Failure { reason, kind: FailureKind::Refused }
    }

    pub(super) fn passing(reason: String) -> Failure {
        Failure { reason, kind: FailureKind::Passing }
    }

    fn of_status(answer: &Answer, now: Timestamp) -> Failure {
        let status = answer.status().as_u16();
        let kind = match status {
            404 | 410 => FailureKind::Missing,
            429 | 502 | 503 | 504 => {
                FailureKind::Busy { throttled: status == 429, after: retry_after(answer.headers(), now) }
            }
            _ => FailureKind::Passing,
        };
        Failure { reason: format!("http status: {status}"), kind }
    }

    pub(super) fn of(self, url: &str) -> WorldError {
        let (url, reason) = (url.to_owned(), self.reason);
        match self.kind {
            FailureKind::Refused => WorldError::Refused { url, reason },
            FailureKind::Missing => WorldError::Fetch { url, reason, missing: true },
            FailureKind::Passing => WorldError::Fetch { url, reason, missing: false },
            FailureKind::Busy { throttled, after } => WorldError::Busy { url, reason, throttled, after },
        }
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Failure {
        let refused = matches!(&error, ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied);
        let kind = if refused { FailureKind::Refused } else { FailureKind::Passing };
        let reason = match error {
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        Failure { reason, kind }
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is compared with the server's own clock where it tells it.
fn retry_after(headers: &header::HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = Timestamp::parse_release(asked)?;
    let now = text(header::DATE).and_then(Timestamp::parse_release).unwrap_or(now);
    Some(Duration::from_secs(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0)))
}

fn response(answer: Answer, from: u64) -> Response {
    let start = if answer.status() == 206 { from } else { 0 };
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
    Response { start, length, body: Box::new(body) }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait before a name that could not be looked up for now is looked up again. Without a network this is what an
/// error takes longer, so it is short.
pub(super) const LOOKUP_RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(750)];

/// Whether the resolver itself says that trying again may help (`EAI_AGAIN`, getaddrinfo(3), as glibc and musl spell it): it had no
/// answer in time, which under load is common.
pub(super) fn passing(error: &ureq::Error) -> bool {
    let ureq::Error::Io(error) = error else { return false };
    let text = error.to_string();
    ["Temporary failure in name resolution", "Try again"].iter().any(|words| text.ends_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_resolvers_hesitation_passes() {
        let io = |text: &str| ureq::Error::Io(std::io::Error::other(text.to_owned()));
        assert!(passing(&io("failed to lookup address information: Temporary failure in name resolution")));
        assert!(!passing(&io("failed to lookup address information: Name or service not known")));
        assert!(!passing(&ureq::Error::StatusCode(404)));
    }

    #[test]
    fn a_busy_server_says_seconds_or_a_date() {
        let now = Timestamp::parse_release("Sat, 12 Sep 2026 07:55:41 GMT").unwrap();
        let asked = |pairs: &[(header::HeaderName, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            retry_after(&pairs.collect(), now).map(|time| time.as_secs())
        };
        let after = |value| (header::RETRY_AFTER, value);
        assert_eq!(asked(&[after("120")]), Some(120));
        assert_eq!(asked(&[after("Sat, 12 Sep 2026 07:56:41 GMT")]), Some(60));
        assert_eq!(asked(&[after("Sat, 12 Sep 2026 07:54:41 GMT")]), Some(0), "it is over");
        let date = (header::DATE, "Sat, 12 Sep 2026 07:56:31 GMT");
        assert_eq!(asked(&[after("Sat, 12 Sep 2026 07:56:41 GMT"), date]), Some(10), "by the server's clock");
        for odd in ["", "-1", "soon", "99999999999999999999", "1.5"] {
            assert_eq!(asked(&[after(odd)]), None, "{odd}");
        }
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn references_are_joined_to_where_they_stand() {
        let url: Uri = "http://mirror.example:8080/debian/pool/x?y".parse().unwrap();
        for (reference, whole) in [
            ("https://other.example/x", "https://other.example/x"),
            ("//other.example/x#f", "http://other.example/x"),
            ("/x", "http://mirror.example:8080/x"),
            ("z", "http://mirror.example:8080/debian/pool/z"),
            ("?z", "http://mirror.example:8080/debian/pool/x?z"),
            ("gopher://other.example/x", "gopher://other.example/x"),
        ] {
            assert_eq!(joined(&url, reference).unwrap().to_string(), whole, "{reference}");
        }
        for odd in ["http://", "http:///x", "file:///etc/passwd", "a:b", "http://a b/"] {
            assert!(joined(&url, odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn redirects_stay_where_the_first_address_is() {
        let says = |from: &str, to: &str, home: Kinds| {
            judge(&from.parse().unwrap(), &to.parse().unwrap(), home).err().map(|failure| failure.reason)
        };
        let (net, here) = (Kinds::PUBLIC, Kinds::PUBLIC.and(AddressKind::Loopback));
        assert_eq!(says("http://a.example/", "https://b.example/", net), None);
        assert_eq!(says("http://127.0.0.1:1/", "http://127.0.0.1:2/", here), None);
        assert_eq!(says("http://127.0.0.1:1/", "https://b.example/", here), None);
        for (from, to, words) in [
            ("https://a.example/", "http://a.example/", "from https to http"),
            ("http://a.example/", "http://127.0.0.1/", "this machine"),
            ("http://a.example/", "http://localhost:80/", "this machine"),
            ("http://a.example/", "http://b.example@[::ffff:127.0.0.1]/", "this machine"),
            ("http://a.example/", "http://169.254.169.254/latest", "the local link"),
            ("http://a.example/", "http://192.168.0.1/", "a private network"),
            ("http://a.example/", "http://0.0.0.0/", "not a fetchable address"),
            ("http://a.example/", "gopher://b.example/", "only http and https"),
        ] {
            let reason = says(from, to, net).unwrap_or_else(|| panic!("{to}"));
            assert!(reason.contains(words), "{to}: {reason}");
        }
    }
}

//! HTTP: one GET, with redirects followed as far as they may lead.
//!
//! The first address is somebody's word: the user's, whose mirrors may be anywhere, or a recipe's, which must say by
//! itself that it means this machine or a private network. Where a server sends kiln on to is nobody's word: it may be the
//! internet or the kind of place that the first address is in, and never plain HTTP after HTTPS. Names are judged by the
//! addresses that are then connected to, so that a name which leads elsewhere at the second look gains nothing.

mod authorities;
mod failure;
mod names;
mod redirect;
mod tls;

pub(super) use authorities::VARIABLE as AUTHORITIES_VARIABLE;
pub(super) use failure::Failure;
pub(super) use names::{LOOKUP_RETRY_DELAYS, outside, passing};
pub(super) use redirect::{joined, judge};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{Uri, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::place::{AddressKind, Kinds};
use super::{HttpRequest, Response, Stated, WorldError};
use crate::base::Timestamp;
use names::Names;
use redirect::redirect;

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
    /// The file of whom the user believes about servers, in the place of Mozilla's authorities.
    authorities: Option<PathBuf>,
}

impl Client {
    pub(super) fn new(authorities: Option<PathBuf>) -> Client {
        Client { authorities, ..Client::default() }
    }

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
        let agent = self.agent(reach)?;
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

    pub(super) fn agent(&self, reach: Kinds) -> Result<ureq::Agent, Failure> {
        let make = || -> Result<ureq::Agent, Failure> {
            let authorities = authorities::authorities(self.authorities.as_deref())?;
            let config = ureq::Agent::config_builder()
                .timeout_connect(Some(Duration::from_secs(20)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                .timeout_recv_body(Some(BODY_TIMEOUT))
                .max_redirects(0)
                // Its header says how long a busy server wants to be left alone.
                .http_status_as_error(false)
                .tls_config(ureq::tls::TlsConfig::builder().root_certs(authorities).build())
                .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
                .build();
            let names = Names { reach, homes: self.homes.clone(), inner: DefaultResolver::default() };
            Ok(ureq::Agent::with_parts(config, DefaultConnector::default(), names))
        };
        let mut agents = held(&self.agents);
        if let Some(known) = agents.get(&reach) {
            return Ok(known.clone());
        }
        let agent = make()?;
        agents.insert(reach, agent.clone());
        Ok(agent)
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

fn response(answer: Answer, from: u64) -> Response {
    let start = if answer.status() == 206 { from } else { 0 };
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
    Response { start, length, body: Box::new(body) }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

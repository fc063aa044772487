//! One request to a registry: with a login where it asks for one, again where that may help, and with what it says in an error.

use std::time::Duration;

use super::OciError;
use super::challenge::{self, Challenge};
use super::credentials::{self, Credentials, Secret};
use super::registry::{Registry, RegistryPatience, Rights};
use crate::world::download::ServerWait;
use crate::world::patience;
use crate::world::place::AddressKind;
use crate::world::{HttpAnswer, HttpExchange, HttpMethod, NamedBy, WorldError, is_same_server, joined_url};

/// Answers that are no manifests are smaller.
const LIMIT: u64 = 256 << 10;
/// Logins for one request: the second one is for a token that has expired meanwhile.
const MAX_LOGINS: u32 = 2;
/// Times that a request is sent again after the network failed.
const MAX_TRIES: u32 = 3;
/// Times that a server is waited for.
const MAX_WAITS: u32 = 6;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A shorter one is no news.
const NOTICED_WAIT: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Redirects in a row.
const MAX_REDIRECTS: usize = 5;
/// Of what a server says in an error, so much is shown.
const MAX_WORDS: usize = 300;

/// What is asked.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: HttpMethod,
    pub(super) url: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) limit: u64,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: HttpMethod, url: &'a str) -> Ask<'a> {
        Ask { method, url, headers: Vec::new(), body: Vec::new(), limit: LIMIT }
    }
}

impl Registry<'_> {
    /// Asks the registry itself. An answer of any status is one, but for those that a login or time mends.
    pub(super) fn send(&self, ask: Ask<'_>) -> Result<HttpAnswer, OciError> {
        let (mut logins, mut tries, mut waits) = (0, 0, 0);
        let (max_tries, max_waits) = match self.patience {
            RegistryPatience::Long => (MAX_TRIES, MAX_WAITS),
            // A connection that was kept open may have ended meanwhile.
            RegistryPatience::None => (1, 0),
        };
        loop {
            self.ask_to_stop()?;
            let mut headers = ask.headers.clone();
            headers.extend(self.login.get().map(|shown| ("authorization", shown)));
            match self.exchange(&ask, headers, NamedBy::User) {
                Ok(answer) if answer.status == 401 && logins < MAX_LOGINS => {
                    logins += 1;
                    self.log_in(&answer)?;
                }
                Ok(answer) if answer.status == 401 => return Err(self.no_entry("it refuses the login".to_owned())),
                Ok(answer) if matches!(answer.status, 429 | 502 | 503 | 504) && waits < max_waits => {
                    let asked = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
                    let asked = asked.map(Duration::from_secs);
                    if let Some(time) = asked.filter(|time| *time > patience::MAX_WAIT) {
                        let problem = format!("http status: {}, and asks to wait {} s", answer.status, time.as_secs());
                        return Err(server(ask.url, problem));
                    }
                    let time = asked.unwrap_or(Duration::from_millis(500) * 2u32.pow(waits)).min(LONGEST_WAIT);
                    waits += 1;
                    if time >= NOTICED_WAIT {
                        let (host, reason) = (self.reference.host.clone(), format!("http status: {}", answer.status));
                        (self.connection.told)(ServerWait { host, seconds: time.as_secs(), reason });
                    }
                    self.pause(time)?;
                }
                Ok(answer) => return Ok(answer),
                Err(WorldError::Fetch { .. }) if tries < max_tries && ask.method != HttpMethod::Patch => {
                    tries += 1;
                    self.pause(Duration::from_millis(200) * tries)?;
                }
                Err(error) => {
                    self.ask_to_stop()?;
                    return Err(error.into());
                }
            }
        }
    }

    fn exchange(
        &self,
        ask: &Ask<'_>,
        headers: Vec<(&'static str, String)>,
        named_by: NamedBy<'_>,
    ) -> Result<HttpAnswer, WorldError> {
        let Ask { method, url, body, limit, .. } = ask;
        let exchange = HttpExchange { method: *method, url, named_by, headers, body: body.clone(), limit: *limit };
        self.connection.world.exchange(&exchange, self.connection.stop)
    }

    fn pause(&self, time: Duration) -> Result<(), OciError> {
        let mut left = time;
        while !left.is_zero() {
            self.ask_to_stop()?;
            let now = left.min(LOOK_INTERVAL);
            self.connection.world.wait(now);
            left -= now;
        }
        Ok(())
    }

    /// Reads something that may be elsewhere: another server is not shown the login.
    pub(super) fn read(&self, ask: Ask<'_>) -> Result<HttpAnswer, OciError> {
        let first = ask.url;
        let mut answer = self.send(ask.clone())?;
        let mut url = first.to_owned();
        for _ in 0..MAX_REDIRECTS {
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = answer.header("location").unwrap_or_default();
            let next = joined_url(&url, location);
            url = next.ok_or_else(|| server(&url, format!("redirects to an invalid URL: {location:?}")))?;
            let ask = Ask { url: &url, ..ask.clone() };
            answer = match is_same_server(first, &url) {
                true => self.send(ask)?,
                false => self.exchange(&ask, ask.headers.clone(), NamedBy::Server(first))?,
            };
        }
        Err(server(first, format!("too many redirects (limit {MAX_REDIRECTS})")))
    }

    /// An error unless the answer is what was asked for.
    pub(super) fn succeeded(&self, method: HttpMethod, url: &str, answer: &HttpAnswer) -> Result<(), OciError> {
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let method = match method {
            HttpMethod::Get => "GET",
            HttpMethod::Head => "HEAD",
            HttpMethod::Post => "POST",
            HttpMethod::Put => "PUT",
            HttpMethod::Patch => "PATCH",
        };
        Err(OciError::Status { method, url: url.to_owned(), status: answer.status, words: words(&answer.body) })
    }

    /// Gets what the registry wants to be shown.
    fn log_in(&self, answer: &HttpAnswer) -> Result<(), OciError> {
        let challenges: Vec<Challenge> = answer.all("www-authenticate").flat_map(challenge::parse).collect();
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let shown = match (of("bearer"), of("basic")) {
            (Some(bearer), _) => format!("Bearer {}", self.token(bearer)?),
            (None, Some(_)) => match credentials::find(self.connection.world, &self.reference.host)? {
                Credentials::Known(Secret::Basic(pair)) => format!("Basic {pair}"),
                Credentials::Known(Secret::Refresh(_)) => {
                    return Err(
                        self.no_entry("its entry in docker's configuration has no user and password".to_owned())
                    );
                }
                Credentials::None(why) => return Err(self.no_entry(why)),
            },
            (None, None) => {
                let problem = "it asks for a login in a way that kiln does not know (known: Bearer, Basic)";
                return Err(server(&self.origin(), problem.to_owned()));
            }
        };
        self.login.set(shown);
        Ok(())
    }

    fn no_entry(&self, why: String) -> OciError {
        OciError::Login { registry: self.reference.host.clone(), why }
    }

    /// Asks a token service, with the user's credentials if there are any.
    fn token(&self, bearer: &Challenge) -> Result<String, OciError> {
        let origin = self.origin();
        let Some(realm) = bearer.parameters.get("realm") else {
            return Err(server(&origin, "it asks for a token and does not say where to get one".to_owned()));
        };
        let found = credentials::find(self.connection.world, &self.reference.host)?;
        let (secret, why) = match found {
            Credentials::Known(secret) => (Some(secret), "the token service refuses its login".to_owned()),
            Credentials::None(why) => (None, why),
        };
        may_be_asked(&origin, realm, secret.is_some()).map_err(|problem| server(&origin, problem))?;
        let service = bearer.parameters.get("service").map(|service| ("service", service.clone()));
        let mut query: Vec<(&str, String)> = service.into_iter().collect();
        query.extend(self.scopes().into_iter().map(|scope| ("scope", scope)));
        let joint = if realm.contains('?') { '&' } else { '?' };
        let (url, ask) = match &secret {
            Some(Secret::Refresh(token)) => {
                query.push(("grant_type", "refresh_token".to_owned()));
                query.push(("client_id", "kiln".to_owned()));
                query.push(("refresh_token", token.clone()));
                let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
                let body = form(&query).into_bytes();
                (realm.clone(), Ask { headers, body, ..Ask::new(HttpMethod::Post, realm) })
            }
            Some(Secret::Basic(pair)) => {
                let headers = vec![("authorization", format!("Basic {pair}"))];
                (format!("{realm}{joint}{}", form(&query)), Ask { headers, ..Ask::new(HttpMethod::Get, "") })
            }
            None => (format!("{realm}{joint}{}", form(&query)), Ask::new(HttpMethod::Get, "")),
        };
        let ask = Ask { url: &url, ..ask };
        let answer = self.exchange(&ask, ask.headers.clone(), NamedBy::Server(&origin));
        let answer = answer.or_else(|error| self.ask_to_stop().and(Err(error.into())))?;
        if matches!(answer.status, 400 | 401 | 403) {
            return Err(self.no_entry(why));
        }
        self.succeeded(ask.method, realm, &answer)?;
        let given: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let text = |name: &str| Some(given.as_ref()?.get(name)?.as_str()?.to_owned());
        let token = text("token").or_else(|| text("access_token"));
        let is_one = |token: &String| !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
        token.filter(is_one).ok_or_else(|| server(realm, "it answers without a token".to_owned()))
    }

    /// What kiln is going to do there, whatever the registry says that it asks a login for.
    fn scopes(&self) -> Vec<String> {
        let rights = match self.access.rights {
            Rights::Pull => "pull",
            Rights::Push => "pull,push",
        };
        let own = format!("repository:{}:{rights}", self.reference.name);
        let mounted = self.access.mount_from.iter().map(|name| format!("repository:{name}:pull"));
        std::iter::once(own).chain(mounted).collect()
    }
}

/// Whether a token service that a registry names may be asked, and may be shown the user's login.
///
/// A registry may leave logins to another host of its own domain, as `registry-1.docker.io` does to `auth.docker.io`. It may not
/// have a login sent to somebody else's host, or past TLS.
fn may_be_asked(registry: &str, realm: &str, with_login: bool) -> Result<(), String> {
    let split = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let is_plain = !authority.is_empty() && !authority.contains('@');
        let host =
            authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(authority, |at| at.0);
        is_plain.then(|| (scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))
    };
    let (Some((_, registry_host)), Some((scheme, host))) = (split(registry), split(realm)) else {
        return Err(format!("its token service is no URL: {realm}"));
    };
    let here = [&registry_host, &host].iter().all(|host| AddressKind::of_host(host) == AddressKind::Loopback);
    match scheme.as_str() {
        "https" => {}
        "http" if registry.starts_with("http://") && (here || is_same_server(registry, realm)) => {}
        "http" => return Err(format!("its token service does not use TLS: {realm}")),
        _ => return Err(format!("its token service is no URL of https: {realm}")),
    }
    if with_login && !here && !is_of_one_domain(&registry_host, &host) {
        return Err(format!("its token service is on a host of another domain, which is not shown the login: {realm}"));
    }
    Ok(())
}

/// Whether two hosts are one, or below one domain that is the parent of the first one.
fn is_of_one_domain(registry: &str, other: &str) -> bool {
    let parent = registry.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
    let is_address = |host: &str| host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    let below = |domain: &str| other == domain || other.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    registry == other || (!is_address(registry) && !is_address(other) && (below(registry) || parent.is_some_and(below)))
}

pub(super) fn server(url: &str, problem: String) -> OciError {
    OciError::Server { url: url.to_owned(), problem }
}

/// `a=b&c=d`, with everything encoded that might be read otherwise.
fn form(pairs: &[(&str, String)]) -> String {
    let one = |(name, value): &(&str, String)| format!("{name}={}", encoded(value));
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

pub(super) fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// What an error of a registry says, in the form of the specification or as it is.
fn words(body: &[u8]) -> String {
    let given: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let first = given.as_ref().and_then(|given| given.get("errors")?.get(0).cloned());
    let text = |name: &str| Some(first.as_ref()?.get(name)?.as_str()?.to_owned());
    let said = match (text("code"), text("message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => String::new(),
    };
    said.chars().take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_stay_in_the_domain_of_the_registry_and_behind_tls() {
        let asked = |registry: &str, realm: &str| may_be_asked(registry, realm, true).err().unwrap_or_default();
        for (registry, realm) in [
            ("https://registry.example:5000", "https://registry.example/token"),
            ("https://registry-1.docker.io", "https://auth.docker.io/token"),
            ("https://registry.team.example", "https://team.example/jwt/auth"),
            ("https://team.example", "https://auth.team.example/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("http://registry.example", "http://registry.example/token"),
        ] {
            assert_eq!(asked(registry, realm), "", "{registry} {realm}");
        }
        for (registry, realm, words) in [
            ("https://registry.example", "http://registry.example/token", "does not use TLS"),
            ("https://registry.example", "https://other.example/token", "another domain"),
            ("https://registry.team.example", "https://xteam.example/token", "another domain"),
            ("https://registry.example", "https://registry.example@evil.example/", "no URL"),
            ("https://registry.example", "https://evil.example/?registry.example", "another domain"),
            ("https://10.0.0.1:5000", "https://9.0.0.1/token", "another domain"),
            ("http://127.0.0.1:5000", "http://evil.example/token", "does not use TLS"),
            ("http://registry.example", "http://auth.registry.example/token", "does not use TLS"),
            ("https://registry.example", "ftp://registry.example/token", "no URL of https"),
            ("https://registry.example", "/token", "no URL"),
        ] {
            assert!(asked(registry, realm).contains(words), "{registry} {realm}: {}", asked(registry, realm));
        }
        // Nobody's login is sent: any host may give a token.
        assert_eq!(may_be_asked("https://registry.example", "https://other.example/token", false), Ok(()));
    }

    #[test]
    fn what_a_server_says_is_short() {
        assert_eq!(words(br#"{"errors":[{"code":"DENIED","message":"no"}]}"#), "DENIED: no");
        assert_eq!(words(b"<html>"), "");
        let long = format!("{{\"errors\":[{{\"code\":\"{}\"}}]}}", "x".repeat(5000));
        assert_eq!(words(long.as_bytes()).len(), MAX_WORDS);
        assert_eq!(form(&[("scope", "repository:a/b:pull,push".to_owned())]), "scope=repository%3Aa%2Fb%3Apull%2Cpush");
    }
}

//! Why an address did not answer, and how long a busy server wants to be left alone.

use std::time::Duration;

use ureq::http::header;

use super::{Answer, tls};
use crate::base::Timestamp;
use crate::world::WorldError;

/// Why an address did not answer.
pub(in crate::world) struct Failure {
    pub(super) reason: String,
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
    pub(in crate::world) fn refused(reason: String) -> Failure {
        Failure { reason, kind: FailureKind::Refused }
    }

    pub(in crate::world) fn passing(reason: String) -> Failure {
        Failure { reason, kind: FailureKind::Passing }
    }

    pub(super) fn of_status(answer: &Answer, now: Timestamp) -> Failure {
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

    pub(in crate::world) fn of(self, url: &str) -> WorldError {
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
        let fault = tls::cause(&error);
        let lasting = fault.is_some_and(tls::is_lasting);
        let kind = if refused || lasting { FailureKind::Refused } else { FailureKind::Passing };
        let hint = fault.map_or("", tls::hint);
        let reason = match &error {
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        Failure { reason: reason + hint, kind }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

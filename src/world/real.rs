//! The world as it is.

#![allow(clippy::disallowed_methods, reason = "this is the door that the ban points to")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Response, World, WorldError, fs};
use crate::base::Epoch;

/// The machine that kiln runs on.
pub struct RealWorld {
    agent: ureq::Agent,
}

impl Default for RealWorld {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_recv_body(Some(Duration::from_secs(3600)))
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .build();
        RealWorld { agent: config.into() }
    }
}

impl World for RealWorld {
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
        fs::read(path, limit)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf, WorldError> {
        fs::context("resolve", path, path.canonicalize())
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, WorldError> {
        let entries = fs::context("list", path, std::fs::read_dir(path))?;
        let entries: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut entries = fs::context("list", path, entries)?;
        entries.sort_unstable();
        Ok(entries)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn now(&self) -> Epoch {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Epoch(since.as_secs() as i64)
    }

    fn get(&self, url: &str, from: u64) -> Result<Response, WorldError> {
        let mut pauses = PAUSES.iter();
        let answer = loop {
            let mut request = self.agent.get(url);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            match (request.call(), pauses.next()) {
                (Ok(answer), _) => break answer,
                (Err(error), Some(pause)) if passing(&error) => std::thread::sleep(*pause),
                (Err(error), _) => {
                    return Err(WorldError::Fetch {
                        url: url.to_owned(),
                        missing: matches!(error, ureq::Error::StatusCode(404 | 410)),
                        reason: error.to_string(),
                    });
                }
            }
        };
        let start = if answer.status() == 206 { from } else { 0 };
        let length = answer.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Response { start, length, body: Box::new(body) })
    }
}

/// How long to wait before a name that could not be looked up for now is looked up again. Without a network this is what an
/// error takes longer, so it is short.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(750)];

/// Whether the resolver itself says that trying again may help (`EAI_AGAIN`, getaddrinfo(3), as glibc and musl spell it): it had no
/// answer in time, which under load is common.
fn passing(error: &ureq::Error) -> bool {
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
}

//! The world as it is.

#![allow(clippy::disallowed_methods, reason = "this is the door that the ban points to")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::dir::Dir;
use super::http::{AUTHORITIES_VARIABLE, Client};
use super::{HttpAnswer, HttpExchange, HttpRequest, KeeperAnswer, Response, World, WorldError, contents, fs, keeper};
use crate::base::Timestamp;

/// The machine that kiln runs on.
pub struct RealWorld {
    client: Client,
}

impl Default for RealWorld {
    fn default() -> RealWorld {
        let authorities = std::env::var_os(AUTHORITIES_VARIABLE).filter(|file| !file.is_empty());
        RealWorld { client: Client::new(authorities.map(PathBuf::from)) }
    }
}

impl World for RealWorld {
    fn trust(&self, hosts: &mut dyn Iterator<Item = String>) {
        self.client.trust(hosts);
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
        fs::read(path, limit)
    }

    fn stream(&self, path: &Path, out: &mut dyn Write) -> Result<u64, WorldError> {
        contents::stream(path, out)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf, WorldError> {
        fs::context("resolve", path, path.canonicalize())
    }

    fn directory(&self, path: &Path) -> Result<Dir, WorldError> {
        Dir::open(path)
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

    fn keeper(&self, program: &str, server: &str) -> std::io::Result<KeeperAnswer> {
        keeper::ask(program, server)
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_secs() as i64)
    }

    fn get(&self, request: &HttpRequest<'_>) -> Result<Response, WorldError> {
        self.client.get(request, self.now())
    }

    fn get_within(&self, request: &HttpRequest<'_>, time: Duration) -> Result<Response, WorldError> {
        self.client.get_within(request, self.now(), time)
    }

    fn exchange(
        &self,
        exchange: &HttpExchange<'_>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<HttpAnswer, WorldError> {
        self.client.exchange(exchange, stop)
    }
}

//! A world for tests: files, variables, pages and a clock that stands still.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Component, Path, PathBuf};

use super::dir::Dir;
use super::{HttpRequest, KeeperAnswer, Response, World, WorldError};
use crate::base::Timestamp;

/// A machine whose whole state is in its fields.
#[derive(Debug, Clone)]
pub struct MemoryWorld {
    /// Files by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Directories by absolute path, each one that is on disk: where only their files' descriptors will do.
    pub directories: BTreeMap<PathBuf, PathBuf>,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// What programs say that keep logins, by their names and the servers.
    pub keepers: BTreeMap<(String, String), KeeperAnswer>,
    /// Bodies by URL.
    pub pages: BTreeMap<String, Vec<u8>>,
    pub now: Timestamp,
}

impl Default for MemoryWorld {
    fn default() -> Self {
        MemoryWorld {
            files: BTreeMap::new(),
            directories: BTreeMap::new(),
            variables: BTreeMap::new(),
            keepers: BTreeMap::new(),
            pages: BTreeMap::new(),
            now: Timestamp(0),
        }
    }
}

impl World for MemoryWorld {
    /// Every address is a name of a file here, and leads nowhere else.
    fn trust(&self, _: &mut dyn Iterator<Item = String>) {}

    fn keeper(&self, program: &str, server: &str) -> std::io::Result<KeeperAnswer> {
        let answer = self.keepers.get(&(program.to_owned(), server.to_owned())).cloned();
        answer.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    /// The clock stands still.
    fn wait(&self, _: std::time::Duration) {}

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
        let bytes = self.files.get(path).ok_or_else(|| not_found("read", path))?;
        if bytes.len() as u64 > limit {
            return Err(WorldError::TooLarge { path: path.to_owned(), limit });
        }
        Ok(bytes.clone())
    }

    fn stream(&self, path: &Path, out: &mut dyn Write) -> Result<u64, WorldError> {
        let bytes = self.files.get(path).ok_or_else(|| not_found("read", path))?;
        super::fs::context("read", path, out.write_all(bytes))?;
        Ok(bytes.len() as u64)
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.keys().chain(self.directories.keys()).any(|file| file.starts_with(path))
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf, WorldError> {
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component {
                Component::ParentDir => drop(plain.pop()),
                Component::CurDir => {}
                other => plain.push(other),
            }
        }
        if self.exists(&plain) { Ok(plain) } else { Err(not_found("resolve", path)) }
    }

    fn directory(&self, path: &Path) -> Result<Dir, WorldError> {
        Dir::open(self.directories.get(path).ok_or_else(|| not_found("open", path))?)
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, WorldError> {
        let mut entries: Vec<PathBuf> = self
            .files
            .keys()
            .filter_map(|file| Some(path.join(file.strip_prefix(path).ok()?.components().next()?)))
            .collect();
        entries.dedup();
        if entries.is_empty() { Err(not_found("list", path)) } else { Ok(entries) }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn get(&self, request: &HttpRequest<'_>) -> Result<Response, WorldError> {
        let HttpRequest { url, from, .. } = *request;
        let page = self.pages.get(url).ok_or_else(|| WorldError::Fetch {
            url: url.to_owned(),
            reason: "http status: 404".to_owned(),
            missing: true,
        })?;
        let rest = page.get(from as usize..).unwrap_or_default().to_vec();
        Ok(Response { start: from, length: Some(rest.len() as u64), body: Box::new(Cursor::new(rest)) })
    }
}

fn not_found(verb: &'static str, path: &Path) -> WorldError {
    WorldError::File { verb, path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() }
}

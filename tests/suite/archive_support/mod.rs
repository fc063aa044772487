//! A tiny signed Debian archive, made while a test runs: in memory for a `MemoryWorld`, or served over loopback HTTP.
//!
//! ```ignore
//! let archive = TinyArchive::new("trixie").package(Package::new("hello", "1.0").depends("libc6 (>= 2)"));
//! let server = Server::start(&[&archive]);      // KILN_MIRROR=server.url()
//! ```

pub(crate) mod deb;
pub(crate) mod key;
pub(crate) mod recipes;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;

use kiln::base::{Arch, Digest, Timestamp};
use kiln::world::memory::MemoryWorld;

pub(crate) use deb::Package;
pub(crate) use key::TestKey;
#[allow(unused_imports, reason = "each topic takes what it needs")]
pub(crate) use recipes::{recipe, request, set};
#[allow(unused_imports, reason = "each topic takes what it needs")]
pub(crate) use server::{Fault, Server};

/// The mirror of `MemoryWorld`s: `KILN_MIRROR` in them.
pub(crate) const MIRROR: &str = "http://mirror.example";

/// One suite with one component, `main`.
#[derive(Clone)]
pub(crate) struct TinyArchive {
    pub(crate) suite: String,
    pub(crate) repository: String,
    pub(crate) architecture: Arch,
    pub(crate) packages: Vec<Package>,
    pub(crate) date: Timestamp,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) by_hash: bool,
    pub(crate) key: TestKey,
    /// Lines added to `Sources`.
    pub(crate) sources: String,
    /// Text added to `Packages`.
    pub(crate) odd: String,
    pub(crate) layout: Layout,
}

/// How an archive is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As Debian's are.
    Suite,
    /// With `Release` and `Release.gpg` instead of `InRelease`.
    Detached,
    /// Packages beside their index; the suite is a directory with a `/` at its end.
    Flat,
}

#[allow(dead_code, reason = "each topic takes what it needs")]
impl TinyArchive {
    /// An empty suite of the repository `debian`, made an hour ago and valid for a week.
    pub(crate) fn new(suite: &str) -> Self {
        let date = Timestamp(now().0 - 3600);
        TinyArchive {
            suite: suite.to_owned(),
            repository: "debian".to_owned(),
            architecture: Arch::Amd64,
            packages: Vec::new(),
            date,
            valid_until: Some(Timestamp(date.0 + 7 * 86_400)),
            by_hash: true,
            key: TestKey::new(1),
            sources: String::new(),
            odd: String::new(),
            layout: if suite.ends_with('/') { Layout::Flat } else { Layout::Suite },
        }
    }

    pub(crate) fn package(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    pub(crate) fn repository(mut self, repository: &str) -> Self {
        self.repository = repository.to_owned();
        self
    }

    pub(crate) fn signed_by(mut self, key: &TestKey) -> Self {
        self.key = key.clone();
        self
    }

    pub(crate) fn dated(mut self, date: Timestamp) -> Self {
        self.date = date;
        self
    }

    pub(crate) fn valid_until(mut self, until: Option<Timestamp>) -> Self {
        self.valid_until = until;
        self
    }

    pub(crate) fn detached(mut self) -> Self {
        self.layout = Layout::Detached;
        self
    }

    /// With more text in its index.
    pub(crate) fn odd(mut self, text: &str) -> Self {
        self.odd = text.to_owned();
        self
    }

    /// What recipes call it: its suite, which is no name where the archive is flat.
    pub(crate) fn name(&self) -> String {
        if self.layout == Layout::Flat { "flat".to_owned() } else { self.suite.clone() }
    }

    /// The suite's directory, with a slash at its end.
    fn directory(&self) -> String {
        match (self.layout, self.suite.as_str()) {
            (Layout::Flat, "./") => String::new(),
            (Layout::Flat, suite) => suite.to_owned(),
            (_, suite) => format!("dists/{suite}/"),
        }
    }

    /// Every file by path relative to the repository's base.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut packages = String::new();
        let (flat, directory) = (self.layout == Layout::Flat, self.directory());
        for package in &self.packages {
            let (path, bytes) = (package.path(), package.build());
            let name = path.rsplit('/').next().unwrap().to_owned();
            let (stated, path) =
                if flat { (format!("./{directory}{name}"), directory.clone() + &name) } else { (path.clone(), path) };
            packages.push_str(&package.stanza(&stated, &bytes));
            packages.push('\n');
            files.insert(path, bytes);
        }
        packages.push_str(&self.odd);
        let binary = if flat { "Packages".to_owned() } else { format!("main/binary-{}/Packages", self.architecture) };
        let mut indexes = vec![(format!("{binary}.xz"), xz(packages.as_bytes())), (binary, packages.into_bytes())];
        if !self.sources.is_empty() {
            indexes.push(("main/source/Sources.gz".to_owned(), gz(self.sources.as_bytes())));
            indexes.push(("main/source/Sources".to_owned(), self.sources.clone().into_bytes()));
        }
        let release = self.release(&indexes);
        if self.layout == Layout::Detached {
            files.insert(format!("{directory}Release.gpg"), self.key.sign_detached(&release, self.date));
            files.insert(format!("{directory}Release"), release.into_bytes());
        } else {
            files.insert(format!("{directory}InRelease"), self.key.sign(&release, self.date).into_bytes());
        }
        for (path, bytes) in indexes {
            // As on Debian's mirrors, the unpacked index is signed, but not there.
            if path.ends_with("Packages") || path.ends_with("Sources") {
                continue;
            }
            let below = path.rfind('/').map_or("", |slash| &path[..=slash]);
            files.insert(format!("{directory}{below}by-hash/SHA256/{}", Digest::of(&bytes)), bytes.clone());
            files.insert(format!("{directory}{path}"), bytes);
        }
        files
    }

    fn release(&self, indexes: &[(String, Vec<u8>)]) -> String {
        let named = format!("Suite: {0}\nCodename: {0}\n", self.suite);
        let named = if self.layout == Layout::Flat { String::new() } else { named };
        let mut text = format!("Origin: Test\n{named}Date: {}\n", spelled(self.date));
        if let Some(until) = self.valid_until {
            text.push_str(&format!("Valid-Until: {}\n", spelled(until)));
        }
        let by_hash = if self.by_hash { "yes" } else { "no" };
        text.push_str(&format!(
            "Acquire-By-Hash: {by_hash}\nArchitectures: all {}\nNo-Support-for-Architecture-all: Packages\nComponents: main\nSHA256:\n",
            self.architecture
        ));
        for (path, bytes) in indexes {
            text.push_str(&format!(" {} {:>8} {path}\n", Digest::of(bytes), bytes.len()));
        }
        text
    }

    /// Puts every file into a world, at [`MIRROR`]; changes to what is there already replace it.
    pub(crate) fn publish(&self, world: &mut MemoryWorld) {
        world.now = now();
        world.variables.insert("KILN_MIRROR".to_owned(), MIRROR.to_owned());
        for (path, bytes) in self.files() {
            world.pages.insert(format!("{MIRROR}/{}/{path}", self.repository), bytes);
        }
    }

    /// The page of one of its files in a [`MemoryWorld`].
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{MIRROR}/{}/{}{path}", self.repository, self.directory())
    }
}

/// The clock of tests is the machine's: signatures are made while they run.
pub(crate) fn now() -> Timestamp {
    Timestamp(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64)
}

/// `Sat, 12 Sep 2026 07:55:41 UTC`
pub(crate) fn spelled(instant: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = instant.civil();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let weekday = days[(instant.0.div_euclid(86_400)).rem_euclid(7) as usize];
    let month = months[month as usize - 1];
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Compressed once in a process: many tests ask for the same archive, whose large files take seconds.
pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    static KNOWN: Mutex<BTreeMap<Digest, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let compress = || {
        let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    known.entry(Digest::of(bytes)).or_insert_with(compress).clone()
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

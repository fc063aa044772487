//! Where a repository may be asked for: the mirrors a user names, those the host uses, then Debian's snapshot service.
//!
//! Input: texts. Output: base URLs in the order in which they are asked. Whatever answers, digests and signatures
//! decide; so the choice is about speed and reach only, and never about bits.
//!
//! `KILN_MIRROR` holds words, the user's file (`$XDG_CONFIG_HOME/kiln/mirrors`) lines of them: `REPOSITORY=URL` is one
//! repository's base, a bare `URL` means `URL/REPOSITORY` for every repository. The host's apt sources count where the
//! last part of a URI is the repository's name.

use std::path::{Path, PathBuf};

use super::control;
use crate::base::Timestamp;
use crate::world::{World, WorldError};

/// Debian's snapshot service: every state of the archive, by timestamp.
pub const SNAPSHOT: &str = "https://snapshot.debian.org/archive";
/// Debian publishes every six hours; the service has taken a state within a day.
const STATE_DELAYS_SECONDS: [i64; 3] = [0, 6 * 3600, 24 * 3600];
/// Configuration beyond this is refused.
const LIMIT: u64 = 1 << 20;

/// The mirrors that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// What the user named, in order.
    chosen: Vec<Chosen>,
    /// URIs of the host's apt sources, in order.
    host: Vec<String>,
    /// The snapshot service, where it is not Debian's own.
    service: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    /// `None`: every repository lies below the URL.
    repository: Option<String>,
    url: String,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A word that is neither form.
    #[error("{place}: expected REPOSITORY=URL or URL (http:// or https://), found {word:?}")]
    Word {
        /// `KILN_MIRROR`, or the file.
        place: String,
        word: String,
    },
    /// No address of a service.
    #[error("KILN_SNAPSHOT: expected a URL (http:// or https://), found {0:?}")]
    Service(String),
    /// A file could not be read.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl Mirrors {
    /// Asks the world for the variable, the user's file and the host's apt sources.
    pub fn of(world: &dyn World) -> Result<Mirrors, MirrorError> {
        let mut mirrors = Mirrors::default();
        if let Some(word) = world.env("KILN_SNAPSHOT") {
            mirrors.service = Some(web(&word).ok_or(MirrorError::Service(word))?);
        }
        if let Some(words) = world.env("KILN_MIRROR") {
            mirrors.add("KILN_MIRROR", &words)?;
        }
        if let Some(path) = config_file(world)
            && world.exists(&path)
        {
            mirrors.add(&path.display().to_string(), &text(world.read(&path, LIMIT)?))?;
        }
        let mut sources = vec![PathBuf::from("/etc/apt/sources.list")];
        sources.extend(world.list(Path::new("/etc/apt/sources.list.d")).unwrap_or_default());
        for path in sources {
            // A host without apt, or whose sources we may not read, only has fewer mirrors.
            if let Ok(bytes) = world.read(&path, LIMIT) {
                mirrors.add_apt(path.extension().and_then(|end| end.to_str()).unwrap_or(""), &text(bytes));
            }
        }
        Ok(mirrors)
    }

    /// Adds the user's words; `#` begins a comment.
    pub fn add(&mut self, place: &str, words: &str) -> Result<(), MirrorError> {
        let words = words.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace());
        for word in words {
            let (repository, url) = match word.split_once('=') {
                Some((name, url)) if !name.contains([':', '/']) => (Some(name.to_owned()), url),
                _ => (None, word),
            };
            let url = web(url).ok_or_else(|| MirrorError::Word { place: place.to_owned(), word: word.to_owned() })?;
            self.chosen.push(Chosen { repository, url });
        }
        Ok(())
    }

    /// Adds the URIs of one of apt's files: stanzas in `.sources`, lines in `.list`.
    pub fn add_apt(&mut self, extension: &str, text: &str) {
        match extension {
            "sources" => self.add_stanzas(text),
            "list" => {
                for line in text.lines().map(|line| line.split('#').next().unwrap_or("")) {
                    let mut words = line
                        .split_whitespace()
                        .skip_while(|word| word.starts_with("deb") || word.contains(['[', ']', '=']));
                    self.host.extend(words.next().and_then(web));
                }
            }
            _ => {}
        }
        let mut seen = std::collections::BTreeSet::new();
        self.host.retain(|url| seen.insert(url.clone()));
    }

    fn add_stanzas(&mut self, text: &str) {
        let mut stanzas = control::Stanzas::new(text.as_bytes());
        while let Ok(Some(stanza)) = stanzas.advance() {
            let disabled = control::field(stanza, "Enabled").is_some_and(|value| matches!(value, "no" | "false" | "0"));
            let uris = control::field(stanza, "URIs").filter(|_| !disabled).unwrap_or("");
            self.host.extend(uris.split_whitespace().filter_map(web));
        }
    }

    /// The hosts that the user and the host's apt sources name.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        let urls = self.chosen.iter().map(|chosen| &chosen.url).chain(&self.host);
        urls.filter_map(|url| {
            let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
            let host = authority.rsplit('@').next()?;
            let port = host.rfind(':').filter(|colon| host[*colon..].chars().skip(1).all(|c| c.is_ascii_digit()));
            Some(host[..port.unwrap_or(host.len())].to_ascii_lowercase())
        })
    }

    /// The address of the snapshot service.
    pub fn service(&self) -> &str {
        self.service.as_deref().unwrap_or(SNAPSHOT)
    }

    /// Base URLs for a repository, in the order in which they are asked, each once. The service is asked for its states at
    /// these timestamps; without any (nothing is locked yet) it is not asked.
    pub fn bases(&self, repository: &str, snapshots: &[Timestamp]) -> Vec<String> {
        let chosen = self.chosen.iter().filter_map(|chosen| match &chosen.repository {
            None => Some(format!("{}/{repository}", chosen.url)),
            Some(name) if name == repository => Some(chosen.url.clone()),
            Some(_) => None,
        });
        let end = format!("/{repository}");
        let host = self.host.iter().filter(|url| url.ends_with(&end)).cloned();
        let service = self.service();
        let states = snapshots.iter().map(|moment| format!("{service}/{repository}/{}", moment.snapshot()));
        let mut bases: Vec<String> = Vec::new();
        for base in chosen.chain(host).chain(states) {
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }

    /// Where a file by URL may be had whose digest is known. The snapshot service limits downloads strictly: what it has from
    /// a repository is asked from the mirrors first, and from another service where the user names one.
    pub fn copies(&self, url: &str) -> Vec<String> {
        let Some((repository, path)) = of_service(url) else { return vec![url.to_owned()] };
        let copies = self.bases(repository, &[]).into_iter().map(|base| format!("{base}/{path}"));
        copies.chain([url.replacen(SNAPSHOT, self.service(), 1)]).collect()
    }
}

/// Repository and path of an address of the snapshot service: `debian` and `pool/main/n/ndctl/ndctl_81.orig.tar.gz` of
/// `SNAPSHOT/debian/20251101T000000Z/pool/main/n/ndctl/ndctl_81.orig.tar.gz`.
fn of_service(url: &str) -> Option<(&str, &str)> {
    let (repository, rest) = url.strip_prefix(SNAPSHOT)?.strip_prefix('/')?.split_once('/')?;
    let (moment, path) = rest.split_once('/')?;
    Timestamp::parse_snapshot(moment)?;
    (!path.is_empty()).then_some((repository, path))
}

/// The address of the snapshot service.
pub fn service(world: &dyn World) -> String {
    world.env("KILN_SNAPSHOT").and_then(|word| web(&word)).unwrap_or_else(|| SNAPSHOT.to_owned())
}

/// Timestamps at which the service may have a file that was published at this one. It answers with the last state that it
/// took before a timestamp, and takes a state hours after it was published: what was new then is in a later one.
pub fn states(published: Timestamp) -> Vec<Timestamp> {
    STATE_DELAYS_SECONDS.iter().map(|delay| Timestamp(published.0.saturating_add(*delay))).collect()
}

fn config_file(world: &dyn World) -> Option<PathBuf> {
    let home = || world.env("HOME").map(|home| Path::new(&home).join(".config"));
    let directory = world.env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(directory.join("kiln/mirrors"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An http or https URL without its last slash.
fn web(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let plain = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::memory::MemoryWorld;

    fn world() -> MemoryWorld {
        let mut world = MemoryWorld::default();
        world.variables.insert(
            "KILN_MIRROR".to_owned(),
            "debian=http://one.mirror.example/d/ https://two.mirror.example".to_owned(),
        );
        world.variables.insert("HOME".to_owned(), "/home/me".to_owned());
        let file = b"# mine\ndebian-security=http://three.mirror.example/s\n".to_vec();
        world.files.insert("/home/me/.config/kiln/mirrors".into(), file);
        let sources = b"Types: deb\nURIs: http://host.mirror.example/debian/\nSuites: x\n\nEnabled: no\nURIs: http://off.mirror.example/debian\n";
        world.files.insert("/etc/apt/sources.list.d/debian.sources".into(), sources.to_vec());
        let list = b"# deb http://no.mirror.example/debian x main\ndeb [arch=amd64 signed-by=/k] http://list.mirror.example/debian x main\ndeb file:/srv/debian x main\n";
        world.files.insert("/etc/apt/sources.list".into(), list.to_vec());
        world
    }

    #[test]
    fn the_users_words_come_first_then_the_host_then_the_snapshot_service() {
        let mirrors = Mirrors::of(&world()).unwrap();
        let expected = [
            "http://one.mirror.example/d",
            "https://two.mirror.example/debian",
            "http://list.mirror.example/debian",
            "http://host.mirror.example/debian",
            &format!("{SNAPSHOT}/debian/20261121T021046Z"),
        ];
        assert_eq!(mirrors.bases("debian", &[Timestamp::parse_snapshot("20261121T021046Z").unwrap()]), expected);
        let security = ["https://two.mirror.example/debian-security", "http://three.mirror.example/s"];
        assert_eq!(mirrors.bases("debian-security", &[]), security);
    }

    #[test]
    fn what_the_service_has_is_asked_from_mirrors_first() {
        let mut mirrors = Mirrors::of(&world()).unwrap();
        let url = format!("{SNAPSHOT}/debian/20251101T000000Z/pool/x_1.tar.gz");
        let copies = mirrors.copies(&url);
        assert_eq!(copies.first().unwrap(), "http://one.mirror.example/d/pool/x_1.tar.gz");
        assert_eq!(copies.last().unwrap(), &url);
        mirrors.service = Some("http://service.example/a".to_owned());
        assert_eq!(
            mirrors.copies(&url).last().unwrap(),
            "http://service.example/a/debian/20251101T000000Z/pool/x_1.tar.gz"
        );
        for other in ["https://host.example/x", &format!("{SNAPSHOT}/debian/now/pool/x"), SNAPSHOT] {
            assert_eq!(mirrors.copies(other), [other]);
        }
    }

    #[test]
    fn the_service_is_asked_at_later_timestamps_too_and_may_be_another_one() {
        let moment = Timestamp::parse_snapshot("20261121T200000Z").unwrap();
        let bases = |mirrors: &Mirrors| mirrors.bases("debian", &states(moment));
        let at = |service: &str| {
            ["20261121T200000Z", "20261122T020000Z", "20261122T200000Z"].map(|at| format!("{service}/debian/{at}"))
        };
        assert_eq!(bases(&Mirrors::default()), at(SNAPSHOT));
        let mut world = MemoryWorld::default();
        world.variables.insert("KILN_SNAPSHOT".to_owned(), "http://127.0.0.1:8/archive/".to_owned());
        assert_eq!(bases(&Mirrors::of(&world).unwrap()), at("http://127.0.0.1:8/archive"));
        world.variables.insert("KILN_SNAPSHOT".to_owned(), "file:///archive".to_owned());
        assert!(matches!(Mirrors::of(&world), Err(MirrorError::Service(_))));
    }

    #[test]
    fn hosts_stand_without_user_and_port() {
        let mut mirrors = Mirrors::default();
        let words = "a=http://Me:pw@One.example:80/x https://[fd00::1]:8080 http://10.0.0.1/debian";
        mirrors.add("test", words).unwrap();
        assert_eq!(mirrors.hosts().collect::<Vec<_>>(), ["one.example", "[fd00::1]", "10.0.0.1"]);
    }

    #[test]
    fn a_word_that_is_no_mirror_is_named_with_its_place() {
        for word in ["mirror.example/debian", "debian=ftp://mirror.example", "debian=", "http://"] {
            let error = Mirrors::default().add("KILN_MIRROR", word).unwrap_err().to_string();
            assert!(error.contains("KILN_MIRROR") && error.contains(word), "{error}");
        }
    }
}

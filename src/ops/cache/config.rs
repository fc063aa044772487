//! Which caches there are, and what a build does with them.

use std::path::{Path, PathBuf};

use super::repository::RegistryPlace;
use crate::oci::{OciError, Reference, Which};
use crate::ops::error::{CacheError, OpsError};
use crate::ops::sign::config_file;
use crate::world::World;

/// No file that lists caches is larger.
const LIMIT: u64 = 1 << 20;
/// The variable, and the file below the user's configuration.
const VARIABLE: &str = "KILN_CACHES";
const FILE: &str = "caches";
/// What stands before a cache that also holds what was made from private files.
const PRIVATE: &str = "private=";
/// What stands before a repository whose registry speaks HTTP without TLS. One on this host always does.
const PLAIN_HTTP: &str = "plain-http=";
/// What an image layout begins with.
const LAYOUT: &str = "oci:";

/// What of other people's results counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// Caches are asked for what the store lacks.
    #[default]
    Ask,
    /// What was taken from caches before.
    Remembered,
    /// Nothing.
    Nothing,
}

/// What a caller says of caches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheOptions {
    /// What counts.
    pub wanted: CacheUse,
    /// Caches besides those that the user has configured.
    pub places: Vec<String>,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct CachePlace {
    /// As the user named it.
    pub(in crate::ops) name: String,
    pub(in crate::ops) kind: PlaceKind,
    pub(in crate::ops) privacy: Privacy,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) enum PlaceKind {
    Directory(PathBuf),
    /// An address without its last slash.
    Web(String),
    /// A repository of a container registry.
    Registry(RegistryPlace),
    /// The directory of an OCI image layout.
    Layout(PathBuf),
}

/// What a cache may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Privacy {
    /// Results that were made from files that everybody may read.
    Public,
    /// Those that were made from private files as well.
    Private,
}

/// What a path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relative {
    /// The working directory.
    Here,
    /// Nothing: it must be absolute, since it is not known where it is read.
    Nothing,
}

/// The caches of an option, the environment and the user's configuration, each once, in this order. One that is private by any of
/// them is.
pub(in crate::ops) fn places(world: &dyn World, options: &CacheOptions) -> Result<Vec<CachePlace>, OpsError> {
    let mut places: Vec<CachePlace> = Vec::new();
    let mut add = |place: CachePlace| match places.iter_mut().find(|known| known.kind == place.kind) {
        Some(known) if place.privacy == Privacy::Private => known.privacy = Privacy::Private,
        Some(_) => {}
        None => places.push(place),
    };
    for word in &options.places {
        add(named(world, word)?);
    }
    if let Some(words) = world.env(VARIABLE) {
        for word in words.split_whitespace() {
            add(parse(world, (VARIABLE, word), Relative::Nothing)?);
        }
    }
    if let Some(file) = config_file(world, FILE).filter(|file| world.exists(file)) {
        let text = String::from_utf8_lossy(&world.read(&file, LIMIT)?).into_owned();
        let origin = file.display().to_string();
        for line in text.lines().map(|line| line.split(" #").next().unwrap_or("").trim()) {
            if !line.is_empty() && !line.starts_with('#') {
                add(parse(world, (&origin, line), Relative::Nothing)?);
            }
        }
    }
    Ok(places)
}

/// A cache that is named on the command line.
pub(in crate::ops) fn named(world: &dyn World, word: &str) -> Result<CachePlace, CacheError> {
    parse(world, ("--cache", word), Relative::Here)
}

fn parse(world: &dyn World, (origin, word): (&str, &str), relative: Relative) -> Result<CachePlace, CacheError> {
    let wrong = |problem| CacheError::Place { origin: origin.to_owned(), word: word.to_owned(), problem };
    let (mut name, mut privacy, mut plain_http) = (word, Privacy::Public, false);
    loop {
        name = match (name.strip_prefix(PRIVATE), name.strip_prefix(PLAIN_HTTP)) {
            (Some(rest), _) if privacy == Privacy::Public => {
                privacy = Privacy::Private;
                rest
            }
            (None, Some(rest)) if !plain_http => {
                plain_http = true;
                rest
            }
            (None, None) => break,
            _ => return Err(wrong("it says the same twice")),
        };
    }
    if plain_http && (name.contains("://") || name.starts_with(LAYOUT) || !Reference::is_meant(name)) {
        return Err(wrong("`plain-http=` stands before a repository of a registry: plain-http=registry.example/NAME"));
    }
    let kind = match name.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()) => {
            if rest.contains(['?', '#', '@']) {
                return Err(wrong("an address of a cache has no user, query or fragment"));
            }
            PlaceKind::Web(name.trim_end_matches('/').to_owned())
        }
        Some(_) => {
            return Err(wrong(
                "expected a directory, an address with http:// or https://, a repository of a registry, or oci:DIR",
            ));
        }
        None if name.starts_with(LAYOUT) => layout(world, name, relative).map_err(wrong)?,
        None if Reference::is_meant(name) => PlaceKind::Registry(repository(name, plain_http).map_err(wrong)?),
        None => PlaceKind::Directory(directory(world, name, relative).ok_or_else(|| {
            wrong(
                "expected the absolute path of a directory, an address with http:// or https://, a repository of a \
                 registry, or oci:DIR",
            )
        })?),
    };
    Ok(CachePlace { name: name.to_owned(), kind, privacy })
}

/// A repository as a whole: what is in it is found by tags of kiln's own.
fn repository(name: &str, plain_http: bool) -> Result<RegistryPlace, &'static str> {
    match Reference::parse(name) {
        Ok(Reference::Registry(reference)) if reference.which == Which::default() => {
            Ok(RegistryPlace::new(reference, plain_http))
        }
        Ok(Reference::Registry(_)) => Err("a cache is a whole repository, without a tag or digest"),
        Err(OciError::Reference { problem, .. }) => Err(problem),
        Ok(Reference::Layout(_)) | Err(_) => Err("expected the name of a repository"),
    }
}

/// A layout as a whole, in the same way.
fn layout(world: &dyn World, name: &str, relative: Relative) -> Result<PlaceKind, &'static str> {
    let path = match Reference::parse(name) {
        Ok(Reference::Layout(reference)) if reference.which == Which::default() => reference.directory,
        Ok(_) => return Err("a cache is a whole image layout, without a tag or digest"),
        Err(OciError::Reference { problem, .. }) => return Err(problem),
        Err(_) => return Err("expected oci:DIR"),
    };
    let path = path.to_str().and_then(|path| directory(world, path, relative));
    path.map(PlaceKind::Layout).ok_or("expected the absolute path of an image layout: oci:/DIR")
}

fn directory(world: &dyn World, name: &str, relative: Relative) -> Option<PathBuf> {
    if let Some(below) = name.strip_prefix("~/") {
        return Some(Path::new(&world.env("HOME")?).join(below));
    }
    let path = PathBuf::from(name);
    (path.is_absolute() || relative == Relative::Here && !name.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::memory::MemoryWorld;

    fn world() -> MemoryWorld {
        let mut world = MemoryWorld::default();
        world.variables.insert("HOME".to_owned(), "/home/me".to_owned());
        world.variables.insert(VARIABLE.to_owned(), "https://cache.example/kiln/ /srv/cache".to_owned());
        let file = b"# ours\n\nprivate=/srv/cache\nprivate=~/team cache # of the team\n".to_vec();
        world.files.insert("/home/me/.config/kiln/caches".into(), file);
        world
    }

    #[test]
    fn caches_come_from_the_option_the_environment_and_the_file_each_once() {
        let options = CacheOptions { places: vec!["here".to_owned()], ..CacheOptions::default() };
        let places = places(&world(), &options).unwrap();
        let kinds: Vec<PlaceKind> = places.iter().map(|place| place.kind.clone()).collect();
        let directory = |path: &str| PlaceKind::Directory(path.into());
        let web = PlaceKind::Web("https://cache.example/kiln".to_owned());
        let team = directory("/home/me/team cache");
        assert_eq!(kinds, [directory("here"), web, directory("/srv/cache"), team]);
        let private: Vec<bool> = places.iter().map(|place| place.privacy == Privacy::Private).collect();
        assert_eq!(private, [false, false, true, true]);
    }

    #[test]
    fn a_repository_of_a_registry_is_told_from_a_path_by_its_host() {
        let kind = |word: &str| named(&world(), word).unwrap().kind;
        for word in ["registry.example/team/cache", "localhost/cache", "private=127.0.0.1:5000/cache"] {
            assert!(matches!(kind(word), PlaceKind::Registry(_)), "{word}");
        }
        for word in ["./registry.example/cache", "/srv/x.y/cache", "~/x.y/cache", "team/cache"] {
            assert!(matches!(kind(word), PlaceKind::Directory(_)), "{word}");
        }
    }

    #[test]
    fn words_before_a_place_say_how_it_is_spoken_to_and_what_it_may_hold() {
        let place = |word: &str| named(&world(), word).unwrap();
        let plain = |word: &str| match place(word).kind {
            PlaceKind::Registry(registry) => registry.plain_http(),
            other => panic!("{word}: {other:?}"),
        };
        assert!(!plain("registry.example/cache") && plain("plain-http=registry.example/cache"));
        for word in ["plain-http=private=registry.example/cache", "private=plain-http=registry.example/cache"] {
            assert!(plain(word) && place(word).privacy == Privacy::Private, "{word}");
        }
        // One registry with TLS and one without are two places.
        let options = |words: &[&str]| CacheOptions {
            places: words.iter().map(|word| (*word).to_owned()).collect(),
            ..CacheOptions::default()
        };
        let both = ["registry.example/cache", "plain-http=registry.example/cache", "registry.example/cache"];
        assert_eq!(places(&MemoryWorld::default(), &options(&both)).unwrap().len(), 2);
        for (word, path) in
            [("oci:/srv/layout", "/srv/layout"), ("oci:here", "here"), ("oci:~/lay:out/x", "/home/me/lay:out/x")]
        {
            assert_eq!(place(word).kind, PlaceKind::Layout(path.into()), "{word}");
        }
    }

    #[test]
    fn what_is_no_cache_is_refused_with_its_place() {
        for word in [
            "ftp://cache.example",
            "http://",
            "https://me:pw@cache.example",
            "relative/path",
            "private=",
            "registry.example/cache:tag",
            "registry.example/UPPER",
            "oci:/srv/layout:tag",
            "oci:relative",
            "oci:",
            "plain-http=/srv/cache",
            "plain-http=oci:/srv/layout",
            "plain-http=http://registry.example/cache",
            "plain-http=plain-http=registry.example/cache",
            "private=private=/srv/cache",
        ] {
            let mut world = world();
            world.variables.insert(VARIABLE.to_owned(), word.to_owned());
            let error = places(&world, &CacheOptions::default()).unwrap_err().to_string();
            assert!(error.contains(VARIABLE) && error.contains(word), "{error}");
        }
    }
}

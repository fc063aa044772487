//! What a registry is shown: entries of docker's configuration, `auths` in `config.json`, and what the programs know that it names for
//! that (`credHelpers`, `credsStore`).
//!
//! No recipe, lock or registry has a word in which program runs: the file is the user's own.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde_json::Value;

use super::OciError;
use crate::base::{Foreign, base64};
use crate::world::{KeeperAnswer, World, WorldError};

/// No such file is larger.
const LIMIT: u64 = 1 << 20;
/// How docker calls its own registry in the file.
const DOCKER: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", DOCKER_SERVER];

/// How docker calls it when it asks such a program.
const DOCKER_SERVER: &str = "https://index.docker.io/v1/";
/// The user name of a token (docker-credential-helpers, `credentials.Credentials`).
const TOKEN: &str = "<token>";
/// Characters of what a program says instead of a login.
const SHOWN: usize = 200;

/// What lets somebody in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// User and password, as they stand behind `Basic`.
    Basic(String),
    /// What a token service gives tokens for.
    Refresh(String),
}

/// What is known of a registry.
pub(super) enum Credentials {
    Known(Secret),
    /// Nothing, and why.
    None(String),
}

/// Looks a registry up.
pub(super) fn find(world: &dyn World, host: &str) -> Result<Credentials, OciError> {
    let directory = world.env("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| world.env("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let Some(directory) = directory else {
        return Ok(Credentials::None("set HOME or DOCKER_CONFIG, where docker keeps its logins".to_owned()));
    };
    let file = directory.join("config.json");
    let text = match world.read(&file, LIMIT) {
        Ok(text) => text,
        Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Credentials::None(format!("{} has no login for it: run docker login", file.display())));
        }
        Err(error) => return Err(error.into()),
    };
    let wrong = |problem: String| OciError::Configuration { file: file.clone(), problem };
    // What serde says of a syntax error quotes nothing of the file.
    let configuration: Value = serde_json::from_slice(&text).map_err(|error| wrong(format!("not JSON: {error}")))?;
    if let Some(entry) = entry(&configuration, host) {
        match secret(entry) {
            Ok(Some(secret)) => return Ok(Credentials::Known(secret)),
            Ok(None) => {}
            Err(problem) => return Err(wrong(format!("the login for {host} is not valid: {problem}"))),
        }
    }
    let keeper = configuration.get("credHelpers").and_then(|keepers| keepers.get(host));
    let keeper = keeper.or_else(|| configuration.get("credsStore")).and_then(Value::as_str);
    match keeper.filter(|keeper| !keeper.is_empty()) {
        None => Ok(Credentials::None(format!("{} has no login for it: run docker login {host}", file.display()))),
        Some(keeper) if !keeper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) => {
            Err(wrong(format!("`{}` cannot be the name of a program that keeps logins", Foreign(keeper))))
        }
        Some(keeper) => Ok(kept(world, &format!("docker-credential-{keeper}"), host)),
    }
}

/// What a program knows of a registry. Where it does not work, a registry may still give to everybody what is asked of it.
fn kept(world: &dyn World, program: &str, host: &str) -> Credentials {
    let server = if DOCKER.contains(&host) { DOCKER_SERVER } else { host };
    let none = |why: &dyn std::fmt::Display| {
        Credentials::None(format!("{program}, which docker's configuration names, {why}"))
    };
    match world.keeper(program, server) {
        Err(error) if error.kind() == ErrorKind::NotFound => none(&"is not installed"),
        Err(error) => none(&format!("does not work: {error}")),
        Ok(KeeperAnswer { found: false, text }) => {
            let text = String::from_utf8_lossy(&text);
            let first = text.lines().next().unwrap_or_default();
            let said: String = first.chars().take(SHOWN).collect();
            none(&format!("has no login for it ({}): run docker login {host}", Foreign(said)))
        }
        Ok(KeeperAnswer { found: true, text }) => match login(&text) {
            Some(secret) => Credentials::Known(secret),
            // What it says may be a secret.
            None => none(&"does not say a user name and a secret"),
        },
    }
}

/// A login as such programs write it: a token of a registry has a user name of its own.
fn login(text: &[u8]) -> Option<Secret> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (user, secret) = (text("Username")?, text("Secret")?);
    if user.contains(':') || user.chars().chain(secret.chars()).any(char::is_control) {
        return None;
    }
    Some(match user {
        TOKEN => Secret::Refresh(secret.to_owned()),
        user => Secret::Basic(base64::encode(format!("{user}:{secret}").as_bytes())),
    })
}

/// The entry of a host, by its name or an address of it.
fn entry<'a>(configuration: &'a Value, host: &str) -> Option<&'a Value> {
    let auths = configuration.get("auths")?.as_object()?;
    let is_of = |key: &str| {
        let address = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
        let named = address.map_or(key, |address| address.split('/').next().unwrap_or_default());
        named == host || (DOCKER.contains(&host) && (DOCKER.contains(&named) || DOCKER.contains(&key)))
    };
    auths.get(host).or_else(|| auths.iter().find(|(key, _)| is_of(key)).map(|(_, entry)| entry))
}

/// What an entry holds; an empty one stands for a login that a program keeps.
fn secret(entry: &Value) -> Result<Option<Secret>, &'static str> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Secret::Refresh(token.to_owned())));
    }
    let pair = match (text("auth"), text("username"), text("password")) {
        (Some(coded), _, _) => {
            let bytes = base64::decode(coded).ok_or("`auth` is not base64")?;
            String::from_utf8(bytes).map_err(|_| "`auth` is not text")?
        }
        (None, Some(user), Some(password)) => format!("{user}:{password}"),
        _ => return Ok(None),
    };
    // docker itself pads some entries with zeros.
    let pair = pair.trim_end_matches('\0');
    match pair.split_once(':') {
        Some((user, _)) if !user.is_empty() && !pair.chars().any(char::is_control) => {
            Ok(Some(Secret::Basic(base64::encode(pair.as_bytes()))))
        }
        _ => Err("`auth` is not USER:PASSWORD in base64"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::world::memory::MemoryWorld;

    fn world(text: &str) -> MemoryWorld {
        let mut world = MemoryWorld::default();
        world.variables.insert("HOME".to_owned(), "/home/user".to_owned());
        world.files.insert(Path::new("/home/user/.docker/config.json").to_owned(), text.as_bytes().to_vec());
        world
    }

    fn found(text: &str, host: &str) -> Result<String, String> {
        of(&world(text), host)
    }

    fn of(world: &MemoryWorld, host: &str) -> Result<String, String> {
        match find(world, host) {
            Ok(Credentials::Known(Secret::Basic(coded))) => {
                Ok(String::from_utf8(base64::decode(&coded).unwrap()).unwrap())
            }
            Ok(Credentials::Known(Secret::Refresh(token))) => Ok(format!("refresh {token}")),
            Ok(Credentials::None(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn entries_are_found_as_docker_writes_them() {
        let auth = |key: &str, value: &str| format!("{{\"auths\": {{\"{key}\": {value}}}}}");
        let coded = "{\"auth\": \"dXNlcjpwYTpzcw==\"}";
        let host = "registry.example:5000";
        assert_eq!(found(&auth(host, coded), host).unwrap(), "user:pa:ss");
        assert_eq!(found(&auth("https://registry.example:5000/v2/", coded), host).unwrap(), "user:pa:ss");
        assert_eq!(found(&auth("https://index.docker.io/v1/", coded), "docker.io").unwrap(), "user:pa:ss");
        assert_eq!(found(&auth(host, "{\"username\": \"u\", \"password\": \"p\"}"), host).unwrap(), "u:p");
        assert_eq!(found(&auth(host, "{\"identitytoken\": \"t\"}"), host).unwrap(), "refresh t");
        for (other, text) in [("registry.example", coded), ("registry.example:5001", coded), ("example:5000", coded)] {
            assert!(found(&auth(other, text), host).unwrap_err().contains("no login"), "{other}");
        }
        for odd in ["{\"auth\": \"!\"}", "{\"auth\": \"dXNlcg==\"}", "{\"auth\": \"dTpwCg==\"}"] {
            assert!(found(&auth(host, odd), host).unwrap_err().contains("is not valid"), "{odd}");
        }
        assert!(found("{", host).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn programs_that_keep_logins_are_asked_as_docker_asks_them() {
        let host = "registry.example:5000";
        let asked = |configuration: &str, server: &str, program: &str, answer: (bool, &str)| {
            let mut world = world(configuration);
            let answer = KeeperAnswer { found: answer.0, text: answer.1.as_bytes().to_vec() };
            let key = if server == "docker.io" { DOCKER_SERVER } else { server };
            world.keepers.insert((program.to_owned(), key.to_owned()), answer);
            of(&world, server)
        };
        let one = r#"{"auths": {"registry.example:5000": {}}, "credHelpers": {"registry.example:5000": "one"}, "credsStore": "all"}"#;
        let login = (true, r#"{"ServerURL": "x", "Username": "user", "Secret": "pa:ss"}"#);
        assert_eq!(asked(one, host, "docker-credential-one", login).unwrap(), "user:pa:ss");
        assert_eq!(asked(one, "other.example", "docker-credential-all", login).unwrap(), "user:pa:ss");
        assert_eq!(asked(one, "docker.io", "docker-credential-all", login).unwrap(), "user:pa:ss");
        let token = (true, r#"{"Username": "<token>", "Secret": "t"}"#);
        assert_eq!(asked(one, host, "docker-credential-one", token).unwrap(), "refresh t");
        // An entry of its own comes first.
        let both = r#"{"auths": {"registry.example:5000": {"auth": "dTpw"}}, "credsStore": "all"}"#;
        assert_eq!(asked(both, host, "docker-credential-all", login).unwrap(), "u:p");
        for (answer, why) in [
            (
                (false, "credentials not found in native keychain\n"),
                "(credentials not found in native keychain): run docker login",
            ),
            ((false, "\u{1b}[2J"), "has no login for it ("),
            ((true, "secret"), "does not say a user name and a secret"),
            ((true, r#"{"Username": "a:b", "Secret": "t"}"#), "does not say a user name"),
            ((true, r#"{"Username": "a", "Secret": "t\n"}"#), "does not say a user name"),
            ((true, r#"{"Username": "a"}"#), "does not say a user name"),
        ] {
            let said = asked(one, host, "docker-credential-one", answer).unwrap_err();
            assert!(said.contains(why) && !said.contains(['\u{1b}', '\n']) && !said.contains("secret\""), "{said}");
        }
        assert!(asked(one, host, "docker-credential-all", login).unwrap_err().contains("docker-credential-one, which"));
        for name in ["../x", "a b", "a/b", "\u{e9}"] {
            let said = asked(&format!("{{\"credsStore\": \"{name}\"}}"), host, "x", login).unwrap_err();
            assert!(said.contains("cannot be the name of a program"), "{said}");
        }
    }
}

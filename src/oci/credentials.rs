//! What a registry is shown: entries of docker's configuration, `auths` in `config.json`.
//!
//! Programs that hold credentials (`credsStore`, `credHelpers`) are not run: nothing of the host but kiln takes part in what kiln
//! does. Whoever needs a registry behind one writes an entry of its own, as `docker login` does without such a program.

use std::path::PathBuf;

use serde_json::Value;

use super::OciError;
use crate::base::base64;
use crate::world::{World, WorldError};

/// No such file is larger.
const LIMIT: u64 = 1 << 20;
/// How docker calls its own registry in the file.
const DOCKER: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"];

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
    let helper = configuration.get("credHelpers").and_then(|helpers| helpers.get(host));
    let helper = helper.or_else(|| configuration.get("credsStore")).and_then(Value::as_str);
    Ok(Credentials::None(match helper {
        Some(helper) => format!(
            "{} leaves logins to docker-credential-{helper}, a program that kiln does not run; add an entry for {host} to \
             `auths` there, or to config.json in another directory that DOCKER_CONFIG names",
            file.display()
        ),
        None => format!("{} has no login for it: run docker login {host}", file.display()),
    }))
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

    fn found(text: &str, host: &str) -> Result<String, String> {
        let mut world = MemoryWorld::default();
        world.variables.insert("HOME".to_owned(), "/home/user".to_owned());
        world.files.insert(Path::new("/home/user/.docker/config.json").to_owned(), text.as_bytes().to_vec());
        match find(&world, host) {
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
        let helper = "{\"auths\": {\"registry.example:5000\": {}}, \"credsStore\": \"desktop\"}";
        assert!(
            found(helper, host).unwrap_err().contains("docker-credential-desktop, a program that kiln does not run")
        );
        for odd in ["{\"auth\": \"!\"}", "{\"auth\": \"dXNlcg==\"}", "{\"auth\": \"dTpwCg==\"}"] {
            assert!(found(&auth(host, odd), host).unwrap_err().contains("is not valid"), "{odd}");
        }
        assert!(found("{", host).unwrap_err().contains("not JSON"));
    }
}

//! Whose SSH keys a run hands to its guests: the user's own public keys, or those of files that the user names.
//!
//! Input: files. Output: lines of `authorized_keys`. Nothing but public keys passes: a private one that is named by
//! mistake is an error, and does not leave its file.

use std::path::{Path, PathBuf};

use super::error::{OpsError, UsageError};
use super::event::Notice;
use super::session::Session;
use crate::guest::ssh::SshAccess;

/// A file of public keys is no larger.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// All keys of a run together: SMBIOS tables have 64 KiB, and keys are handed over in base64.
const MAX_KEYS_BYTES: usize = 32 << 10;
/// Where the user's own keys are (ssh-keygen(1)).
const OWN: &str = ".ssh";
/// What the type of a key begins with (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
const TYPES: [&str; 3] = ["ssh-", "ecdsa-sha2-", "sk-"];

/// Which keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyChoice {
    /// The user's own, as far as there are some.
    #[default]
    Own,
    /// Those of these files.
    Files(Vec<PathBuf>),
    /// None: nobody gets in who could not without kiln.
    None,
}

/// The keys of a run; nothing when it is to have none.
pub(super) fn access(session: &Session<'_>, choice: &KeyChoice, source: &Path) -> Result<Option<SshAccess>, OpsError> {
    let (mut keys, mut names) = (Vec::new(), Vec::new());
    let mut take = |path: &Path, found: Vec<String>| {
        keys.extend(found);
        names.push(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
    };
    match choice {
        KeyChoice::None => return Ok(None),
        KeyChoice::Files(files) => {
            for path in files {
                take(path, named(session, path)?);
            }
        }
        KeyChoice::Own => {
            for path in own(session) {
                let read = session.world.read(&path, MAX_FILE_BYTES).map_err(|error| error.to_string());
                match read.and_then(|bytes| public_keys(&bytes).map_err(str::to_owned)) {
                    Ok(found) => take(&path, found),
                    // The user did not name it, and a run does not need it.
                    Err(reason) => session.notice(Notice::KeySkipped { path: &path, reason: &reason }),
                }
            }
        }
    }
    let bytes: usize = keys.iter().map(|key: &String| key.len() + 1).sum();
    if bytes > MAX_KEYS_BYTES {
        return Err(UsageError::TooManyKeys { bytes, limit: MAX_KEYS_BYTES }.into());
    }
    Ok(Some(SshAccess { keys, names, source: source.to_owned() }))
}

/// Refuses files that the user names and that are none of public keys.
pub(super) fn check(session: &Session<'_>, choice: &KeyChoice) -> Result<(), OpsError> {
    let KeyChoice::Files(files) = choice else { return Ok(()) };
    files.iter().try_for_each(|path| named(session, path).map(drop))
}

/// The keys of a file that the user names.
fn named(session: &Session<'_>, path: &Path) -> Result<Vec<String>, OpsError> {
    let refused = |reason| UsageError::NoPublicKey { path: path.to_owned(), reason };
    Ok(public_keys(&session.world.read(path, MAX_FILE_BYTES)?).map_err(refused)?)
}

/// `~/.ssh/id_*.pub`.
fn own(session: &Session<'_>) -> Vec<PathBuf> {
    let Some(home) = session.world.env("HOME") else { return Vec::new() };
    let files = session.world.list(&Path::new(&home).join(OWN)).unwrap_or_default();
    let is_key = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("id_") && name.ends_with(".pub")
    };
    files.into_iter().filter(is_key).collect()
}

/// The keys in a file, a line each.
fn public_keys(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    if text.contains("PRIVATE KEY") {
        return Err("it has a private key in it; the public key is in the file whose name ends in `.pub`");
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    // Options may come first.
    let is_key = |line: &String| {
        let mut words = line.split(' ').skip_while(|word| !TYPES.iter().any(|kind| word.starts_with(kind)));
        words.next().is_some() && words.next().is_some_and(|blob| blob.starts_with("AAAA"))
    };
    let is_plain = |line: &String| !line.chars().any(|c| c.is_control() && c != '\t');
    match keys.is_empty() || !keys.iter().all(|line| is_key(line) && is_plain(line)) {
        true => Err("expected lines like `ssh-ed25519 AAAA...`"),
        false => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::memory::MemoryWorld;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB me@host";

    #[test]
    fn public_keys_are_taken_and_nothing_else_is() {
        let taken = |text: &str| public_keys(text.as_bytes());
        assert_eq!(taken(&format!("# mine\n\n{KEY}\r\n")).unwrap(), [KEY]);
        let limited = format!("from=\"10.0.0.0/8\",no-pty {KEY}");
        assert_eq!(taken(&format!("{limited}\n{KEY}\n")).unwrap(), [limited.as_str(), KEY]);
        taken("sk-ssh-ed25519@openssh.com AAAAGnNr x").unwrap();
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(taken(private).unwrap_err().contains("private key"));
        for wrong in
            ["", "hello", "ssh-ed25519", "ssh-ed25519 me@host", &format!("{KEY}\nroot:x:0"), &format!("{KEY}\u{1b}")]
        {
            assert!(taken(wrong).is_err(), "{wrong:?}");
        }
        assert!(public_keys(b"ssh-rsa AAAA \xff").is_err());
    }

    #[test]
    fn a_run_has_the_users_own_keys_unless_others_or_none_are_asked_for() {
        let mut world = MemoryWorld::default();
        world.variables.insert("HOME".to_owned(), "/home/u".to_owned());
        for (name, text) in
            [("id_ed25519.pub", KEY), ("id_ed25519", "secret"), ("id_odd.pub", "no key"), ("x.pub", KEY)]
        {
            world.files.insert(format!("/home/u/.ssh/{name}").into(), text.as_bytes().to_vec());
        }
        let session = Session::silent(&world);
        let run = |keys| access(&session, &keys, Path::new("r.kiln"));
        let names = |keys| run(keys).unwrap().map(|access| access.names);
        assert_eq!(names(KeyChoice::Own), Some(vec!["id_ed25519.pub".to_owned()]));
        assert_eq!(names(KeyChoice::Files(vec!["/home/u/.ssh/x.pub".into()])), Some(vec!["x.pub".to_owned()]));
        assert_eq!(names(KeyChoice::None), None);
        let error = run(KeyChoice::Files(vec!["/home/u/.ssh/id_odd.pub".into()])).unwrap_err();
        assert!(error.to_string().contains("id_odd.pub"), "{error}");
        run(KeyChoice::Files(vec!["/home/u/.ssh/missing.pub".into()])).unwrap_err();
        let many = vec!["/home/u/.ssh/x.pub".into(); MAX_KEYS_BYTES / KEY.len() + 1];
        assert!(matches!(run(KeyChoice::Files(many)), Err(OpsError::Usage(UsageError::TooManyKeys { .. }))));
    }
}

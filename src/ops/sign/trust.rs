//! Whose signatures count: files of trusted keys.
//!
//! A line is `NAME KIND KEY [OPTION...]`: `KIND KEY` is what is in a `.pub` file of an SSH key (`ssh-ed25519 AAAA...`), or
//! `minisign RW...`. Options are `recipes=GLOB,...`, `expires=YYYY-MM-DD` and `revoked`. `#` begins a comment.

use std::path::{Path, PathBuf};

use crate::base::{Digest, Timestamp, glob};
use crate::format::signature::{MinisignPublic, SshPublic};
use crate::ops::error::{OpsError, SignedError, SignerProblem};
use crate::world::World;

/// No such file is larger.
const LIMIT: u64 = 4 << 20;

/// A public key of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Key {
    Ssh(SshPublic),
    Minisign(MinisignPublic),
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TrustedKey {
    name: String,
    key: Key,
    /// Patterns of recipes; none means all.
    recipes: Vec<String>,
    expires: Option<Timestamp>,
    revoked: bool,
}

/// Everybody who is trusted.
#[derive(Debug, Default)]
pub(in crate::ops) struct Trust(Vec<TrustedKey>);

/// A file of the user's own configuration.
pub(in crate::ops) fn config_file(world: &dyn World, name: &str) -> Option<PathBuf> {
    let home = || world.env("HOME").map(|home| Path::new(&home).join(".config"));
    let directory = world.env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(directory.join("kiln").join(name))
}

/// The user's own list.
pub(super) fn own_file(world: &dyn World) -> Option<PathBuf> {
    config_file(world, "trusted-keys")
}

impl Trust {
    /// Reads the user's file, if there is one, and these; an error where nobody is trusted.
    pub(in crate::ops) fn read(world: &dyn World, more: &[PathBuf]) -> Result<Trust, OpsError> {
        let trust = Trust::any(world, more)?;
        if trust.is_empty() {
            return Err(SignedError::NoTrust(own_file(world).unwrap_or_else(|| "trusted-keys".into())).into());
        }
        Ok(trust)
    }

    /// The same where it is no error that nobody is trusted.
    pub(in crate::ops) fn any(world: &dyn World, more: &[PathBuf]) -> Result<Trust, OpsError> {
        let own = own_file(world).filter(|file| world.exists(file));
        let mut trust = Trust::default();
        for file in own.iter().chain(more) {
            let text = String::from_utf8_lossy(&world.read(file, LIMIT)?).into_owned();
            for (at, line) in text.lines().enumerate() {
                let wrong = |problem| SignedError::Trust { file: file.clone(), line: at + 1, problem };
                trust.0.extend(trusted(line).map_err(wrong)?);
            }
        }
        Ok(trust)
    }

    pub(in crate::ops) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The listed key with this id as a builder, revoked ones as well.
    pub(in crate::ops) fn builder(&self, id: &str) -> Option<Key> {
        self.0.iter().map(|line| line.key).find(|key| key.builder_id() == id)
    }

    /// The listed key with this SSH fingerprint, revoked ones as well.
    pub(in crate::ops) fn fingerprint(&self, fingerprint: &str) -> Option<Key> {
        self.0.iter().map(|line| line.key).find(|key| key.ssh_fingerprint() == fingerprint)
    }

    /// Every key that may be trusted, revoked ones left out.
    pub(in crate::ops) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for line in &self.0 {
            if !keys.contains(&line.key)
                && !self.0.iter().any(|other| other.revoked && other.key.ed25519() == line.key.ed25519())
            {
                keys.push(line.key);
            }
        }
        keys
    }

    /// Who signs with this key, if they may sign this recipe now.
    pub(in crate::ops) fn signer(&self, key: &Key, recipe: &str, now: Timestamp) -> Result<String, SignerProblem> {
        let lines: Vec<&TrustedKey> = self.0.iter().filter(|line| line.key.ed25519() == key.ed25519()).collect();
        let Some(first) = lines.first() else { return Err(SignerProblem::Unknown(key.shown())) };
        // A revocation counts whatever the other lines say.
        if let Some(line) = lines.iter().find(|line| line.revoked) {
            return Err(SignerProblem::Revoked(format!("{} ({})", line.name, key.shown())));
        }
        let with =
            |line: &&&TrustedKey| line.recipes.is_empty() || line.recipes.iter().any(|it| glob::matches(it, recipe));
        let able: Vec<&&TrustedKey> = lines.iter().filter(with).collect();
        let Some(line) = able.first() else {
            return Err(SignerProblem::NotTrustedWith { signer: first.name.clone(), recipe: recipe.to_owned() });
        };
        match able.iter().find(|line| line.expires.is_none_or(|expires| now < expires)) {
            Some(line) => Ok(line.name.clone()),
            None => Err(SignerProblem::KeyExpired { signer: line.name.clone(), expired: line.expires.unwrap_or(now) }),
        }
    }

    /// The minisign key of this number.
    pub(in crate::ops) fn minisign(&self, number: [u8; 8]) -> Option<MinisignPublic> {
        self.0.iter().find_map(|line| match line.key {
            Key::Minisign(key) if key.number == number => Some(key),
            _ => None,
        })
    }
}

impl Key {
    /// The key itself, in whichever format it came.
    pub(in crate::ops) fn ed25519(&self) -> [u8; 32] {
        match self {
            Key::Ssh(key) => key.0,
            Key::Minisign(key) => key.ed25519(),
        }
    }

    /// The URI of the key as a builder (RFC 6920): its SSH fingerprint in the alphabet of addresses, whichever format it came in.
    pub(in crate::ops) fn builder_id(&self) -> String {
        let fingerprint = self.ssh_fingerprint();
        let digest = fingerprint.strip_prefix("SHA256:").unwrap_or(&fingerprint);
        format!("ni:///sha-256;{}", digest.replace('+', "-").replace('/', "_"))
    }

    /// `SHA256:...`, whichever format it came in.
    pub(in crate::ops) fn ssh_fingerprint(&self) -> String {
        SshPublic(self.ed25519()).fingerprint()
    }

    /// What tells its signatures from others in the name of a file.
    pub(in crate::ops) fn file_name(&self) -> String {
        match self {
            Key::Ssh(key) => format!("ssh-{}", &Digest::of(&key.0).hex()[..32]),
            Key::Minisign(key) => format!("minisign-{:016x}", u64::from_le_bytes(key.number)),
        }
    }

    /// As the tool shows it that made it.
    pub(in crate::ops) fn shown(&self) -> String {
        match self {
            Key::Ssh(key) => key.fingerprint(),
            Key::Minisign(key) => key.id(),
        }
    }
}

/// A line's key; `None` for one without.
fn trusted(line: &str) -> Result<Option<TrustedKey>, String> {
    let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
    let (name, kind, key, options) = match words.as_slice() {
        [] => return Ok(None),
        [name, kind, key, options @ ..] => (*name, *kind, *key, options),
        _ => return Err("expected NAME ssh-ed25519 KEY, or NAME minisign KEY".to_owned()),
    };
    let key = match kind {
        "minisign" => MinisignPublic::read(key).map(Key::Minisign),
        _ => SshPublic::read(kind, key).map(Key::Ssh),
    };
    let key = key.map_err(|error| error.to_string())?;
    let mut trusted = TrustedKey { name: name.to_owned(), key, recipes: Vec::new(), expires: None, revoked: false };
    for option in options {
        match option.split_once('=') {
            None if *option == "revoked" => trusted.revoked = true,
            Some(("recipes", globs)) => trusted.recipes.extend(globs.split(',').map(str::to_owned)),
            Some(("expires", day)) => {
                let expires = Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z"));
                trusted.expires =
                    Some(expires.ok_or_else(|| format!("expected expires=YYYY-MM-DD, found `{option}`"))?);
            }
            _ => return Err(format!("unknown option `{option}`: expected recipes=, expires= or revoked")),
        }
    }
    Ok(Some(trusted))
}

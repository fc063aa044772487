//! A repository of a registry: where it is, how it is reached, and who hears of it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::reference::is_name;
use super::{OciError, RegistryReference};
use crate::world::World;
use crate::world::download::{Downloader, Stop, Told};
use crate::world::place::AddressKind;

/// Who asks.
#[derive(Clone, Copy)]
pub struct Connection<'a> {
    pub world: &'a dyn World,
    /// When it answers yes, everything ends soon.
    pub stop: Stop<'a>,
    /// Hears of servers that want to be left alone for a while.
    pub told: Told<'a>,
}

/// What is going to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub rights: Rights,
    /// Speak HTTP without TLS to a registry that is not on this machine.
    pub plain_http: bool,
    /// Another repository of the registry that may have some of the blobs already.
    pub mount_from: Option<String>,
}

/// What a login is to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    Pull,
    Push,
}

/// What a registry is shown: the value of the header. Clones share it, so that one login serves several connections.
#[derive(Clone, Default)]
pub struct Login(Arc<Mutex<Option<String>>>);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    pub(super) fn set(&self, shown: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long a registry is waited for that has too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegistryPatience {
    /// As long as it asks for, within limits.
    Long,
    /// Not at all.
    None,
}

/// A repository of a registry.
pub struct Registry<'a> {
    pub(super) connection: Connection<'a>,
    pub(super) reference: RegistryReference,
    pub(super) access: Access,
    pub(super) downloader: Downloader<'a>,
    pub(super) login: Login,
    pub(super) patience: RegistryPatience,
}

impl<'a> Registry<'a> {
    pub fn new(
        connection: Connection<'a>,
        reference: &RegistryReference,
        access: Access,
    ) -> Result<Registry<'a>, OciError> {
        if let Some(name) = access.mount_from.as_ref().filter(|name| !is_name(name)) {
            let problem = "not the name of a repository of the same registry";
            return Err(OciError::Reference { text: name.clone(), problem });
        }
        let downloader = Downloader::new(connection.world, connection.stop).telling(connection.told);
        let (reference, login) = (reference.clone(), Login::default());
        Ok(Registry { connection, reference, access, downloader, login, patience: RegistryPatience::Long })
    }

    /// Shows what was shown by whoever had this login before, as long as that is accepted.
    pub fn with_login(self, login: &Login) -> Self {
        Registry { login: login.clone(), ..self }
    }

    /// Gives up on a registry that wants to be asked later, or sends nothing for this time: whoever asks can go without.
    pub fn hasty(self, time: Duration) -> Self {
        Registry { downloader: self.downloader.hasty(time), patience: RegistryPatience::None, ..self }
    }

    /// `https://registry.example`
    pub(super) fn origin(&self) -> String {
        let server = self.reference.server();
        let host =
            server.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(server, |(host, _)| host);
        let plain = self.access.plain_http || AddressKind::of_host(host) == AddressKind::Loopback;
        format!("{}://{server}", if plain { "http" } else { "https" })
    }

    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.origin(), self.reference.name)
    }

    pub(super) fn ask_to_stop(&self) -> Result<(), OciError> {
        if (self.connection.stop)() { Err(OciError::Interrupted) } else { Ok(()) }
    }
}

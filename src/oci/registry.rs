//! A repository of a registry: where it is, how it is reached, and who hears of it.

use std::sync::{Mutex, PoisonError};

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

/// A repository of a registry.
pub struct Registry<'a> {
    pub(super) connection: Connection<'a>,
    pub(super) reference: RegistryReference,
    pub(super) access: Access,
    pub(super) downloader: Downloader<'a>,
    /// What the registry is shown: the value of the header.
    pub(super) authorization: Mutex<Option<String>>,
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
        let (reference, authorization) = (reference.clone(), Mutex::new(None));
        Ok(Registry { connection, reference, access, downloader, authorization })
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

    pub(super) fn shown(&self) -> Option<String> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn ask_to_stop(&self) -> Result<(), OciError> {
        if (self.connection.stop)() { Err(OciError::Interrupted) } else { Ok(()) }
    }
}

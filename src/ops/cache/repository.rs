//! A repository of a registry as a place for a cache, and the connections to it.
//!
//! Input: a reference without a tag. Output: the repository, to be pushed to with patience or pulled from without.

use super::pour::{ANSWER_TIMEOUT, Reader};
use crate::oci::{Access, Connection, Login, OciError, Registry, RegistryReference, Rights};
use crate::world::download::ServerWait;

/// A repository, and what it was shown last.
#[derive(Debug, Clone)]
pub(in crate::ops) struct RegistryPlace {
    reference: RegistryReference,
    plain_http: bool,
    login: Login,
}

impl PartialEq for RegistryPlace {
    fn eq(&self, other: &RegistryPlace) -> bool {
        (&self.reference, self.plain_http) == (&other.reference, other.plain_http)
    }
}

impl Eq for RegistryPlace {}

/// Nobody waits for a cache, so nobody is told of waiting.
fn unheard(_: ServerWait) {}

impl RegistryPlace {
    pub(in crate::ops) fn new(reference: RegistryReference, plain_http: bool) -> RegistryPlace {
        RegistryPlace { reference, plain_http, login: Login::default() }
    }

    #[cfg(test)]
    pub(super) fn plain_http(&self) -> bool {
        self.plain_http
    }

    /// The repository for whoever fills it, who is patient.
    pub(in crate::ops) fn for_pushing<'a>(&self, connection: Connection<'a>) -> Result<Registry<'a>, OciError> {
        self.open(connection, Rights::Push)
    }

    fn open<'a>(&self, connection: Connection<'a>, rights: Rights) -> Result<Registry<'a>, OciError> {
        let access = Access { rights, plain_http: self.plain_http, mount_from: None };
        Registry::new(connection, &self.reference, access)
    }

    pub(super) fn for_pulling<'a>(
        &self,
        reader: &Reader<'a>,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Registry<'a>, OciError> {
        let connection = Connection { world: reader.world, stop, told: &unheard };
        Ok(self.open(connection, Rights::Pull)?.with_login(&self.login).hasty(ANSWER_TIMEOUT))
    }
}

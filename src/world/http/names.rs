//! Names of hosts: looked up again where the resolver hesitates, and only addresses that may be connected to are handed on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::held;
use crate::world::place::{AddressKind, Kinds};

/// How long to wait before a name that could not be looked up for now is looked up again. Without a network this is what an
/// error takes longer, so it is short.
pub(in crate::world) const LOOKUP_RETRY_DELAYS: [Duration; 2] =
    [Duration::from_millis(250), Duration::from_millis(750)];

/// Looks names up, and hands on only addresses that may be connected to.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) reach: Kinds,
    /// The kinds of places that hosts were found in.
    pub(super) homes: Arc<Mutex<BTreeMap<String, Kinds>>>,
    pub(super) inner: DefaultResolver,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        // The user's own proxy may be anywhere.
        if self.reach == Kinds::ALL || config.proxy().is_some_and(|proxy| proxy.uri().authority() == uri.authority()) {
            let kinds = found.iter().fold(Kinds::PUBLIC, |kinds, address| kinds.and(AddressKind::of(address.ip())));
            held(&self.homes).entry(host.to_owned()).and_modify(|known| *known = known.union(kinds)).or_insert(kinds);
            return Ok(found);
        }
        let mut allowed = self.empty();
        let within = |address: &&SocketAddr| self.reach.has(AddressKind::of(address.ip()));
        found.iter().filter(within).for_each(|address| allowed.push(*address));
        match (allowed.is_empty(), found.first()) {
            (true, Some(address)) => {
                let text = outside(&format!("{host} ({})", address.ip()), AddressKind::of(address.ip()));
                Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)))
            }
            _ => Ok(allowed),
        }
    }
}

pub(in crate::world) fn outside(what: &str, kind: AddressKind) -> String {
    format!("{what} is {kind}, which kiln only contacts for mirrors or if the recipe names that address itself")
}

/// Whether the resolver itself says that trying again may help (`EAI_AGAIN`, getaddrinfo(3), as glibc and musl spell it): it had no
/// answer in time, which under load is common.
pub(in crate::world) fn passing(error: &ureq::Error) -> bool {
    let ureq::Error::Io(error) = error else { return false };
    let text = error.to_string();
    ["Temporary failure in name resolution", "Try again"].iter().any(|words| text.ends_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_resolvers_hesitation_passes() {
        let io = |text: &str| ureq::Error::Io(std::io::Error::other(text.to_owned()));
        assert!(passing(&io("failed to lookup address information: Temporary failure in name resolution")));
        assert!(!passing(&io("failed to lookup address information: Name or service not known")));
        assert!(!passing(&ureq::Error::StatusCode(404)));
    }
}

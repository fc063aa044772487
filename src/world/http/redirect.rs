//! Where an answer sends kiln on to, and whether it goes there.

use ureq::http::{Uri, header};

use super::names::outside;
use super::{Answer, Failure};
use crate::world::place::{AddressKind, Kinds};

/// Where an answer sends kiln on to.
pub(super) fn redirect(url: &Uri, answer: &Answer) -> Result<Option<Uri>, Failure> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| Failure::refused("redirects without a location".to_owned()))?;
    joined(url, location)
        .map(Some)
        .ok_or_else(|| Failure::refused(format!("redirects to an invalid URL: {location:?}")))
}

/// A reference that stands in the answer of a URL (RFC 3986, 5.2), but for dots in its path, which are the server's matter.
pub(in crate::world) fn joined(url: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (url.scheme_str()?, url.authority()?.as_str());
    let path = url.path();
    let directory = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
    let text = match reference {
        _ if reference.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => reference.to_owned(),
        _ if reference.starts_with("//") => format!("{scheme}:{reference}"),
        _ if reference.starts_with('/') => format!("{scheme}://{authority}{reference}"),
        _ if reference.starts_with('?') => format!("{scheme}://{authority}{path}{reference}"),
        _ => format!("{scheme}://{authority}{directory}{reference}"),
    };
    text.parse().ok().filter(|uri: &Uri| uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty()))
}

/// Whether a redirect may be followed, by its words alone; where its name leads is seen when it is looked up.
pub(in crate::world) fn judge(from: &Uri, to: &Uri, home: Kinds) -> Result<(), Failure> {
    let host = to.host().unwrap_or_default();
    match (from.scheme_str(), to.scheme_str()) {
        (Some("https"), Some("http")) => {
            Err(Failure::refused(format!("redirects to {to}: downgrade from https to http")))
        }
        (_, Some("http" | "https")) if home.has(AddressKind::of_host(host)) => Ok(()),
        (_, Some("http" | "https")) => {
            Err(Failure::refused(format!("redirects to {to}: {}", outside(host, AddressKind::of_host(host)))))
        }
        _ => Err(Failure::refused(format!("redirects to {to}: only http and https are followed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_joined_to_where_they_stand() {
        let url: Uri = "http://mirror.example:8080/debian/pool/x?y".parse().unwrap();
        for (reference, whole) in [
            ("https://other.example/x", "https://other.example/x"),
            ("//other.example/x#f", "http://other.example/x"),
            ("/x", "http://mirror.example:8080/x"),
            ("z", "http://mirror.example:8080/debian/pool/z"),
            ("?z", "http://mirror.example:8080/debian/pool/x?z"),
            ("gopher://other.example/x", "gopher://other.example/x"),
        ] {
            assert_eq!(joined(&url, reference).unwrap().to_string(), whole, "{reference}");
        }
        for odd in ["http://", "http:///x", "file:///etc/passwd", "a:b", "http://a b/"] {
            assert!(joined(&url, odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn redirects_stay_where_the_first_address_is() {
        let says = |from: &str, to: &str, home: Kinds| {
            judge(&from.parse().unwrap(), &to.parse().unwrap(), home).err().map(|failure| failure.reason)
        };
        let (net, here) = (Kinds::PUBLIC, Kinds::PUBLIC.and(AddressKind::Loopback));
        assert_eq!(says("http://a.example/", "https://b.example/", net), None);
        assert_eq!(says("http://127.0.0.1:1/", "http://127.0.0.1:2/", here), None);
        assert_eq!(says("http://127.0.0.1:1/", "https://b.example/", here), None);
        for (from, to, words) in [
            ("https://a.example/", "http://a.example/", "from https to http"),
            ("http://a.example/", "http://127.0.0.1/", "this machine"),
            ("http://a.example/", "http://localhost:80/", "this machine"),
            ("http://a.example/", "http://b.example@[::ffff:127.0.0.1]/", "this machine"),
            ("http://a.example/", "http://169.254.169.254/latest", "the local link"),
            ("http://a.example/", "http://192.168.0.1/", "a private network"),
            ("http://a.example/", "http://0.0.0.0/", "not a fetchable address"),
            ("http://a.example/", "gopher://b.example/", "only http and https"),
        ] {
            let reason = says(from, to, net).unwrap_or_else(|| panic!("{to}"));
            assert!(reason.contains(words), "{to}: {reason}");
        }
    }
}

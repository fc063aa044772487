//! Forwarded ports: found in the argv, tried before QEMU starts, so that a taken one is named.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::{GuestError, Launch};

/// One `hostfwd=` of a user network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address on this machine.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Port in the guest.
    pub guest_port: u16,
}

/// Every forwarded port of an argv (`hostfwd=[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport`, QEMU's manual).
pub fn forwards(argv: &[String]) -> Vec<Forward> {
    argv.iter().flat_map(|word| word.split(',')).filter_map(|part| parse(part.strip_prefix("hostfwd=")?)).collect()
}

fn parse(text: &str) -> Option<Forward> {
    let (outer, inner) = text.split_once('-')?;
    let mut parts = outer.splitn(3, ':');
    let (protocol, host, port) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Forward {
        protocol: if protocol.is_empty() { "tcp" } else { protocol }.to_owned(),
        host: if host.is_empty() { "0.0.0.0" } else { host }.to_owned(),
        port: port.parse().ok()?,
        guest_port: inner.rsplit(':').next()?.parse().ok()?,
    })
}

/// Opens a forwarded port, or says who is in the way.
pub fn open(machine: &str, forward: &Forward) -> Result<TcpListener, GuestError> {
    let Forward { host, port, .. } = forward;
    TcpListener::bind((host.as_str(), *port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => GuestError::PortTaken { machine: machine.to_owned(), host: host.clone(), port: *port },
        _ => {
            let reason = format!("cannot listen on {host} port {port}: {error}");
            GuestError::Launch { machine: machine.to_owned(), reason }
        }
    })
}

/// Refuses when a forwarded port is taken, before anything is made for the start.
pub fn check(launch: &Launch) -> Result<(), GuestError> {
    forwards(&launch.argv).iter().try_for_each(|forward| open(&launch.machine, forward).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_read_in_all_their_spellings() {
        let argv = [
            "-netdev".to_owned(),
            "user,id=n,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::53-10.0.2.15:5353".to_owned(),
        ];
        let found = forwards(&argv);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].host.as_str(), found[0].port, found[0].guest_port), ("127.0.0.1", 2222, 22));
        assert_eq!((found[1].protocol.as_str(), found[1].host.as_str(), found[1].guest_port), ("udp", "0.0.0.0", 5353));
        assert!(forwards(&["hostfwd=tcp:x".to_owned(), "hostfwd=tcp:a:b-c".to_owned()]).is_empty());
    }

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let forward = format!("user,hostfwd=tcp:127.0.0.1:{port}-:22");
        let launch = crate::guest::launch::tests::launch(&[&forward]);
        let error = check(&launch).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} on 127.0.0.1 is in use")) && error.contains("forward"), "{error}");
        drop(taken);
        check(&launch).unwrap();
    }
}

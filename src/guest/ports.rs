//! Forwarded ports, tried before QEMU starts, so that a taken one is named.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use super::{GuestError, Launch};
use crate::recipe::machine::device::Forward;

/// Opens a forwarded port, on the loopback address of this host and nowhere else, or says who is in the way.
pub fn open(machine: &str, forward: &Forward) -> Result<TcpListener, GuestError> {
    let (host, port) = (Ipv4Addr::LOCALHOST, forward.host.value);
    TcpListener::bind((host, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => GuestError::PortTaken { machine: machine.to_owned(), host: host.to_string(), port },
        _ => {
            let (machine, host, reason) = (machine.to_owned(), host.to_string(), error.to_string());
            GuestError::Port { machine, host, port, reason }
        }
    })
}

/// Refuses when a forwarded port is taken, before anything is made for the start.
pub fn check(launch: &Launch) -> Result<(), GuestError> {
    let forwards = &launch.description.machine.forwards;
    forwards.iter().try_for_each(|forward| open(&launch.machine, forward).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::eventually::eventually;

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let forward = format!("\"forwards\": [{{ \"guest\": 22, \"host\": {port} }}],");
        let launch = crate::guest::launch::tests::launch(&forward);
        let error = check(&launch).unwrap_err().to_string();
        assert!(
            error.contains(&format!("port {port} on 127.0.0.1 is already in use")) && error.contains("forward"),
            "{error}"
        );
        drop(taken);
        eventually("the port is free", || check(&launch).is_ok());
    }
}

//! Forwarded ports, tried before QEMU starts, so that a taken one is named.

use std::net::{Ipv4Addr, TcpListener};

use super::{GuestError, Launch};

/// Refuses when a forwarded port is taken.
pub fn check(launch: &Launch) -> Result<(), GuestError> {
    let host = Ipv4Addr::LOCALHOST;
    for port in launch.description.machine.forwards.iter().map(|forward| forward.host.value) {
        match TcpListener::bind((host, port)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(GuestError::PortTaken { machine: launch.machine.clone(), host: host.to_string(), port });
            }
            Err(error) => {
                let reason = format!("cannot listen on {host} port {port}: {error}");
                return Err(GuestError::Launch { machine: launch.machine.clone(), reason });
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let forward = format!("\"forwards\": [{{ \"guest\": 22, \"host\": {port} }}],");
        let launch = crate::guest::launch::tests::launch(&forward);
        let error = check(&launch).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} on 127.0.0.1 is in use")) && error.contains("forward"), "{error}");
        drop(taken);
        check(&launch).unwrap();
    }
}

//! `--bridge NAME`: frames between QEMU and a bridge of the host.
//!
//! Input: QEMU's frames on a socket, the name of a bridge. Output: the same frames on a tap device that is a port of the
//! bridge. The device is made by QEMU's `qemu-bridge-helper` of the host, which has the privilege and decides by its own
//! `bridge.conf` who may use which bridge. kiln carries the frames, so that QEMU itself still has no network.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::device::{Cable, LARGEST, again};
use super::{SOCKET, UserNetwork};
use crate::base::Foreign;
use crate::guest::launch::Places;
use crate::guest::{GuestError, Launch};

/// Where distributions install it: Debian, Fedora, Arch, from source.
const HELPERS: [&str; 4] = [
    "/usr/lib/qemu/qemu-bridge-helper",
    "/usr/libexec/qemu-bridge-helper",
    "/usr/lib/qemu-bridge-helper",
    "/usr/local/libexec/qemu-bridge-helper",
];
/// Letters of an interface's name (`IFNAMSIZ` less the final zero).
const MAX_NAME: usize = 15;

/// Connects a machine that is about to start to a bridge.
pub fn open(launch: &Launch, places: &Places, bridge: &str) -> Result<UserNetwork, GuestError> {
    let tap = tap(bridge, helper(&HELPERS)?)?;
    let listener = UserNetwork::listener(&places.run.join(SOCKET))?;
    UserNetwork::serve(listener, move |qemu, stop| carry(&mut Cable::new(qemu)?, &tap, stop))
        .map_err(|error| GuestError::Network { machine: launch.machine.clone(), reason: error.to_string() })
}

/// Whether an interface can have this name.
pub fn is_interface(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with(['-', '.'])
}

/// Refuses a host without the program that connects to bridges.
pub fn check() -> Result<(), GuestError> {
    helper(&HELPERS).map(drop)
}

fn helper<'a>(places: &'a [&'a str]) -> Result<&'a Path, GuestError> {
    places.iter().map(Path::new).find(|path| path.exists()).ok_or_else(|| {
        let package = "install QEMU's package that has it (Debian: qemu-system-common)";
        refused(format!("this host has no qemu-bridge-helper: {package}"))
    })
}

fn refused(reason: String) -> GuestError {
    GuestError::Resource { option: "--bridge", reason }
}

/// A new port of a bridge.
fn tap(bridge: &str, helper: &Path) -> Result<File, GuestError> {
    if !is_interface(bridge) {
        return Err(refused(format!("`{}` is not the name of an interface", Foreign(bridge))));
    }
    let failed = |error: std::io::Error| refused(format!("{}: {error}", helper.display()));
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new(helper);
    command.arg(format!("--br={bridge}")).arg("--fd=0").env_clear();
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.spawn().and_then(std::process::Child::wait_with_output).map_err(failed)?;
    // The end that the child had.
    drop(command);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let advice = "it must be setuid root or be run by root, and `allow NAME` must be in /etc/qemu/bridge.conf";
        let said = said.trim();
        return Err(refused(format!("{} refused {bridge}: {}; {advice}", helper.display(), Foreign(said))));
    }
    let tap = received(&ours).ok_or_else(|| refused(format!("{} sent no device", helper.display())))?;
    let flags = fcntl_getfl(&tap).map_err(|error| failed(error.into()))?;
    fcntl_setfl(&tap, flags | OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
    Ok(File::from(tap))
}

/// The descriptor that came over a socket.
fn received(socket: &UnixStream) -> Option<OwnedFd> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8; 1];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}

/// Carries frames both ways until QEMU ends, the device goes, or `stop` says so by its end.
fn carry(cable: &mut Cable, mut tap: &File, stop: &UnixStream) -> std::io::Result<()> {
    let mut frame = vec![0; LARGEST];
    loop {
        let mut to_qemu = PollFlags::IN;
        to_qemu.set(PollFlags::OUT, cable.is_waiting());
        // What the guest is too slow for waits in the device, which drops what does not fit.
        let from_tap = if cable.has_room() { PollFlags::IN } else { PollFlags::empty() };
        let ready = {
            let mut fds = vec![PollFd::new(stop, PollFlags::IN), PollFd::from_borrowed_fd(cable.fd(), to_qemu)];
            fds.push(PollFd::from_borrowed_fd(tap.as_fd(), from_tap));
            match rustix::event::poll(&mut fds, None) {
                Ok(_) => fds.iter().map(PollFd::revents).collect::<Vec<_>>(),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        if !ready[0].is_empty() {
            return Ok(());
        }
        for frame in cable.frames()? {
            // A frame that the device does not take is lost, as on any cable.
            let _ = tap.write(&frame);
        }
        while cable.has_room() {
            match tap.read(&mut frame) {
                Ok(0) => return Ok(()),
                Ok(length) => cable.send(&frame[..length]),
                Err(error) if again(&error) => break,
                Err(error) => return Err(error),
            }
        }
        cable.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::world::{executable, fs};

    #[test]
    fn names_that_no_interface_has_are_refused_before_a_program_sees_them() {
        for name in ["br0", "virbr0", "a.b", "br-lan", "0123456789abcde"] {
            assert!(is_interface(name), "{name}");
        }
        for name in ["", "-br", "..", ".", "a/b", "a b", "a\nb", "a:1", "0123456789abcdef", "brü"] {
            assert!(!is_interface(name), "{name}");
            assert!(
                tap(name, Path::new("/nonexistent"))
                    .unwrap_err()
                    .to_string()
                    .contains("is not the name of an interface"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_missing_helper_and_one_that_refuses_are_told_with_the_way_out() {
        let error = helper(&["/nonexistent"]).unwrap_err().to_string();
        assert!(error.contains("no qemu-bridge-helper"), "{error}");
        let base = std::env::temp_dir().join(format!("kiln-bridge-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let helper = base.join("helper");
        let program = b"#!/bin/sh\necho \"access denied by acl file\" >&2\nexit 1\n";
        executable::write(&helper, program);
        let error = tap("br0", &helper).unwrap_err().to_string();
        assert!(error.contains("refused br0: access denied by acl file") && error.contains("bridge.conf"), "{error}");
        executable::write(&helper, "#!/bin/sh\nexit 0\n");
        assert!(tap("br0", &helper).unwrap_err().to_string().contains("sent no device"));
        fs::remove_tree(&base).unwrap();
    }

    /// A datagram socket keeps frames apart as a tap device does.
    #[test]
    fn frames_are_carried_both_ways_until_somebody_ends_it() {
        let (tap, lan) = UnixDatagram::pair().unwrap();
        tap.set_nonblocking(true).unwrap();
        let (kiln, mut qemu) = UnixStream::pair().unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let tap = File::from(OwnedFd::from(tap));
        let carrier = std::thread::spawn(move || carry(&mut Cable::new(kiln).unwrap(), &tap, &stopped));
        let frame: Vec<u8> = (0..100).collect();
        for _ in 0..3 {
            qemu.write_all(&100u32.to_be_bytes()).unwrap();
            qemu.write_all(&frame).unwrap();
            let mut seen = [0; 200];
            let length = lan.recv(&mut seen).unwrap();
            assert_eq!(&seen[..length], frame);
            lan.send(&frame[..60]).unwrap();
            let mut seen = [0; 64];
            qemu.read_exact(&mut seen).unwrap();
            assert_eq!((&seen[..4], &seen[4..]), (60u32.to_be_bytes().as_slice(), &frame[..60]));
        }
        drop(stop);
        assert!(carrier.join().unwrap().is_ok());
    }
}

//! The cable to QEMU: frames with their length before them, as `-netdev stream` writes them (QEMU net/stream.c).

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use super::wire::{ETHERNET, MTU};

/// No frame is larger: an IPv4 packet with an Ethernet header and a VLAN tag.
pub(super) const LARGEST: usize = (64 << 10) + 18;
/// Bytes read at once.
const READ: usize = 256 << 10;
/// Bytes that wait for QEMU, above which nothing more is made for it.
const WAITING: usize = 1 << 20;

/// QEMU's end of the guest's cable.
pub(super) struct Cable {
    qemu: UnixStream,
    /// What was read, up to `filled`: whole frames and the beginning of one.
    read: Vec<u8>,
    filled: usize,
    /// The frame that the stack shall see next.
    next: Option<Vec<u8>>,
    waiting: Vec<u8>,
}

impl Cable {
    pub(super) fn new(qemu: UnixStream) -> io::Result<Cable> {
        qemu.set_nonblocking(true)?;
        Ok(Cable { qemu, read: vec![0; READ + LARGEST], filled: 0, next: None, waiting: Vec::new() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.qemu.as_fd()
    }

    /// Frames that came since. An error: QEMU is gone, or sends what no card sends.
    pub(super) fn frames(&mut self) -> io::Result<Vec<Vec<u8>>> {
        match self.qemu.read(&mut self.read[self.filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.filled += count,
            Err(error) if again(&error) => {}
            Err(error) => return Err(error),
        }
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some((length, rest)) = self.read[at..self.filled].split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > LARGEST {
                return Err(ErrorKind::InvalidData.into());
            }
            let Some(frame) = rest.get(..length) else { break };
            frames.push(frame.to_vec());
            at += 4 + length;
        }
        self.read.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(frames)
    }

    /// Shows the stack one frame.
    pub(super) fn show(&mut self, frame: Vec<u8>) {
        self.next = Some(frame);
    }

    /// Queues a frame for the guest; one too many is lost, as on any cable.
    pub(super) fn send(&mut self, frame: &[u8]) {
        if self.has_room() {
            let length = u32::try_from(frame.len()).unwrap_or(0);
            self.waiting.extend_from_slice(&length.to_be_bytes());
            self.waiting.extend_from_slice(frame);
        }
    }

    /// Whether more may be made for the guest.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// Whether something waits for QEMU.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes what waits, as far as QEMU takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            if written == self.waiting.len() {
                break Ok(());
            }
            match self.qemu.write(&self.waiting[written..]) {
                Ok(count) => written += count,
                Err(error) if again(&error) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.waiting.drain(..written);
        result
    }
}

/// Whether a call only has to be made again later.
pub(super) fn again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A frame of the guest.
pub(super) struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame to the guest.
pub(super) struct Room<'a>(&'a mut Cable);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.send(&frame);
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Room<'_>)> {
        let frame = self.next.take()?;
        Some((Frame(frame), Room(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        self.has_room().then_some(Room(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = ETHERNET + MTU;
        // Nothing is lost or changed on a socket.
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

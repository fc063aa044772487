//! One running QEMU: started in its sandbox, its last words kept, gone when the value is dropped.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;

use super::GuestError;
use super::accel::{Accelerator, PROBATION, kvm_failure};
use super::clock::Deadline;
use super::host::CpuSelection;
use super::network::UserNetwork;
use super::share::FileServers;
use super::terminal::TerminalConsole;
use crate::exec::sandbox::{self, SandboxError, Spec, Streams};
use crate::world::fs;

/// Bytes of standard error that are kept for reports.
const STDERR_LIMIT_BYTES: u64 = 16 << 10;
/// How long a read of a socket waits before somebody looks around.
pub const TICK: Duration = Duration::from_millis(100);

/// A running QEMU.
pub struct Qemu {
    machine: String,
    running: sandbox::Running,
    // What it needs goes after it.
    network: Option<UserNetwork>,
    _servers: FileServers,
    console: Option<TerminalConsole>,
    errors: PathBuf,
    accel: Accelerator,
    started: Deadline,
    /// Whether a failure of KVM is [`GuestError::KvmBroken`].
    fallback: bool,
}

/// How QEMU is started.
pub struct Start<'a> {
    /// For messages.
    pub machine: &'a str,
    /// Everything it sees, argv included.
    pub spec: &'a Spec,
    /// What `spec` says executes the guest.
    pub accel: Accelerator,
    /// Whether TCG may be used instead.
    pub fallback: bool,
    /// A new file for what it says on standard error.
    pub errors: PathBuf,
    /// What its `-netdev stream` connects to.
    pub network: Option<UserNetwork>,
    /// What each `vhost-user-fs-pci` connects to.
    pub servers: FileServers,
    /// The CPUs of the host that it may use; all that kiln may use, when absent.
    pub cpus: Option<&'a CpuSelection>,
}

impl Qemu {
    /// Starts it, with a console on the caller's terminal or without one.
    pub fn start(start: Start<'_>, terminal: bool) -> Result<Qemu, GuestError> {
        let said = fs::create_anew(&start.errors)?;
        let no_start = |error: &dyn std::fmt::Display| {
            let what = format!("could not be started: {error}");
            GuestError::Qemu { machine: start.machine.to_owned(), what, said: String::new() }
        };
        let (console, streams) = if terminal {
            let (console, streams) = TerminalConsole::open(said.into()).map_err(|error| no_start(&error))?;
            (Some(console), streams)
        } else {
            (None, Streams { stdin: Stdio::null(), stdout: Stdio::null(), stderr: said.into() })
        };
        // Until it has started: QEMU inherits the CPUs of whoever starts it.
        let _pinned = start.cpus.map(CpuSelection::pin).transpose()?;
        let running = sandbox::spawn(start.spec, streams).map_err(|error| no_start(&error))?;
        Ok(Qemu {
            machine: start.machine.to_owned(),
            running,
            network: start.network,
            _servers: start.servers,
            console,
            errors: start.errors,
            accel: start.accel,
            started: Deadline::after(PROBATION),
            fallback: start.fallback,
        })
    }

    /// Whether its user wants it to end before it takes any keys.
    pub fn interrupted(&self) -> bool {
        self.console.as_ref().is_some_and(TerminalConsole::interrupted)
    }

    /// Milliseconds since the start.
    pub fn millis(&self) -> u64 {
        self.started.millis()
    }

    /// The exit status once it has ended, waiting no longer than `limit`.
    pub fn ended(&mut self, limit: Duration) -> Result<Option<ExitStatus>, GuestError> {
        match self.running.wait_timeout(limit) {
            Ok(status) => Ok(status),
            Err(SandboxError::Cancelled) => Err(GuestError::Interrupted),
            Err(error) => Err(failed(&self.machine, format!("was lost: {error}"), &self.said())),
        }
    }

    /// An error when KVM failed the guest, or QEMU has ended.
    pub fn check(&mut self) -> Result<(), GuestError> {
        self.check_kvm()?;
        match self.ended(Duration::ZERO)? {
            None => Ok(()),
            Some(status) => Err(self.end(status)),
        }
    }

    /// The report of an end.
    pub fn end(&self, status: ExitStatus) -> GuestError {
        failed(&self.machine, format!("ended ({status})"), &self.said())
    }

    /// An error when QEMU says that KVM does not work.
    pub fn check_kvm(&self) -> Result<(), GuestError> {
        if self.accel != Accelerator::Kvm {
            return Ok(());
        }
        match kvm_failure(&self.said()) {
            Some(line) if self.fallback && !self.started.passed() => {
                Err(GuestError::KvmBroken { reason: line.to_owned() })
            }
            Some(line) => Err(failed(&self.machine, format!("reports that KVM failed: {line}"), "")),
            None => Ok(()),
        }
    }

    /// Its last words on standard error.
    pub fn said(&self) -> String {
        let mut bytes = Vec::new();
        let read = fs::open(&self.errors).and_then(|mut file| {
            let size = fs::context("measure", &self.errors, file.metadata())?.len();
            let from = SeekFrom::Start(size.saturating_sub(STDERR_LIMIT_BYTES));
            fs::context("read", &self.errors, file.seek(from))?;
            fs::context("read", &self.errors, file.take(STDERR_LIMIT_BYTES).read_to_end(&mut bytes))
        });
        // Words that cannot be read are only missing from a report.
        read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Gives the ports that lead into it back, so that another start can have them.
    pub fn close_network(&mut self) {
        self.network = None;
    }

    /// Ends it now.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Asks it to end, as Ctrl-C would.
    pub fn terminate(&mut self) {
        self.running.terminate();
    }
}

/// The report of a QEMU that could not be started or ended.
fn failed(machine: &str, what: String, said: &str) -> GuestError {
    GuestError::Qemu { machine: machine.to_owned(), what, said: said.to_owned() }
}

/// A socket for QEMU to connect to.
pub struct Waiting {
    listener: UnixListener,
    path: PathBuf,
}

impl Waiting {
    /// Listens.
    pub fn at(path: &Path) -> Result<Waiting, GuestError> {
        fs::remove_file(path)?;
        let listener = fs::context("listen on", path, UnixListener::bind(path))?;
        fs::context("listen on", path, listener.set_nonblocking(true))?;
        Ok(Waiting { listener, path: path.to_owned() })
    }

    /// The connection, once QEMU has made it; its reads wait for [`TICK`].
    pub fn accept(&self, qemu: &mut Qemu, deadline: Deadline) -> Result<UnixStream, GuestError> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    fs::context("set up", &self.path, stream.set_nonblocking(false))?;
                    fs::context("set up", &self.path, stream.set_read_timeout(Some(TICK)))?;
                    fs::context("set up", &self.path, stream.set_write_timeout(Some(Duration::from_secs(10))))?;
                    return Ok(stream);
                }
                Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => {}
                Err(error) => fs::context("accept on", &self.path, Err(error))?,
            }
            qemu.check()?;
            if deadline.passed() {
                return Err(failed(&qemu.machine, "did not open its sockets".to_owned(), &qemu.said()));
            }
            if let Some(status) = qemu.ended(Duration::from_millis(20))? {
                return Err(qemu.end(status));
            }
        }
    }
}

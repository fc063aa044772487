//! What goes wrong with a running machine: the world's failures apart from the guest's.

use std::path::PathBuf;

use super::emulator_advice;
use crate::base::{ByteSize, Foreign, Quoted};
use crate::world::WorldError;

/// A machine could not be started, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file operation.
    #[error(transparent)]
    World(#[from] WorldError),
    /// QEMU could not be started, or ended by itself.
    #[error("machine {machine}: QEMU {what}{}{}", tail(said), emulator_advice::help(said))]
    Qemu {
        machine: String,
        /// `could not be started: ...`, `ended with exit status 1`.
        what: String,
        /// Its last words on standard error.
        said: String,
    },
    /// The guest failed: panic, silence, power-off.
    #[error("machine {machine}: {reason}{}", tail(&console.join("\n")))]
    Guest {
        machine: String,
        reason: String,
        /// The last lines of its console.
        console: Vec<String>,
    },
    /// QEMU refused a QMP command.
    #[error("machine {machine}: QMP {command}: {reason}")]
    Refused {
        machine: String,
        command: String,
        /// QEMU's words.
        reason: String,
    },
    /// A QMP command was not answered.
    #[error("machine {machine}: QMP {command}: {reason}")]
    Qmp {
        machine: String,
        command: String,
        /// What was heard instead.
        reason: String,
    },
    /// A forwarded port belongs to another program.
    #[error(
        "port {port} on {host} is already in use, so machine {machine} cannot forward it: \
         stop the program that uses it, or change the host port of `forward`"
    )]
    PortTaken {
        machine: String,
        /// Address on this machine.
        host: String,
        port: u16,
    },
    /// The port of the gdb stub belongs to another program.
    #[error(
        "port {port} on 127.0.0.1 is already in use, so gdb cannot reach machine {machine}: choose another one with `--gdb=PORT`"
    )]
    GdbPortTaken { machine: String, port: u16 },
    /// A forwarded port cannot be listened on for another reason.
    #[error("machine {machine}: cannot listen on {host} port {port}: {reason}")]
    Port { machine: String, host: String, port: u16, reason: String },
    /// The user network of a machine could not be started.
    #[error("machine {machine}: cannot start its user network: {reason}")]
    Network { machine: String, reason: String },
    /// A file is not the one that was compared before the start.
    #[error("machine {machine}: {file} changed after it was checked; run the command again")]
    Changed { machine: String, file: String },
    /// A machine without a file that its argv names.
    #[error("machine {machine}: missing file for `{place}`")]
    NoFile { machine: String, place: &'static str },
    /// A machine that a test names and that was not built.
    #[error("machine {machine}: it was not built")]
    NotBuilt { machine: String },
    /// The accelerator that was asked for does not run this machine.
    #[error("machine {machine}: {reason}")]
    Accel { machine: String, reason: String },
    /// The words that start the test shell do not fit on the kernel command line.
    #[error(
        "machine {machine}: its kernel command line is {over} characters too long for tests: the kernel keeps {longest}, \
         of which tests need {needed}"
    )]
    KernelLine { machine: String, over: usize, longest: usize, needed: usize },
    /// KVM was found not to work while `auto` was asked for: start again with TCG.
    #[error("KVM does not work on this host ({reason})")]
    KvmBroken {
        /// QEMU's words.
        reason: String,
    },
    /// A file given to `--keep` cannot serve.
    #[error("{}: {reason}", Foreign(path.display()))]
    Keep { path: PathBuf, reason: String },
    /// The host cannot give a run what it is asked for.
    #[error("{option}: {reason}")]
    Resource {
        /// The option of the command line.
        option: &'static str,
        reason: String,
    },
    /// A directory given to `--share` cannot be shown to a guest.
    #[error("machine {machine}: {reason}")]
    Share { machine: String, reason: String },
    /// A size given to `--disk-size` cannot be.
    #[error("--disk-size {size}: {reason}")]
    DiskSize { size: ByteSize, reason: String },
    /// A built disk is not what a build delivers.
    #[error("{}: {reason}", Foreign(path.display()))]
    Disk { path: PathBuf, reason: String },
    /// Ctrl-C or a termination signal.
    #[error("interrupted")]
    Interrupted,
}

fn tail(text: &str) -> String {
    Quoted(text.trim(), "  ").to_string()
}

//! What goes wrong with a running machine: the world's failures apart from the guest's.

use crate::base::Quoted;
use crate::world::WorldError;

/// A machine could not be started, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file operation.
    #[error(transparent)]
    World(#[from] WorldError),
    /// QEMU could not be started, or ended by itself.
    #[error("machine {machine}: QEMU {what}{}", tail(said))]
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
    /// The argv cannot be used as asked.
    #[error("machine {machine}: {reason}")]
    Launch { machine: String, reason: String },
    /// KVM was found not to work while `auto` was asked for: start again with TCG.
    #[error("KVM does not work on this host ({reason})")]
    KvmBroken {
        /// QEMU's words.
        reason: String,
    },
    /// A file given to `--keep` cannot serve.
    #[error("{path}: {reason}")]
    Overlay { path: String, reason: String },
    /// Ctrl-C or a termination signal.
    #[error("interrupted")]
    Interrupted,
}

fn tail(text: &str) -> String {
    Quoted(text.trim(), "  ").to_string()
}

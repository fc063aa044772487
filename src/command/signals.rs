//! Ctrl-C: the first one ends what runs and lets it clean up; of what does not end soon, files without a name are removed, and the rest
//! is left to the next kiln, which sweeps it. Every phase of every command ends with the same exit code, whichever of SIGINT, SIGTERM and SIGHUP it was.

use std::sync::Once;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exec::interrupt::{self, Stopping};
use crate::ops::ErrorClass;
use crate::world::{fs, passphrase, unfinished};

/// What the user is told in the end, whichever way it comes.
pub const INTERRUPTED_MESSAGE: &str = "interrupted; finished steps are kept. Run the same command to resume.";
/// No process's status is larger.
const STATUS_LIMIT: u64 = 1 << 16;

static LISTEN: Once = Once::new();

/// From now on signals end what runs.
pub fn listen() {
    LISTEN.call_once(|| {
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !hangup_is_ignored());
        // Without handlers a signal kills kiln at once, which the store survives as well.
        if let Ok(signals) = Signals::new(wanted) {
            std::thread::spawn(|| follow(signals));
        }
    });
}

fn follow(mut signals: Signals) {
    for _ in signals.forever() {
        match interrupt::stop() {
            Stopping::Idle | Stopping::Again => end(),
            Stopping::Begun(patience) => {
                std::thread::spawn(move || {
                    std::thread::sleep(patience);
                    crate::tell!("{INTERRUPTED_MESSAGE}");
                    end();
                });
            }
        }
    }
}

fn end() -> ! {
    passphrase::show_again();
    unfinished::remove();
    std::process::exit(i32::from(ErrorClass::Interrupted.exit_code()))
}

/// Whether kiln was started with `nohup`: then it goes on when its terminal is closed.
fn hangup_is_ignored() -> bool {
    let status = fs::read("/proc/self/status".as_ref(), STATUS_LIMIT).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (SIGHUP - 1) & 1 == 1
}

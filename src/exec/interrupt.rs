//! Ctrl-C: the first one ends all sandboxes and lets the build clean up; what does not end soon is left to the next
//! kiln, which sweeps it.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::sandbox;

/// Exit code of a build that was interrupted: 128 and the number of SIGINT, as shells have it.
const EXIT_CODE: i32 = 130;
/// How long cleaning up may take.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(2);
/// What the user is told in the end, whichever way it comes.
pub const INTERRUPTED_MESSAGE: &str = "interrupted; finished steps are kept. Run the same command to resume.";

static BUILDS: AtomicUsize = AtomicUsize::new(0);
static STOPPED: AtomicBool = AtomicBool::new(false);
static LISTEN: Once = Once::new();

/// While it lives, signals stop builds; without one they do what they always do.
pub(super) struct Listening;

impl Listening {
    pub(super) fn start() -> Listening {
        BUILDS.fetch_add(1, Ordering::SeqCst);
        LISTEN.call_once(|| {
            // Without handlers a signal kills kiln at once, which the store survives as well.
            if let Ok(signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
                std::thread::spawn(|| listen(signals));
            }
        });
        Listening
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        BUILDS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether builds are to end.
pub(in crate::exec) fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

fn listen(mut signals: Signals) {
    for signal in signals.forever() {
        if BUILDS.load(Ordering::SeqCst) == 0 {
            // A signal that cannot be passed on ends the process like one that can.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            std::process::exit(EXIT_CODE);
        }
        if STOPPED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE);
        }
        sandbox::cancel_all();
        std::thread::spawn(|| {
            std::thread::sleep(CLEANUP_TIMEOUT);
            crate::tell!("{INTERRUPTED_MESSAGE}");
            std::process::exit(EXIT_CODE);
        });
    }
}

//! Runs machines and the tests inside them.
//!
//! Input: built artifacts and an argv. Output: a running QEMU on the terminal, or test results. It must not build.
//!
//! Nothing is added to the image under test: a test boots with one more serial port, and words on the kernel's
//! command line make systemd start a shell that reads its orders from there (see [`agent`]).

pub mod accel;
pub mod agent;
pub mod clock;
pub mod console;
pub mod emulator;
mod emulator_advice;
pub mod error;
pub mod event;
pub mod frame;
pub mod gdb;
pub mod hold;
pub mod host;
pub mod junit;
pub mod keep;
pub mod launch;
pub mod monitor;
pub mod network;
pub mod overlay;
pub mod ports;
pub mod process;
pub mod qmp;
pub mod report;
pub mod run;
pub mod rundir;
pub mod running;
pub mod session;
pub mod share;
pub mod ssh;
pub mod state;
pub mod step;
pub mod terminal;
pub mod test;

pub use accel::AccelChoice;
pub use error::GuestError;
pub use launch::Launch;
pub use report::TestReport;

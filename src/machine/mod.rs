//! A checked machine to the QEMU that emulates it: topology, rules, capabilities, argv, drawing.
//!
//! Input: [`crate::recipe::machine::Machine`] and the locked QEMU. Output: diagnostics, an argv as data, a drawing.
//! It must not start anything, and it must not look at the disk.
//!
//! ```text
//! Machine --topology--> numbers and ids --rules, capability--> Findings
//!                                       --argv--> CommandLine --words / sh / json-->
//!                                       --draw--> text, SVG
//! ```

mod additions;
pub mod address;
pub mod argv;
pub mod capability;
mod description;
pub mod draw;
mod finding;
pub mod network;
pub mod rules;
pub mod topology;
mod version;

pub use additions::{AdditionError, LaunchAdditions};
pub use argv::argv;
pub use description::{Description, QemuOrigin};
pub use finding::Findings;
pub use topology::Topology;

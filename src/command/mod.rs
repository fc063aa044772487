//! One thin file per verb: joins the layers and turns their errors into words and exit codes.
//!
//! Input: parsed arguments. Output: an exit code: 0 good, 1 mistakes in the recipe, 2 usage, 3 bits differ, 4 the
//! world failed. It must not decide bits: everything that an artifact depends on happens in the layers to its left.

pub mod failure;
pub mod progress;
pub mod project;

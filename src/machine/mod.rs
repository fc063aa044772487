//! A checked machine to the QEMU that emulates it: topology, rules, capabilities, argv.
//!
//! Input: [`crate::recipe::machine::Machine`] and the locked QEMU. Output: diagnostics, an argv as data, a drawing.
//! It must not start anything.

//! kiln compiles a recipe (text) into exact bits: a kernel, a Debian disk image and a QEMU CXL machine.
//!
//! ```text
//! text --parse--> syntax::File --check--> Recipe --resolve--> Lock --lower--> Plan --realize--> Artifacts
//!                                                               Artifacts --launch / test / verify-->
//! ```
//!
//! Layers, each of which may use only what stands to its left (`format` uses `base` only):
//!
//! ```text
//! base < world < oci < syntax < recipe < kconfig < debian < lock < plan < store < inspect < exec < machine < guest < deliver
//!      < ops < cli < command
//! ```
//!
//! Invariants:
//!
//! 1. Nothing that is hashed or written into an artifact depends on a clock, an environment variable, a locale, a
//!    user, a path outside the sandbox, the number of cores, directory order or hash-map order.
//! 2. A byte enters the store only after its digest was checked; it leaves the store checked again.
//! 3. Every network byte is named by a digest in the lock, except while resolving, where signatures are checked.
//! 4. `lock` never fetches package contents it does not need; `plan` never looks at the disk; `exec` never decides
//!    what to do.
//! 5. An interrupted or failed run leaves the store as valid as before.
//! 6. A mistake of the user is a [`base::Diagnostic`]; a failure of the world is a typed error that names what was
//!    touched; a bug is a panic with the broken invariant.

pub mod base;
pub mod cli;
pub mod command;
pub mod debian;
pub mod deliver;
pub mod exec;
pub mod format;
pub mod guest;
pub mod inspect;
pub mod kconfig;
pub mod lock;
pub mod machine;
pub mod oci;
pub mod ops;
pub mod plan;
pub mod recipe;
pub mod store;
pub mod syntax;
pub mod world;

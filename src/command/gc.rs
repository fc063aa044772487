//! `kiln gc`: frees the store of what no recent result needs.

use super::failure::Failure;
use super::{load, output};
use crate::base::ByteSize;
use crate::cli;
use crate::store::gc::Policy;
use crate::world::{RealWorld, World};

/// Carries the verb out.
pub fn run(args: &cli::Gc) -> Result<(), Failure> {
    let world = RealWorld::default();
    let store = load::open_store(&world)?;
    let since = world.now().0 - i64::from(args.keep_days) * 86_400;
    let report = store.collect(&Policy { since, dry_run: args.dry_run }).map_err(Failure::world)?;
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let size = ByteSize(report.bytes).rounded();
    output::print(&format!("{verb} {} files and trees, {size}; kept {}\n", report.removed, report.kept))
}

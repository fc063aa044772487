//! `kiln gc`: frees the store of what no recent result needs.

use super::failure::Failure;
use super::output;
use crate::base::ByteSize;
use crate::cli;
use crate::ops::{Session, load};
use crate::store::gc::Policy;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::GcArgs) -> Result<(), Failure> {
    let store = load::open_store(session.world)?;
    if args.check {
        let found = store.recheck()?;
        output::print(&format!("checked {} files and trees; {} damaged, set aside\n", found.checked, found.damaged))?;
    }
    let since = session.world.now().0 - i64::from(args.keep_days) * 86_400;
    let report = store.collect(&Policy { since, dry_run: args.dry_run })?;
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let size = ByteSize(report.bytes).rounded();
    output::print(&format!("{verb} {} files and trees, {size}; kept {}\n", report.removed, report.kept))
}

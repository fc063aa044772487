//! `kiln gc` and `kiln store`: what is in the store, whether it is sound, and freeing it of what no recent result needs.

use super::failure::Failure;
use super::output;
use crate::base::ByteSize;
use crate::cli::{self, StoreQuestion};
use crate::ops::{Session, load};
use crate::store::gc::{Policy, RecheckReport};

/// Carries `kiln gc` out.
pub fn run(session: &Session<'_>, args: &cli::GcArgs) -> Result<(), Failure> {
    let store = load::open_store(session.world)?;
    if args.check {
        output::print(&checked(&store.recheck()?))?;
    }
    let since = session.world.now().0 - i64::from(args.keep_days) * 86_400;
    let mut policy = Policy { since, dry_run: args.dry_run };
    if let Some(most) = args.max_size {
        policy = store.fitting(&policy, most.0)?;
    }
    let report = store.collect(&policy)?;
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let size = ByteSize(report.bytes).rounded();
    output::print(&format!("{verb} {} files and trees, {size}; kept {}\n", report.removed, report.kept))
}

/// Carries `kiln store` out.
pub fn store(session: &Session<'_>, args: &cli::StoreArgs) -> Result<(), Failure> {
    let store = load::open_store(session.world)?;
    match args.question {
        StoreQuestion::Path => output::print(&format!("{}\n", store.root().display())),
        StoreQuestion::Stat { json } => {
            let usage = store.usage()?;
            if json {
                return output::json(&usage);
            }
            let line = |name: &str, entries: usize, bytes: u64| {
                format!("{:>10}  {entries:>7}  {name}\n", ByteSize(bytes).rounded())
            };
            let lines: String = usage.iter().map(|part| line(part.part, part.entries, part.bytes)).collect();
            let total =
                line("total", usage.iter().map(|part| part.entries).sum(), usage.iter().map(|part| part.bytes).sum());
            output::print(&format!("{lines}{total}"))
        }
        StoreQuestion::Verify => {
            let found = store.recheck()?;
            let text = checked(&found);
            if found.damaged == 0 { output::print(&text) } else { Err(Failure::mismatch(text.trim_end())) }
        }
    }
}

fn checked(found: &RecheckReport) -> String {
    format!("checked {} files and trees; {} damaged, set aside\n", found.checked, found.damaged)
}

//! `kiln gc`: freeing the store of what no recent result needs.

use super::failure::Failure;
use super::output;
use super::store::checked;
use crate::base::{ByteSize, Foreign};
use crate::cli;
use crate::ops::{Session, load};
use crate::store::Store;
use crate::store::gc::{GcEntry, GcReport, Policy};

/// Carries `kiln gc` out.
pub fn run(session: &Session<'_>, args: &cli::GcArgs) -> Result<(), Failure> {
    let store = load::known_store(session.world)?;
    let found = if args.check { Some(store.recheck()?) } else { None };
    let since = session.world.now().0 - i64::from(args.keep_days) * 86_400;
    let policy = Policy { since, most: args.max_size.map(|most| most.0), dry_run: args.dry_run };
    let report = store.collect(&policy)?;
    if let Some(most) = args.max_size {
        limited(&store, most, &report, args.dry_run)?;
    }
    let mut text = found.as_ref().map(checked).unwrap_or_default();
    if args.json {
        output::json(&report)?;
    } else {
        text += &collected(&report, args.dry_run);
    }
    match found {
        Some(found) if found.damaged > 0 => Err(Failure::mismatch(text.trim_end())),
        _ if args.json => Ok(()),
        _ => output::print(&text),
    }
}

/// Says that a limit is not kept, as roots stay under every one.
fn limited(store: &Store, most: ByteSize, report: &GcReport, dry_run: bool) -> Result<(), Failure> {
    let (gone, verb) = if dry_run { (report.bytes, "would still take") } else { (0, "still takes") };
    let left = store.usage()?.iter().map(|part| part.bytes).sum::<u64>().saturating_sub(gone);
    if left > most.0 {
        let (left, most) = (ByteSize(left).rounded(), most.rounded());
        let help = "roots keep the rest; `kiln root list` lists them";
        crate::tell!("warning: the store {verb} {left}, more than --max-size {most}\n  help: {help}");
    }
    Ok(())
}

/// What was removed; what would be, one by one, the largest first.
fn collected(report: &GcReport, dry_run: bool) -> String {
    let size = |bytes| ByteSize(bytes).rounded();
    let verb = if dry_run { "would remove" } else { "removed" };
    let GcReport { removed, bytes, kept, .. } = report;
    let mut text = format!("{verb} {}, {}; kept {kept}\n", super::store::entries(*removed), size(*bytes));
    if dry_run {
        let mut entries: Vec<&GcEntry> = report.entries.iter().collect();
        entries.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
        for GcEntry { part, name, bytes } in entries {
            text.push_str(&format!("{:>10}  {part}/{}\n", size(*bytes), Foreign(name)));
        }
    }
    text
}

//! `kiln gc` and `kiln store`: what is in the store, whether it is sound, and freeing it of what no recent result needs.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign};
use crate::cli::{self, StoreQuestion};
use crate::ops::{Session, load};
use crate::store::gc::{DamagedEntry, GcEntry, GcReport, Policy, RecheckReport};
use crate::store::{Below, BelowUsage, Store, StoreError};

/// Carries `kiln gc` out.
pub fn run(session: &Session<'_>, args: &cli::GcArgs) -> Result<(), Failure> {
    let store = load::open_store(session.world)?;
    let found = if args.check { Some(store.recheck()?) } else { None };
    let since = session.world.now().0 - i64::from(args.keep_days) * 86_400;
    let mut policy = Policy { since, dry_run: args.dry_run };
    if let Some(most) = args.max_size {
        policy = store.fitting(&policy, most.0)?;
    }
    let report = store.collect(&policy)?;
    let text = format!("{}{}", found.as_ref().map(checked).unwrap_or_default(), collected(&report, args.dry_run));
    match found {
        Some(found) if found.damaged > 0 => return Err(Failure::mismatch(text.trim_end())),
        _ if args.json => output::json(&report)?,
        _ => output::print(&text)?,
    }
    args.max_size.map_or(Ok(()), |most| limited(&store, most, &report, args.dry_run))
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
    let mut text = format!("{verb} {removed} files and trees, {}; kept {kept}\n", size(*bytes));
    if dry_run {
        let mut entries: Vec<&GcEntry> = report.entries.iter().collect();
        entries.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
        for GcEntry { part, name, bytes } in entries {
            text.push_str(&format!("{:>10}  {part}/{}\n", size(*bytes), Foreign(name)));
        }
    }
    text
}

/// Carries `kiln store` out.
pub fn store(session: &Session<'_>, args: &cli::StoreArgs) -> Result<(), Failure> {
    let store = load::open_store(session.world)?;
    match args.question {
        StoreQuestion::Path => {
            let all = std::iter::once(store.root()).chain(store.below().map(Below::path));
            output::print(&all.map(|path| format!("{}\n", path.display())).collect::<String>())
        }
        StoreQuestion::Stat { json } => {
            let usage = store.usage()?;
            let below: Vec<BelowUsage> =
                store.below().filter_map(|below| readable(&store, below, Below::usage)).collect();
            if json {
                let below = below.iter().flat_map(|store| &store.parts);
                return output::json(&usage.iter().chain(below).collect::<Vec<_>>());
            }
            let line = |name: &str, entries: usize, bytes: u64| {
                format!("{:>10}  {entries:>7}  {name}\n", ByteSize(bytes).rounded())
            };
            let lines: String = usage.iter().map(|part| line(part.part, part.entries, part.bytes)).collect();
            let total =
                line("total", usage.iter().map(|part| part.entries).sum(), usage.iter().map(|part| part.bytes).sum());
            let below = below.iter().map(|store| {
                let bytes = store.parts.iter().map(|part| part.bytes).sum();
                line(
                    &format!("below, in {}", Foreign(&store.path)),
                    store.parts.iter().map(|part| part.entries).sum(),
                    bytes,
                )
            });
            output::print(&format!("{lines}{total}{}", below.collect::<String>()))
        }
        StoreQuestion::Verify => {
            let found = store.recheck()?;
            let (mut text, mut damaged) = (checked(&found), found.damaged);
            for below in store.below() {
                let Some(found) = readable(&store, below, Below::recheck) else { continue };
                damaged += found.damaged;
                text += &format!(
                    "below, in {}: checked {} files and trees; {} damaged or not to be used\n{}",
                    Foreign(below.path().display()),
                    found.checked,
                    found.damaged,
                    listed(&found)
                );
            }
            if damaged == 0 { output::print(&text) } else { Err(Failure::mismatch(text.trim_end())) }
        }
        StoreQuestion::Share => {
            let closed = store.share()?;
            let closed = closed
                .iter()
                .map(|path| format!("other users cannot pass {}: `chmod o+x` lets them\n", path.display()));
            output::print(&format!("other users can read {}\n{}", store.root().display(), closed.collect::<String>()))
        }
        StoreQuestion::Unshare => Ok(store.unshare()?),
    }
}

/// What a store below answers. One that cannot be read, which is its owner's doing, says nothing about one's own.
fn readable<T>(store: &Store, below: &Below, ask: impl Fn(&Below) -> Result<T, StoreError>) -> Option<T> {
    let answer = ask(below);
    answer
        .map_err(|error| {
            store.warn(&format!("the store below at {} cannot be read: {error}", Foreign(below.path().display())))
        })
        .ok()
}

fn checked(found: &RecheckReport) -> String {
    let RecheckReport { checked, damaged, .. } = found;
    format!("checked {checked} files and trees; {damaged} damaged, set aside\n{}", listed(found))
}

/// A line for each that is damaged, as far as they are kept.
fn listed(found: &RecheckReport) -> String {
    let line = |entry: &DamagedEntry| {
        let kind = if entry.part == "tree" { "tree" } else { "file" };
        let outputs = entry.outputs.iter().map(|name| format!("`{}`", Foreign(name))).collect::<Vec<_>>().join(", ");
        let outputs =
            if outputs.is_empty() { "no output of a known result".to_owned() } else { format!("output {outputs}") };
        format!("  {kind} {}: {outputs}\n", entry.digest)
    };
    let more = found.damaged.saturating_sub(found.listed.len() as u64);
    let more = if more > 0 { format!("  {more} more\n") } else { String::new() };
    found.listed.iter().map(line).collect::<String>() + &more
}

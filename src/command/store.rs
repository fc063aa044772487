//! `kiln store`: where the store is, what is in it, whether it is sound, and who may read it.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign};
use crate::cli::{self, StoreQuestion};
use crate::ops::{OpsError, Session, load};
use crate::store::gc::{DamagedEntry, RecheckReport};
use crate::store::{Below, BelowUsage, Store, StoreError};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::StoreArgs) -> Result<(), Failure> {
    // A question makes no store; to say who may read it does.
    let store = match load::known_store(session.world) {
        // Where it would be.
        Err(OpsError::Store(error)) if matches!(args.question, StoreQuestion::Path) => {
            let StoreError::Absent(root) = *error else { return Err(OpsError::Store(error).into()) };
            return output::print(&format!("{}\n", root.display()));
        }
        Err(_) if matches!(args.question, StoreQuestion::Share | StoreQuestion::Unshare) => {
            load::open_store(session.world)?
        }
        known => known?,
    };
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
                    "below, in {}: checked {}; {} damaged or not to be used\n{}",
                    Foreign(below.path().display()),
                    entries(found.checked),
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

/// How many there are, and what is damaged.
pub(super) fn checked(found: &RecheckReport) -> String {
    let RecheckReport { checked, damaged, .. } = found;
    format!("checked {}; {damaged} damaged, set aside\n{}", entries(*checked), listed(found))
}

/// So many files and trees, in words.
pub(super) fn entries(count: u64) -> String {
    if count == 1 { "1 file or tree".to_owned() } else { format!("{count} files and trees") }
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

//! `kiln lock RECIPE`: writes down which bits the recipe means, and what has changed.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, counted};
use crate::cli;
use crate::lock;
use crate::lock::resolve::Update;
use crate::ops::lock::Locked;
use crate::ops::{self, Loaded, Session, load};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::LockArgs) -> Result<(), Failure> {
    if !args.recipe.sources.is_empty() {
        let message =
            "--source does not change a lock: build with it, or write `source = directory \"...\"` in the recipe";
        return Err(Failure::usage(message));
    }
    let loaded = load::recipe(session, &args.recipe.options())?;
    let shown = loaded.lock_path.display();
    if args.check {
        let packages: usize = ops::lock::check(&loaded)?.sets.values().map(Vec::len).sum();
        return output::print(&format!("{shown}: up to date; {}\n", counted(packages, "package")));
    }
    let update = match &args.update {
        None => Update::Keep,
        Some(names) if names.is_empty() => Update::All,
        Some(names) => Update::Some(names.iter().cloned().collect()),
    };
    let locked = if args.gone { ops::gone::lock(&loaded)? } else { ops::lock::lock(&loaded, &update)? };
    output::print(&if locked.written { summary(&loaded, &locked) } else { format!("{shown}: unchanged\n") })
}

fn summary(loaded: &Loaded<'_>, locked: &Locked) -> String {
    let mut text = String::new();
    for (name, packages) in &locked.lock.sets {
        let size: u64 = packages.iter().map(|package| package.file.size).sum();
        text.push_str(&format!("{name}: {}, {}\n", counted(packages.len(), "package"), ByteSize(size).rounded()));
    }
    if let Some(previous) = &locked.previous {
        for change in lock::diff(previous, &locked.lock) {
            text.push_str(&format!("  {change}\n"));
        }
    }
    text.push_str(&format!("wrote {}\n", loaded.lock_path.display()));
    text
}

//! `kiln root`: builds that garbage collection keeps under a name.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign};
use crate::cli::{self, RootAction};
use crate::ops::{Session, roots};

/// Carries `kiln root` out.
pub(super) fn run(session: &Session<'_>, args: &cli::RootArgs) -> Result<(), Failure> {
    match &args.action {
        RootAction::Add(add) => {
            let name = roots::name(&add.name)?;
            Ok(roots::add(session, &name, &add.recipe.options(), &add.realize.options())?)
        }
        RootAction::Remove { names } => {
            let names = names.iter().map(|name| roots::name(name)).collect::<Result<Vec<_>, _>>()?;
            Ok(roots::remove(session, &names)?)
        }
        RootAction::List { json } => {
            let listed = roots::list(session)?;
            if *json {
                return output::json(&listed);
            }
            let line = |root: &roots::ListedRoot| {
                let size = ByteSize(root.bytes).rounded();
                format!("{size:>10}  {:>7}  {}  {}\n", root.entries, root.name, Foreign(&root.recipe))
            };
            output::print(&listed.iter().map(line).collect::<String>())
        }
    }
}

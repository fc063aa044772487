//! What the recipe adds to the packages, in order: what every distribution has is in [`crate::exec::tree`].
//!
//! Input: the spec and a configured tree. Output: the tree, changed. It must not decide what a recipe means.

mod configure_again;
mod first_boot;
mod growth;
pub(super) mod locale;
mod servers;
mod system;
pub(super) mod unmade;
mod updates;

use super::run::Runner;
use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::{self, Addition};
use crate::plan::Statement;
use crate::plan::root::RootUnits;

/// One part.
pub(super) type Part = fn(&Addition<'_>) -> Result<(), RootError>;

/// In an order in which later ones may rely on earlier ones.
pub(super) const ALL: [(&str, Part); 6] = [
    ("removed", parts::removed),
    ("system", system::apply),
    ("network", parts::network),
    ("users", parts::users),
    ("files", parts::files),
    ("homes", parts::homes),
];

/// Applies every part.
pub(super) fn apply(addition: &Addition<'_>, runner: &Runner<'_>) -> Result<(), RootError> {
    for (_, part) in ALL {
        part(addition)?;
    }
    system::mounts(addition)?;
    system::stated(addition)?;
    locale::apply(addition, runner)?;
    if let Some(script) = services(addition)? {
        let enabled = runner.script("enabling units", &script, &mut |line| (runner.log)(line));
        enabled.map_err(|error| of_unit(&addition.spec.units, error))?;
    }
    updates::apply(addition, runner)
}

/// `systemctl` names the unit that it cannot change; one of the recipe's is the recipe's mistake.
fn of_unit(units: &RootUnits, error: RootError) -> RootError {
    let RootError::Program { tail, .. } = &error else { return error };
    let said =
        |unit: &&String| tail.split([' ', ',', '"', '\n']).any(|word| word.trim_end_matches('.') == unit.as_str());
    let mut all = units.enable.iter().chain(&units.disable).chain(&units.mask);
    match all.find(said) {
        Some(unit) => {
            let last = tail.lines().next_back().unwrap_or_default();
            StepFailure::recipe(Statement::Unit(unit.clone()), format!("unit `{unit}` cannot be changed: {last}"))
                .into()
        }
        None => error,
    }
}

/// Writes units, and says how those of the recipe and its own are enabled, if there are any.
pub(super) fn services(addition: &Addition<'_>) -> Result<Option<String>, RootError> {
    let born = first_boot::apply(addition)?;
    parts::units(addition, &born)
}

//! What a build would do with each step, without carrying any out or asking a cache.

use super::below::OthersResults;
use super::cache::{CacheOptions, CacheServices, CacheUse, Network, StepCaches};
use super::error::OpsError;
use super::load::Ready;
use crate::exec::cache::StepCache;
use crate::exec::event::IgnoreSteps;
use crate::exec::{self, Status};

/// The state of every step, in order.
pub fn status(ready: &Ready<'_>) -> Result<Vec<Status>, OpsError> {
    let options = CacheOptions { wanted: CacheUse::Remembered, ..CacheOptions::default() };
    let world = ready.loaded.session.world;
    let services = CacheServices { store: &ready.store, world, listener: &IgnoreSteps, memory: &ready.caches };
    let caches = StepCaches::open(services, &ready.loaded.recipe.name, (&options, Network::Forbidden))?;
    let others = OthersResults::new(&ready.store, caches.as_ref(), options.wanted);
    let asked = others.as_ref().map(|others| others as &dyn StepCache);
    Ok(exec::status(&ready.plan, &ready.store, asked)?)
}

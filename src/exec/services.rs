//! What a build works with: a store, a network, an executor, and who hears of it.

use super::cache::StepCache;
use super::event::StepListener;
use super::executor::Executor;
use super::fetch::MirrorLookup;
use crate::store::Store;
use crate::world::World;

/// What a build works with.
#[derive(Clone, Copy)]
pub struct Services<'a> {
    /// Where results and files are kept.
    pub store: &'a Store,
    /// The network that files are fetched from.
    pub world: &'a dyn World,
    /// Where files may be had.
    pub mirrors: &'a MirrorLookup<'a>,
    /// Who carries steps out.
    pub executor: &'a dyn Executor,
    /// Whose results count as well as this store's own, if anybody's.
    pub caches: Option<&'a dyn StepCache>,
    /// Who hears what happens.
    pub listener: &'a dyn StepListener,
}

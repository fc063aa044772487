//! What every operation is given: the world that it works in, and who hears of what it does.

use super::event::{IgnoreEvents, Notice, OpsEvent, OpsListener};
use crate::world::World;

/// The surroundings of an operation.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// Files, environment, clock and network.
    pub world: &'a dyn World,
    /// Who hears of what happens.
    pub listener: &'a dyn OpsListener,
}

impl<'a> Session<'a> {
    /// A session that nobody listens to.
    pub fn silent(world: &'a dyn World) -> Session<'a> {
        Session { world, listener: &IgnoreEvents }
    }

    pub(super) fn on(&self, event: OpsEvent<'_>) {
        self.listener.on(event);
    }

    pub(super) fn notice(&self, notice: Notice<'_>) {
        self.listener.on(OpsEvent::Notice(notice));
    }
}

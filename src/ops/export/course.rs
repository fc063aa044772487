//! How far the writing of an export is: told each tenth, and ended when the user has asked for that.

use std::cell::Cell;
use std::io;

use super::ask_to_stop;
use crate::ops::event::OpsEvent;
use crate::ops::session::Session;

/// Of a disk that is read from its beginning to its end.
pub(super) struct Course<'a> {
    session: &'a Session<'a>,
    /// The tenths that were told.
    shown: Cell<u64>,
}

impl<'a> Course<'a> {
    pub(super) fn new(session: &'a Session<'a>) -> Course<'a> {
        Course { session, shown: Cell::new(0) }
    }

    /// At this byte of so many. An error once the user has asked for an end.
    pub(super) fn at(&self, done: u64, total: u64) -> io::Result<()> {
        ask_to_stop()?;
        let tenth = done.saturating_mul(10) / total.max(1);
        if tenth > self.shown.replace(tenth.max(self.shown.get())) {
            self.session.on(OpsEvent::Exporting { done, total });
        }
        Ok(())
    }
}

//! Ports, switches and expanders of a panel, from left to right, one row a leaf.

use super::canvas::{Area, Canvas};
use super::parts;
use crate::base::ByteSize;
use crate::machine::topology::{BelowAt, ExpanderAt, PortAt, SwitchAt};

/// Height of a row.
pub(super) const ROW: f64 = 58.0;
/// Between a box and the row around it.
const AROUND: f64 = 12.0;
/// What several kinds of memory need more: a line of their own.
const LINE: f64 = 16.0;
/// The widest that a character of a class is on average, in the fonts that browsers have.
const NAME: f64 = 8.7;
const SIZE: f64 = 7.9;
const SMALL: f64 = 7.0;
const PORT_WIDTH: f64 = 88.0;
const SWITCH_WIDTH: f64 = 118.0;
const GAP: f64 = 34.0;
/// Width of a device's box.
pub(super) const DEVICE_WIDTH: f64 = 272.0;

/// Where the next row begins, and where devices stand.
pub(super) struct Cursor {
    pub(super) y: f64,
    pub(super) devices: f64,
}

/// How far right of a port its devices stand.
pub(super) fn depth(switches: bool) -> f64 {
    let switch = if switches { SWITCH_WIDTH + GAP + PORT_WIDTH + GAP } else { 0.0 };
    PORT_WIDTH + GAP + switch
}

/// Height of the row of a device.
pub(super) fn row(at: &ExpanderAt) -> f64 {
    if parts(at).len() > 1 { ROW + LINE } else { ROW }
}

/// Draws a port and what is below it; returns the point where its wire arrives.
pub(super) fn port(at: &PortAt, x: f64, cursor: &mut Cursor, canvas: &mut Canvas) -> (f64, f64) {
    let top = cursor.y;
    let start = x + PORT_WIDTH;
    let mut ends = Vec::new();
    for below in &at.below {
        ends.push(match below {
            BelowAt::Expander(at) => expander(at, cursor, canvas),
            BelowAt::Switch(at) => switch(at, start + GAP, cursor, canvas),
        });
    }
    if ends.is_empty() {
        let area = Area { x: cursor.devices, y: cursor.y + 12.0, width: 76.0, height: ROW - 24.0 };
        canvas.area("empty", area);
        canvas.words("small dim", (area.x + 16.0, area.middle() + 4.0), "empty");
        ends.push((area.x, area.middle()));
        cursor.y += ROW;
    }
    let middle = (top + cursor.y) / 2.0;
    ends.into_iter().for_each(|end| canvas.elbow((start, middle), end));
    let pill = Area { x, y: middle - 12.0, width: PORT_WIDTH, height: 24.0 };
    canvas.area("pill", pill);
    canvas.words("small center", (x + PORT_WIDTH / 2.0, middle + 4.0), &short(&at.port.name.value, 10));
    (x, middle)
}

fn switch(at: &SwitchAt, x: f64, cursor: &mut Cursor, canvas: &mut Canvas) -> (f64, f64) {
    let top = cursor.y;
    let ports = x + SWITCH_WIDTH + GAP;
    let ends: Vec<_> = at.ports.iter().map(|at| port(at, ports, cursor, canvas)).collect();
    if ends.is_empty() {
        cursor.y += ROW;
    }
    let area = Area { x, y: top + 6.0, width: SWITCH_WIDTH, height: cursor.y - top - 12.0 };
    ends.into_iter().for_each(|end| canvas.elbow((area.right(), end.1), end));
    canvas.area("switch", area);
    canvas.words("name center", (x + SWITCH_WIDTH / 2.0, area.middle() - 2.0), &short(&at.switch.name.value, 13));
    let what = if at.switch.mailbox.is_some() { "switch + mailbox" } else { "switch" };
    canvas.words("small dim center", (x + SWITCH_WIDTH / 2.0, area.middle() + 14.0), what);
    (x, area.middle())
}

fn expander(at: &ExpanderAt, cursor: &mut Cursor, canvas: &mut Canvas) -> (f64, f64) {
    let height = row(at);
    let area = Area { x: cursor.devices, y: cursor.y + AROUND / 2.0, width: DEVICE_WIDTH, height: height - AROUND };
    cursor.y += height;
    let parts = parts(at);
    let kind = if parts.len() > 1 { "mixed" } else { parts.first().map_or("volatile", |part| part.kind) };
    canvas.area(&format!("device {kind}"), area);
    canvas.stripe(&format!("stripe {kind}"), area);
    let (left, right, last) = (area.x + 20.0, area.right() - 12.0, area.y + area.height - 9.0);
    match parts.as_slice() {
        [only] => {
            let size = format!("{} {}", only.size, only.kind);
            let room = (right - left - 8.0 - SIZE * size.len() as f64) / NAME;
            canvas.words("name", (left, area.y + 20.0), &short(&at.id, room as usize));
            canvas.words("size end", (right, area.y + 20.0), &size);
        }
        // All kinds in full would not fit beside a name.
        several => {
            canvas.words("name", (left, area.y + 20.0), &short(&at.id, 26));
            let sizes: Vec<String> = several.iter().map(|part| format!("{} {}", part.size, &part.kind[..3])).collect();
            canvas.words("small", (left, area.y + 36.0), &sizes.join(" + "));
        }
    }
    let serial = format!("sn 0x{:x}", at.serial);
    canvas.words("mono dim", (left, last), &serial);
    let shared = parts.iter().find_map(|part| part.shared.as_ref()).map(|name| format!("shared as {name}"));
    let labels = at.expander.labels.as_ref().map(|labels| format!("labels {}", ByteSize(labels.value)));
    let cdat = at.expander.cdat.as_ref().map(|_| "cdat".to_owned());
    let notes: Vec<String> = shared.or(labels).into_iter().chain(cdat).collect();
    if let Some(note) = (!notes.is_empty()).then(|| notes.join(", ")) {
        let room = (right - left - 8.0) / SMALL - serial.len() as f64;
        canvas.words("small dim end", (right, last), &short(&note, room as usize));
    }
    (area.x, area.middle())
}

/// A name that fits into its box.
pub(super) fn short(name: &str, limit: usize) -> String {
    if name.chars().count() <= limit { name.to_owned() } else { name.chars().take(limit - 1).chain(['…']).collect() }
}

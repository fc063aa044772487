//! One machine: windows on the left, bridges and what hangs on them to the right.

use super::canvas::{Area, Canvas};
use super::device::{Cursor, DEVICE_WIDTH, ROW, depth, port, row, short};
use super::{is_generic_port, summary};
use crate::base::ByteSize;
use crate::machine::address;
use crate::machine::topology::{BelowAt, BridgeAt, PortAt, Topology};
use crate::recipe::machine::Machine;
use crate::recipe::machine::cxl::{Cxl, Window};
use crate::recipe::machine::memory::Node;

const MARGIN: f64 = 28.0;
const WINDOW_WIDTH: f64 = 212.0;
const WINDOW_HEIGHT: f64 = 62.0;
const REACH: f64 = 110.0;
const BRIDGE_WIDTH: f64 = 128.0;
const GAP: f64 = 34.0;
const NODE_WIDTH: f64 = 192.0;
/// Told apart in greyscale and by the colour-blind; more windows than colours begin again.
const COLORS: [&str; 6] = ["#2563a8", "#b4540a", "#0f7b6c", "#8a3fa0", "#a32a44", "#5b6470"];

/// Draws a machine whose upper edge is at `top`; returns its right and lower edge.
pub(super) fn panel(machine: &Machine, top: f64, canvas: &mut Canvas) -> (f64, f64) {
    canvas.words("title", (MARGIN, top + 38.0), &machine.name);
    canvas.words("small dim", (MARGIN, top + 60.0), &summary(machine));
    let width = MARGIN + 8.0 * summary(machine).len() as f64;
    let (right, bottom) = nodes(&machine.nodes, top + 80.0, canvas);
    let right = right.max(width);
    match &machine.cxl {
        Some(cxl) => {
            let (cxl_right, bottom) = topology(machine, cxl, bottom, canvas);
            (right.max(cxl_right), bottom)
        }
        None => (right, bottom + 4.0),
    }
}

/// NUMA nodes side by side, six in a row.
fn nodes(nodes: &[Node], top: f64, canvas: &mut Canvas) -> (f64, f64) {
    if nodes.is_empty() {
        return (0.0, top);
    }
    let mut right: f64 = 0.0;
    for (number, node) in nodes.iter().enumerate() {
        let (column, row) = ((number % 6) as f64, (number / 6) as f64);
        let area =
            Area { x: MARGIN + column * (NODE_WIDTH + 16.0), y: top + row * 66.0, width: NODE_WIDTH, height: 52.0 };
        canvas.area(if node.cpus.is_empty() { "node idle" } else { "node" }, area);
        let caches: Vec<String> = node.caches.iter().map(|cache| ByteSize(cache.size.value).to_string()).collect();
        let cached = if caches.is_empty() { String::new() } else { format!("cache {}", caches.join("+")) };
        canvas.words(
            "name",
            (area.x + 14.0, area.y + 22.0),
            &short(&node.name, if caches.is_empty() { 17 } else { 8 }),
        );
        if !cached.is_empty() {
            canvas.words("small dim end", (area.right() - 12.0, area.y + 22.0), &short(&cached, 15));
        }
        let memory =
            node.memory.as_ref().map_or("no memory".to_owned(), |memory| ByteSize(memory.value.size).to_string());
        let cpus = if node.cpus.is_empty() { "no CPUs".to_owned() } else { format!("{} CPUs", node.cpus.len()) };
        canvas.words("small dim", (area.x + 14.0, area.y + 40.0), &format!("node {number}, {memory}, {cpus}"));
        right = right.max(area.right() + MARGIN);
    }
    (right, top + (nodes.len().div_ceil(6)) as f64 * 66.0 + 8.0)
}

fn topology(machine: &Machine, cxl: &Cxl, top: f64, canvas: &mut Canvas) -> (f64, f64) {
    let topology = Topology::of(cxl);
    let switches = topology.bridges.iter().flat_map(|at| &at.ports).flat_map(|at| &at.below);
    let switches = switches.into_iter().any(|below| matches!(below, BelowAt::Switch(_)));
    let bridge_x = MARGIN + if cxl.windows.is_empty() { 0.0 } else { WINDOW_WIDTH + REACH };
    let port_x = bridge_x + BRIDGE_WIDTH + GAP;
    let devices = port_x + depth(switches);
    let needed = cxl.windows.len() as f64 * (WINDOW_HEIGHT + 14.0);
    let height: f64 = topology.bridges.iter().map(|at| rows(&at.ports) + 6.0).sum();
    // The shorter side stands in the middle of the longer one.
    let mut cursor = Cursor { y: top + (needed - height).max(0.0) / 2.0, devices };
    let bridges: Vec<Area> =
        topology.bridges.iter().map(|at| bridge(machine, at, (bridge_x, port_x), (&mut cursor, canvas))).collect();
    let starts = address::windows(machine);
    let free = (height - needed).max(0.0);
    let bottom = top + height.max(needed);
    for (number, (window, start)) in cxl.windows.iter().zip(starts).enumerate() {
        let place = (number as f64 + 0.5) / cxl.windows.len() as f64;
        let y = top + free * place + number as f64 * (WINDOW_HEIGHT + 14.0) + 4.0;
        let area = Area { x: MARGIN, y, width: WINDOW_WIDTH, height: WINDOW_HEIGHT };
        let color = COLORS[number % COLORS.len()];
        self::window(window, start, (area, color), canvas);
        reach(cxl, (number, window), (area, &bridges), canvas);
    }
    (devices + DEVICE_WIDTH + MARGIN, bottom + 4.0)
}

/// Height of the rows that ports and what is below them take.
fn rows(ports: &[PortAt]) -> f64 {
    let below = |below: &BelowAt| match below {
        BelowAt::Expander(at) => row(at),
        BelowAt::Switch(switch) => rows(&switch.ports),
    };
    let port = |at: &PortAt| if at.below.is_empty() { ROW } else { at.below.iter().map(below).sum() };
    if ports.is_empty() { ROW } else { ports.iter().map(port).sum() }
}

fn bridge(
    machine: &Machine,
    at: &BridgeAt,
    (x, port_x): (f64, f64),
    (cursor, canvas): (&mut Cursor, &mut Canvas),
) -> Area {
    let top = cursor.y;
    let ends: Vec<_> = at.ports.iter().map(|at| port(at, port_x, cursor, canvas)).collect();
    if ends.is_empty() {
        cursor.y += ROW;
    }
    let area = Area { x, y: top + 6.0, width: BRIDGE_WIDTH, height: cursor.y - top - 12.0 };
    ends.into_iter().for_each(|end| canvas.elbow((area.right(), end.1), end));
    canvas.area("bridge", area);
    let (center, mut line) = (x + BRIDGE_WIDTH / 2.0, area.middle() - 2.0);
    let mut notes = vec![format!("bus {}", at.bus)];
    if is_generic_port(machine, at) {
        line -= 8.0;
        notes.push("generic port".to_owned());
    }
    canvas.words("name light center", (center, line), &short(&at.bridge.name.value, 13));
    for note in notes {
        line += 16.0;
        canvas.words("small light center", (center, line), &note);
    }
    cursor.y += 6.0;
    area
}

fn window(window: &Window, start: u64, (area, color): (Area, &str), canvas: &mut Canvas) {
    canvas.area("window", area);
    let bar = Area { width: 5.0, y: area.y + 8.0, height: area.height - 16.0, x: area.x + 8.0 };
    canvas.bar(color, bar);
    canvas.words("name", (area.x + 24.0, area.y + 22.0), &short(&window.name.value, 12));
    canvas.words("size end", (area.right() - 12.0, area.y + 22.0), &ByteSize(window.size.value).to_string());
    canvas.words("mono dim", (area.x + 24.0, area.y + 38.0), &format!("0x{start:x}"));
    let ways = window.targets.len();
    let ways = if ways > 1 {
        format!("{ways} ways by {}", ByteSize(window.granularity.value))
    } else {
        "one target".to_owned()
    };
    canvas.words("small dim", (area.x + 24.0, area.y + 54.0), &ways);
}

/// Curves to the targets; where several windows lead to one bridge, each arrives at a height of its own.
fn reach(cxl: &Cxl, (number, window): (usize, &Window), (area, bridges): (Area, &[Area]), canvas: &mut Canvas) {
    for target in &window.targets {
        let Some(index) = cxl.bridges.iter().position(|bridge| bridge.name.value == target.value) else { continue };
        let leads = |other: &&Window| other.targets.iter().any(|other| other.value == target.value);
        let all = cxl.windows.iter().filter(leads).count() as f64;
        let before = cxl.windows.iter().take(number).filter(leads).count() as f64;
        let bridge = bridges[index];
        let y = bridge.y + bridge.height * (before + 1.0) / (all + 1.0);
        canvas.curve(COLORS[number % COLORS.len()], (area.right(), area.middle()), (bridge.x, y));
    }
}

//! Boxes, words and lines of an SVG.

use std::fmt::Write as _;

/// A rectangle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    /// Half way down.
    pub(super) fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }

    /// One past the right edge.
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }
}

/// A point.
pub(super) type Point = (f64, f64);

/// Shapes so far: lines lie below everything else.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    lines: String,
    shapes: String,
}

impl Canvas {
    /// A box of a style class.
    pub(super) fn area(&mut self, class: &str, area: Area) {
        let Area { x, y, width, height } = area;
        let radius = if class.contains("pill") { height / 2.0 } else { 7.0 };
        let _ = writeln!(
            self.shapes,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius:.1}"/>"#
        );
    }

    /// A bar in a window's colour.
    pub(super) fn bar(&mut self, color: &str, Area { x, y, width, height }: Area) {
        let _ = writeln!(
            self.shapes,
            r#"<rect fill="{color}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2.5"/>"#
        );
    }

    /// A stripe in the left edge of a box.
    pub(super) fn stripe(&mut self, class: &str, area: Area) {
        let Area { x, y, height, .. } = area;
        let _ = writeln!(
            self.shapes,
            r#"<path class="{class}" d="M{:.1} {y:.1}h-1a7 7 0 0 0 -7 7v{:.1}a7 7 0 0 0 7 7h1z"/>"#,
            x + 8.0,
            height - 14.0
        );
    }

    /// Words whose baseline is at a point; the class says size, weight and anchor.
    pub(super) fn words(&mut self, class: &str, (x, y): Point, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.shapes, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{words}</text>"#);
    }

    /// A line that turns twice at right angles, half way.
    pub(super) fn elbow(&mut self, from: Point, to: Point) {
        let middle = (from.0 + to.0) / 2.0;
        let (x, y, right, end) = (from.0, from.1, to.0, to.1);
        let _ = writeln!(self.lines, r#"<path class="wire" d="M{x:.1} {y:.1}H{middle:.1}V{end:.1}H{right:.1}"/>"#);
    }

    /// A curve from a window to a bridge, in the window's colour.
    pub(super) fn curve(&mut self, color: &str, from: Point, to: Point) {
        let middle = (from.0 + to.0) / 2.0;
        let _ = writeln!(
            self.lines,
            r#"<path class="reach" stroke="{color}" d="M{:.1} {:.1}C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}"/>"#,
            from.0, from.1, from.1, to.1, to.0, to.1
        );
    }

    /// Everything drawn.
    pub(super) fn body(self) -> String {
        self.lines + &self.shapes
    }
}

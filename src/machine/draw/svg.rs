//! The SVG for documents: every machine in a panel of its own, one below the other.

use super::canvas::Canvas;
use super::panel::panel;
use crate::recipe::machine::Machine;

/// Its own background, so that it is legible on light and dark pages; fonts that are everywhere.
const STYLE: &str = "\
text{font-family:system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1c2733}\
.title{font-size:20px;font-weight:600}.name{font-size:13.5px;font-weight:600}.size{font-size:13px}\
.small{font-size:12px}.mono{font-size:11.5px;font-family:ui-monospace,'DejaVu Sans Mono',monospace}\
.dim{fill:#5d6b7a}.light{fill:#fff}.center{text-anchor:middle}.end{text-anchor:end}\
.page{fill:#f6f8fa}.rule{stroke:#d5dce3;stroke-width:1}\
.wire{fill:none;stroke:#8795a3;stroke-width:1.5}.reach{fill:none;stroke-width:2;opacity:.75}\
.window{fill:#fff;stroke:#c3ccd5}.bridge{fill:#31465c}.switch{fill:#e3e9ef;stroke:#8795a3}\
.pill{fill:#fff;stroke:#8795a3}.empty{fill:none;stroke:#a9b4bf;stroke-dasharray:4 3}\
.device{fill:#fff;stroke:#c3ccd5}.node{fill:#fff;stroke:#31465c}.idle{stroke-dasharray:5 3}\
.stripe.volatile,.key.volatile{fill:#1f8a70}.stripe.persistent,.key.persistent{fill:#4657b8}\
.stripe.dynamic,.key.dynamic{fill:#d18a1c}.stripe.mixed,.key.mixed{fill:#8a3fa0}";

/// Machines as one SVG document.
pub fn svg<'a>(machines: impl IntoIterator<Item = &'a Machine>) -> String {
    let mut canvas = Canvas::default();
    let (mut right, mut bottom): (f64, f64) = (360.0, 0.0);
    let mut names = Vec::new();
    for machine in machines {
        let edge = panel(machine, bottom, &mut canvas);
        right = right.max(edge.0);
        bottom = edge.1 + 14.0;
        names.push(machine.name.as_str());
    }
    let names = names.join(", ");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{right:.0}\" height=\"{bottom:.0}\" \
         viewBox=\"0 0 {right:.0} {bottom:.0}\" role=\"img\" aria-label=\"Topology of {names}\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{right:.0}\" height=\"{bottom:.0}\" rx=\"10\"/>\n{}</svg>\n",
        canvas.body()
    )
}

//! A recipe and its lock as one page for people: what is in it, where that comes from, what came out, who says so.
//!
//! Input: a recipe with its lock, or a result directory; optionally a result directory with its signature, and places of attestations. Output: one HTML file that loads nothing and runs
//! nothing. Everything in it may be somebody else's words, and is escaped in one place, [`html`]. The same input gives the
//! same bytes: no clock is read.

mod builders;
mod builds;
mod html;
mod kernels;
mod packages;
mod subject;
mod trust;

use std::path::PathBuf;

use self::html::{Cell, Html, Section, Table, terms};
use self::subject::Subject;
use super::error::OpsError;
use super::options::RecipeOptions;
use super::questions;
use super::session::Session;
use crate::base::{ByteSize, counted};
use crate::lock;
use crate::machine::draw;
use crate::recipe::machine::Machine;

/// What a page is about.
#[derive(Debug, Clone, Default)]
pub struct ReportRequest {
    /// The recipe, or a result directory.
    pub recipe: RecipeOptions,
    /// A directory that was built from it, or that directory again, whose signature is checked.
    pub result: Option<PathBuf>,
    /// Where attestations of builds are.
    pub from: Vec<String>,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
}

/// The page.
pub fn report(session: &Session<'_>, request: &ReportRequest) -> Result<String, OpsError> {
    let subject = Subject::of(session, &request.recipe)?;
    let builders = builders::section(request, &subject)?;
    let lock = &subject.lock;
    let mut sections = Vec::new();
    if !subject.machines.is_empty() {
        sections.push(machines(&subject));
    }
    sections.push(packages::section(lock));
    if subject.recipe.as_ref().map_or(!lock.kernels.is_empty(), |recipe| !recipe.kernels.is_empty()) {
        sections.push(kernels::section(subject.recipe.as_ref(), lock));
    }
    sections.extend(subject.recipe.as_ref().and_then(builds::section));
    sections.extend([trust::inputs(lock), trust::outputs(lock, subject.manifest.as_ref()), builders]);
    Ok(html::page(&format!("Report on {}", lock.recipe.name), &lead(&subject), &sections))
}

/// An address as everybody may read it.
fn address(url: &str) -> String {
    lock::public_url(url).map_or("a URL that is not shown, because it may have a password".to_owned(), str::to_owned)
}

fn lead(subject: &Subject<'_>) -> Html {
    let lock = &subject.lock;
    let size = questions::size(lock);
    let packages: std::collections::BTreeSet<_> =
        lock.sets.values().flatten().map(|package| package.file.sha256).collect();
    let (images, kernels) = match &subject.recipe {
        Some(recipe) => (recipe.images.len(), recipe.kernels.len()),
        None => (lock.images.len(), lock.kernels.len()),
    };
    let mut parts =
        vec![counted(subject.machines.len(), "machine"), counted(images, "image"), counted(kernels, "kernel")];
    let builds = subject.recipe.as_ref().map_or(0, |recipe| recipe.builds.len());
    if builds > 0 {
        parts.push(format!("{} of its own", counted(builds, "build")));
    }
    terms(vec![
        ("Recipe", Cell::text(&lock.recipe.name)),
        ("Lock", Cell::Digest(lock::inputs_digest(lock))),
        ("Timestamp", Cell::text(lock.epoch.to_string())),
        ("Builds", Cell::text(parts.join(", "))),
        ("Inputs", Cell::text(format!("{}, {}", counted(packages.len(), "package"), ByteSize(size.bytes).rounded()))),
        ("Output version", Cell::text(lock.output_version.to_string())),
    ])
}

fn machines(Subject { machines, lock, .. }: &Subject<'_>) -> Section {
    let row = |machine: &Machine| {
        let locked = lock.machines.get(&machine.name);
        let of_lock =
            |value: fn(&lock::LockedMachine) -> &String| locked.map_or(String::new(), |machine| value(machine).clone());
        vec![
            Cell::text(&machine.name),
            Cell::text(&machine.image),
            Cell::text(&machine.kernel),
            Cell::text(of_lock(|machine| &machine.qemu)),
            Cell::text(of_lock(|machine| &machine.machine_type)),
            Cell::Number(machine.cpus.value.to_string()),
            Cell::Number(ByteSize(machine.memory.value).to_string()),
        ]
    };
    let table = Table {
        caption: "Machines".to_owned(),
        columns: &["Machine", "Image", "Kernel", "QEMU", "Machine type", "CPUs", "Memory"],
        rows: machines.values().map(row).collect(),
    };
    let picture = draw::svg(machines.values());
    let picture = Html(format!(
        "<div class=\"scroll\" role=\"group\" aria-label=\"Topology\" tabindex=\"0\">\n{picture}</div>\n"
    ));
    let trees: Vec<String> = machines.values().map(draw::tree).collect();
    let tree = Html(format!("<pre tabindex=\"0\">{}</pre>\n", html::lines(&trees.join("\n"))));
    let parts = vec![table.html(), picture, html::details("Topology as text", &tree)];
    Section { id: "machines", heading: "Machines", parts }
}

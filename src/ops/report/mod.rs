//! A recipe and its lock as one page for people: what is in it, where that comes from, what came out, who says so.
//!
//! Input: a recipe with its lock; optionally a result directory with its signature. Output: one HTML file that loads nothing and runs
//! nothing. Everything in it may be somebody else's words, and is escaped in one place, [`html`]. The same input gives the
//! same bytes: no clock is read.

mod html;
mod kernels;
mod packages;
mod trust;

use std::path::PathBuf;

use self::html::{Cell, Html, Section, Table, paragraph, terms};
use super::error::OpsError;
use super::load::{self, Loaded};
use super::options::RecipeOptions;
use super::questions;
use super::session::Session;
use super::sign::{self, SignedReport, SignedRequest};
use crate::base::ByteSize;
use crate::lock::{self, Lock};
use crate::machine::draw;
use crate::recipe::machine::Machine;

/// What a page is about.
#[derive(Debug, Clone, Default)]
pub struct ReportRequest {
    /// The recipe.
    pub recipe: RecipeOptions,
    /// A directory that was built from it, whose signature is checked.
    pub result: Option<PathBuf>,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
}

/// The page.
pub fn report(session: &Session<'_>, request: &ReportRequest) -> Result<String, OpsError> {
    let loaded = load::recipe(session, &request.recipe)?;
    let lock = load::lock_of(&loaded)?;
    // Numbers in a picture are assigned on the premise that the machines can exist.
    super::check(&loaded)?;
    let signed = request.result.as_ref().map(|directory| {
        let (directory, recipe) = (directory.clone(), Some(lock.recipe.name.clone()));
        sign::verify(session, &SignedRequest { directory, recipe, trusted: request.trusted.clone() })
    });
    let signed = signed.transpose()?;
    let recipe = &loaded.recipe;
    let mut sections = Vec::new();
    if !recipe.machines.is_empty() {
        sections.push(machines(&loaded, &lock));
    }
    sections.push(packages::section(&lock));
    if !recipe.kernels.is_empty() {
        sections.push(kernels::section(recipe, &lock));
    }
    sections.extend([trust::inputs(&lock), trust::outputs(&lock), signatures(signed.as_ref())]);
    Ok(html::page(&format!("Report on {}", lock.recipe.name), &lead(&loaded, &lock), &sections))
}

fn lead(loaded: &Loaded<'_>, lock: &Lock) -> Html {
    let size = questions::size(lock);
    let packages: std::collections::BTreeSet<_> =
        lock.sets.values().flatten().map(|package| package.file.sha256).collect();
    let recipe = &loaded.recipe;
    let count = |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let parts = [
        count(recipe.machines.len(), "machine"),
        count(recipe.images.len(), "image"),
        count(recipe.kernels.len(), "kernel"),
    ];
    terms(vec![
        ("Recipe", Cell::text(&lock.recipe.name)),
        ("Lock", Cell::Digest(lock::inputs_digest(lock))),
        ("Timestamp", Cell::text(lock.epoch.to_string())),
        ("Builds", Cell::text(parts.join(", "))),
        ("Inputs", Cell::text(format!("{}, {}", count(packages.len(), "package"), ByteSize(size.bytes).rounded()))),
        ("Output version", Cell::text(lock.output_version.to_string())),
    ])
}

fn machines(loaded: &Loaded<'_>, lock: &Lock) -> Section {
    let machines = &loaded.recipe.machines;
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
        "<div class=\"scroll\" role=\"region\" aria-label=\"Topology\" tabindex=\"0\">\n{picture}</div>\n"
    ));
    let trees: Vec<String> = machines.values().map(draw::tree).collect();
    let tree = Html(format!("<pre tabindex=\"0\">{}</pre>\n", html::lines(&trees.join("\n"))));
    let parts = vec![table.html(), picture, html::details("Topology as text", &tree)];
    Section { id: "machines", heading: "Machines", parts }
}

fn signatures(signed: Option<&SignedReport>) -> Section {
    let parts = match signed {
        None => vec![paragraph("No result directory was named, so no signature was checked.")],
        Some(signed) => {
            let expires = signed.expires.map_or("never".to_owned(), |expires| expires.to_string());
            let words = format!(
                "{} files of the result directory are those that were signed on {}. The signature expires: {expires}.",
                signed.checked, signed.signed
            );
            let row = |signer: &sign::Signer| vec![Cell::text(&signer.name), Cell::Html(html::code(&signer.key))];
            let table = Table {
                caption: "Trusted keys that signed the build".to_owned(),
                columns: &["Name", "Key"],
                rows: signed.signers.iter().map(row).collect(),
            };
            vec![paragraph(&words), table.html()]
        }
    };
    Section { id: "signatures", heading: "Who built it", parts }
}

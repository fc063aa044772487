//! `kiln push --cache PLACE`: what was put into a cache.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign, counted};
use crate::cli;
use crate::ops::Session;
use crate::ops::fill::{self, FillRequest, PushedResults};
use crate::ops::sign::KeyFile;

/// Carries `kiln push` out.
pub fn run(session: &Session<'_>, args: &cli::PushArgs) -> Result<(), Failure> {
    let Some(key) = &args.key else {
        return Err(Failure::usage("results in a cache are signed: name a key with --key"));
    };
    if args.plain_http {
        return Err(Failure::usage("--plain-http is for a reference to a registry; write --cache plain-http=PLACE"));
    }
    if args.mount_from.is_some() {
        return Err(Failure::usage("--mount-from is for a reference to a registry"));
    }
    // What clap requires with these options, it waives where --key conflicts with it.
    if args.force || !args.attach.is_empty() {
        let option = if args.force { "--force" } else { "--attach" };
        return Err(Failure::usage(format!(
            "{option} is for a reference to a registry or image layout, not for --cache"
        )));
    }
    let key = KeyFile::new(key.clone(), args.passphrase_file.clone());
    let mut all = Vec::new();
    for place in &args.realize.caches {
        let request = FillRequest {
            recipe: args.recipe.options(),
            build: args.realize.options(),
            cache: place.clone(),
            key: key.clone(),
        };
        all.push(fill::push(session, &request)?);
    }
    if args.json { output::json(&all) } else { output::print(&all.iter().map(pushed).collect::<String>()) }
}

fn pushed(pushed: &PushedResults) -> String {
    let PushedResults { cache, key, steps, passed_on, without_content, skipped, files_written, bytes_written } = pushed;
    let mut text: String =
        skipped.iter().map(|one| format!("{}: not pushed: {}\n", Foreign(&one.step), one.reason)).collect();
    for step in without_content {
        text.push_str(&format!("{}: pushed without its content, which is not in this store\n", Foreign(step)));
    }
    let others = match passed_on.len() {
        0 => String::new(),
        count => format!(", {count} of them with the signatures of others"),
    };
    let size = ByteSize(*bytes_written).rounded();
    text.push_str(&format!(
        "{}: results of {}{others}; {} written ({size}), signed by {key}\n",
        Foreign(cache),
        counted(steps.len(), "step"),
        counted(files_written, "file")
    ));
    text
}

//! `kiln verify`: these files are what the manifest says; every input still exists; building again gives the same bits.

use crate::base::{Foreign, counted};
use std::ffi::OsString;
use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::cli::{self, RecipeArgs};
use crate::deliver::manifest;
use crate::ops::{self, OpsError, RecipeOptions, Session, Variation, VerifyReport};
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::VerifyArgs) -> Result<(), Failure> {
    if args.all {
        return super::verify_all::run(session, args, &|session, options| deeper(session, args, options));
    }
    if let Some(required) = args.require {
        return super::attest::verify(session, args, required);
    }
    if args.signed {
        return super::sign::verify(session, args);
    }
    let target = &args.target;
    if !target.sources.is_empty() {
        return Err(Failure::usage("--source cannot be verified: the lock does not say what is in the directory"));
    }
    let report = match (args.rebuild, args.inputs) {
        (true, _) => ops::rebuild(session, &target.options(), &|variation| again(target, variation))?,
        (_, true) => ops::inputs(session, &target.options())?,
        _ if target.recipe.is_dir() => ops::directory(session, target.options().directory().map_err(OpsError::from)?)?,
        _ => {
            if let Some(reference) = ops::reference(&target.recipe) {
                return Err(OpsError::from(reference).into());
            }
            session.world.canonical(&target.recipe)?;
            let found = Foreign(target.recipe.display());
            let help = "use --rebuild or --inputs for a recipe";
            return Err(Failure::usage(format!("{found}: expected a result directory; {help}")));
        }
    };
    if args.json {
        output::json(&report)?;
    }
    if report.wrong.is_empty() {
        return if args.json {
            Ok(())
        } else {
            output::print(&format!("{} verified\n", counted(report.checked, "file")))
        };
    }
    let (wrong, checked) = (report.wrong.len(), counted(report.checked, "file"));
    let differences = counted(wrong, "difference");
    let is_result = args.rebuild || args.inputs || target.recipe.join(manifest::FILE).symlink_metadata().is_ok();
    let help = if is_result { "" } else { "\n  help: `kiln verify --all DIR` verifies recipes and their locks" };
    Err(Failure::mismatch(format!("{differences} in {checked}\n  {}{help}", report.wrong.join("\n  "))))
}

/// What --inputs and --rebuild ask of one recipe among all.
fn deeper(session: &Session<'_>, args: &cli::VerifyArgs, options: &RecipeOptions) -> Result<VerifyReport, OpsError> {
    if args.inputs {
        return ops::inputs(session, options);
    }
    let recipe = RecipeArgs { recipe: options.path.clone(), set: Vec::new(), lock: None, sources: Vec::new() };
    ops::rebuild(session, options, &|variation| again(&recipe, variation))
}

/// The second build: kiln itself, whose `--vary` also varies what the steps see.
fn again(args: &RecipeArgs, variation: &Variation) -> Result<Vec<OsString>, OpsError> {
    let kiln = fs::context("find", Path::new("/proc/self/exe"), std::env::current_exe())?;
    let recipe = fs::context("resolve", &args.recipe, args.recipe.canonicalize())?;
    let mut argv: Vec<OsString> = vec![kiln.into(), "build".into(), recipe.into()];
    argv.extend(["--jobs", "1", "--allow-leaks", "--without-caches", "--vary", "--lock"].map(OsString::from));
    argv.extend([variation.lock.clone().into(), "--out".into(), variation.out.clone().into()]);
    argv.extend(
        args.set.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]).map(OsString::from),
    );
    Ok(argv)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};
    use crate::ops::{BuildOptions, CacheOptions, CacheUse, LeakPolicy};

    #[test]
    fn the_second_build_is_asked_for_in_words_that_kiln_knows() {
        let args = RecipeArgs {
            recipe: "/dev/null".into(),
            set: vec![("size".to_owned(), "2GiB".to_owned()), ("name".to_owned(), "a b=c".to_owned())],
            lock: None,
            sources: Vec::new(),
        };
        let variation = Variation::at(Path::new("/place"));
        let Verb::Build(build) = Cli::parse_from(again(&args, &variation).unwrap()).verb else { panic!("a build") };
        assert_eq!(build.recipe.options().set, args.set);
        assert_eq!((build.recipe.lock, build.out), (Some(variation.lock), Some(variation.out)));
        let caches = CacheOptions { wanted: CacheUse::Nothing, ..CacheOptions::default() };
        let (jobs, leaks) = (Some(1), LeakPolicy::Report);
        let wanted = BuildOptions { jobs, leaks, variation: true, caches, ..BuildOptions::default() };
        assert_eq!(build.realize.options(), wanted);
    }
}

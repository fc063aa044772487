//! The part of a long output that is about the packages that failed.
//!
//! Input: the lines of dpkg and of the scripts that it runs, in their order. Output: the packages whose scripts failed, and
//! for each the lines between the one that begins it and the one that says why it failed. dpkg goes on after a failure, so
//! the last lines of all are those of other packages.

use std::collections::VecDeque;

use super::script;
use crate::exec::log::shortened;

/// Packages that failed, beyond which they are not told any more.
const MAX_FAILURES: usize = 5;
/// Lines of one package that are kept: its last ones.
const MAX_LINES: usize = 40;

/// Words with which dpkg, or kiln's own script, begins the next package.
const BEGINNINGS: [&str; 6] = [
    "Setting up ",
    "Unpacking ",
    "Preparing to unpack ",
    "Processing triggers for ",
    "dpkg: dependency problems prevent configuration of ",
    script::PREINST,
];

/// Hears everything, and keeps what is about failures.
#[derive(Debug, Default)]
pub(crate) struct Excerpts {
    open: Lines,
    /// A package that failed, until the line that says why.
    announced: Option<String>,
    failures: Vec<PackageFailure>,
}

/// A package whose script failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageFailure {
    pub(crate) package: String,
    /// What was said of it.
    pub(crate) lines: Vec<String>,
}

/// The last lines of the package that is at work.
#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    omitted: usize,
}

impl Excerpts {
    pub(crate) fn hear(&mut self, line: &str) {
        if let Some(package) = self.announced.take() {
            if line.contains("dependency problems") {
                // Another package failed before, and this one only waits for it.
                self.open = Lines::default();
                return;
            }
            self.open.push(line);
            return self.failed(package);
        }
        if BEGINNINGS.iter().any(|words| line.starts_with(words)) {
            self.open = Lines::default();
        }
        self.open.push(line);
        match script::failed(line) {
            Some(script::Failed::Reported(package)) => self.announced = Some(package.to_owned()),
            Some(script::Failed::Preinst(package)) => self.failed(package.to_owned()),
            None => {}
        }
    }

    /// The packages that failed, in the order in which they did.
    pub(crate) fn finish(mut self) -> Vec<PackageFailure> {
        if let Some(package) = self.announced.take() {
            self.failed(package);
        }
        self.failures
    }

    fn failed(&mut self, package: String) {
        let lines = std::mem::take(&mut self.open).into_lines();
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(PackageFailure { package, lines });
        }
    }
}

impl Lines {
    fn push(&mut self, line: &str) {
        if self.kept.len() == MAX_LINES {
            self.kept.pop_front();
            self.omitted += 1;
        }
        self.kept.push_back(shortened(line));
    }

    fn into_lines(self) -> Vec<String> {
        let omitted = (self.omitted > 0).then(|| format!("({} lines omitted; they are in the log)", self.omitted));
        omitted.into_iter().chain(self.kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(lines: &[&str]) -> Vec<PackageFailure> {
        let mut excerpts = Excerpts::default();
        lines.iter().for_each(|line| excerpts.hear(line));
        excerpts.finish()
    }

    fn failure(package: &str, lines: &[&str]) -> PackageFailure {
        PackageFailure { package: package.to_owned(), lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    const REASON: &str = " installed b package post-installation script subprocess returned error exit status 1";

    #[test]
    fn only_what_is_about_the_package_that_failed_is_kept() {
        let said = [
            "Setting up a (1) ...",
            "a: fine",
            "Setting up b (1) ...",
            "b: no such file",
            "dpkg: error processing package b:amd64 (--configure):",
            REASON,
            "Setting up c (1) ...",
            "c: fine",
            "dpkg: dependency problems prevent configuration of d:",
            " d depends on b; however:",
            "  Package b is not configured yet.",
            "dpkg: error processing package d (--configure):",
            " dependency problems - leaving unconfigured",
            "Errors were encountered while processing:",
            " b",
            " d",
        ];
        assert_eq!(failures(&said), [failure("b", &[said[2], said[3], said[4], REASON])]);
        assert_eq!(failures(&said[..5]), [failure("b", &[said[2], said[3], said[4]])], "dpkg was killed");
    }

    #[test]
    fn a_preinst_and_a_trigger_are_packages_that_fail_too() {
        let begins = format!("{}e", script::PREINST);
        let fails = format!("{}e", script::FAILED);
        let said = ["Setting up a (1) ...", &begins, "e: no", &fails];
        assert_eq!(failures(&said), [failure("e", &said[1..])]);
        let said =
            ["Processing triggers for b (1) ...", "b: no", "dpkg: error processing package b (--configure):", REASON];
        assert_eq!(failures(&said), [failure("b", &said)]);
    }

    #[test]
    fn neither_a_talkative_package_nor_many_failures_fill_the_memory() {
        let many: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
        let mut said: Vec<&str> = vec!["Setting up b (1) ..."];
        said.extend(many.iter().map(String::as_str));
        for _ in 0..20 {
            said.extend(["dpkg: error processing package b (--configure):", REASON]);
        }
        let found = failures(&said);
        assert_eq!((found.len(), found[0].lines.len()), (MAX_FAILURES, MAX_LINES + 1));
        assert_eq!(found[0].lines[0], "(963 lines omitted; they are in the log)");
        assert_eq!(found[0].lines[1], "line 962");
    }
}

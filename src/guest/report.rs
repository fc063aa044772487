//! What tests found: for people, and as JSON.

use std::path::PathBuf;

use serde::Serialize;

use crate::base::Foreign;

/// The results of all tests, in order.
#[derive(Debug, Default, Serialize)]
pub struct TestReport {
    /// One for each test.
    pub tests: Vec<TestResult>,
    /// Every boot that was needed.
    pub boots: Vec<Boot>,
    /// Whether somebody looked at machines of a test that failed, and wants nothing more.
    #[serde(skip)]
    pub left: bool,
}

/// One boot.
#[derive(Debug, Serialize)]
pub struct Boot {
    pub machine: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// Milliseconds until its default target was reached; absent when it was not.
    pub millis: Option<u64>,
    pub console: PathBuf,
}

/// The result of one test.
#[derive(Debug, Clone, Serialize)]
pub struct TestResult {
    pub title: String,
    /// The machine that it names first.
    pub machine: String,
    /// Milliseconds it took, boot excluded.
    pub millis: u64,
    /// Files that it brought out of its guests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Whether it holds.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a test ended.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Every step did what it should.
    Passed,
    /// It was not run.
    Skipped { reason: String },
    /// A step failed.
    Failed(Failed),
}

/// Why a test failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// The step's place in the test, from 0; absent when no step was reached.
    pub step: Option<usize>,
    /// The step, in one line; empty when no step was reached.
    pub action: String,
    /// What went wrong, in one sentence.
    pub reason: String,
    /// What the step's command wrote.
    pub output: String,
    /// The last lines of the machine's console.
    pub console: Vec<String>,
}

impl TestReport {
    /// How many passed, failed and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Outcome) -> bool| self.tests.iter().filter(|test| wanted(&test.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Passed)),
            count(|outcome| matches!(outcome, Outcome::Failed(_))),
            count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
        )
    }

    /// The last line for people.
    pub fn summary(&self) -> String {
        let (passed, failed, skipped) = self.counts();
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        format!("{passed} passed, {failed} failed{skipped}")
    }
}

impl TestResult {
    /// A few lines for people.
    pub fn text(&self) -> String {
        let (title, seconds) = (Foreign(&self.title), self.millis as f64 / 1000.0);
        let mut text = match &self.outcome {
            Outcome::Passed => format!("ok      {title} ({}, {seconds:.1} s)", self.machine),
            Outcome::Skipped { reason } => format!("skipped {title} ({}): {}", self.machine, Foreign(reason)),
            Outcome::Failed(failed) => {
                format!("FAILED  {title} ({}, {seconds:.1} s)\n{}", self.machine, failed.text())
            }
        };
        for file in &self.files {
            text.push_str(&format!("\n        fetched {}", Foreign(file.display())));
        }
        text
    }
}

impl Failed {
    /// The lines below the title, indented.
    pub fn text(&self) -> String {
        let mut text = format!("        {}\n", Foreign(&self.reason));
        if !self.action.is_empty() {
            text.push_str(&format!("        in: {}\n", Foreign(&self.action)));
        }
        for (title, lines) in [("output", self.output.lines().collect()), ("console", tail(&self.console, 20))] {
            let lines: Vec<&str> = lines;
            if !lines.is_empty() {
                text.push_str(&format!("        {title}:\n"));
                lines.iter().for_each(|line| text.push_str(&format!("        | {}\n", Foreign(line))));
            }
        }
        text.trim_end().to_owned()
    }
}

fn tail(lines: &[String], count: usize) -> Vec<&str> {
    lines[lines.len().saturating_sub(count)..].iter().map(String::as_str).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value;

    use super::*;

    /// One test of each outcome, with characters that every format must treat with care.
    pub(in crate::guest) fn sample() -> TestReport {
        let result = |title: &str, outcome| TestResult {
            title: title.into(),
            machine: "m".into(),
            millis: 1500,
            files: if title == "slow" { Vec::new() } else { vec!["/log/m/a<b".into()] },
            outcome,
        };
        let failed = Failed {
            step: Some(1),
            action: "run \"a < b & c\"".into(),
            reason: "`a` ended with exit code 1 ]]>".into(),
            output: "\u{1b}[31mred\u{0}\u{fffe} <tag> \"q\"\nü".into(),
            console: vec!["login: ".into(), "Kernel panic".into()],
        };
        let tests = vec![
            result("memory & node", Outcome::Passed),
            result("fails", Outcome::Failed(failed)),
            result("slow", Outcome::Skipped { reason: "slow".into() }),
        ];
        TestReport { tests, ..TestReport::default() }
    }

    #[test]
    fn a_report_counts_and_shows_why() {
        let report = sample();
        assert_eq!(report.counts(), (1, 1, 1));
        assert_eq!(report.summary(), "1 passed, 1 failed, 1 skipped");
        let text = report.tests[1].text();
        for part in ["FAILED  fails (m, 1.5 s)", "exit code 1", "in: run", "| Kernel panic"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn json_says_the_outcome_beside_the_title() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["tests"][0]["outcome"], "passed");
        assert_eq!(json["tests"][1]["outcome"], "failed");
        assert_eq!(json["tests"][1]["step"], 1);
        assert_eq!(json["tests"][2]["reason"], "slow");
        assert_eq!((&json["tests"][0]["files"][0], &json["tests"][2]["files"]), (&"/log/m/a<b".into(), &Value::Null));
        assert!(sample().tests[0].text().ends_with("\n        fetched /log/m/a<b"));
    }
}

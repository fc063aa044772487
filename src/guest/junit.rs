//! Test results as JUnit XML, the format that CI services read.

use std::path::PathBuf;

use super::report::{Outcome, TestReport, TestResult};
use crate::base::xml::escape;

/// One document for several recipes, each under its name: its report, or why there is none.
pub fn documents(recipes: &[(&str, Result<&TestReport, String>)]) -> String {
    let suite = |(name, report): &(&str, Result<&TestReport, String>)| match report {
        Ok(report) => suite(name, report),
        Err(reason) => untested(name, reason),
    };
    let suites: String = recipes.iter().map(suite).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

fn suite(name: &str, report: &TestReport) -> String {
    let (_, failed, skipped) = report.counts();
    let millis: u64 = report.tests.iter().map(|test| test.millis).sum();
    let counts = format!(
        "name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\"",
        escape(name),
        report.tests.len(),
        time(millis)
    );
    let cases: String = report.tests.iter().map(|test| case(name, test)).collect();
    format!("  <testsuite {counts}>\n{cases}  </testsuite>\n")
}

/// A recipe whose machines never started.
fn untested(name: &str, reason: &str) -> String {
    let (name, reason) = (escape(name), escape(reason));
    format!(
        "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" time=\"0.000\">\n\
        \x20   <testcase name=\"recipe\" classname=\"{name}\" time=\"0.000\"><error message=\"{reason}\"/></testcase>\n  \
         </testsuite>\n"
    )
}

fn case(name: &str, test: &TestResult) -> String {
    let class = escape(&format!("{name}.{}", test.machine));
    let head =
        format!("    <testcase name=\"{}\" classname=\"{class}\" time=\"{}\"", escape(&test.title), time(test.millis));
    let files = attachments(&test.files);
    match &test.outcome {
        Outcome::Passed if files.is_empty() => format!("{head}/>\n"),
        Outcome::Passed => format!("{head}>\n{files}    </testcase>\n"),
        Outcome::Skipped { reason } => format!("{head}><skipped message=\"{}\"/></testcase>\n", escape(reason)),
        Outcome::Failed(failed) => format!(
            "{head}>\n      <failure message=\"{}\">{}</failure>\n{files}    </testcase>\n",
            escape(&failed.reason),
            // In an attribute a line end is written as a number; between tags it may stand as it is.
            escape(&failed.text()).replace("&#10;", "\n")
        ),
    }
}

/// Files of a test, as CI services find them: a line for each in the output (Jenkins, GitLab).
fn attachments(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let lines: String =
        files.iter().map(|file| format!("[[ATTACHMENT|{}]]\n", escape(&file.to_string_lossy()))).collect();
    format!("      <system-out>{}</system-out>\n", lines.trim_end())
}

fn time(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_well_formed_whatever_guests_print() {
        let text =
            documents(&[("r\"&", Ok(&crate::guest::report::tests::sample())), ("s", Err("no <lock>".to_owned()))]);
        let lines: Vec<&str> = text.lines().collect();
        let suite = r#"<testsuite name="r&quot;&amp;" tests="3" failures="1" errors="0" skipped="1" time="4.500">"#;
        assert_eq!(lines[2].trim(), suite);
        let passed = r#"<testcase name="memory &amp; node" classname="r&quot;&amp;.m" time="1.500">"#;
        assert_eq!(lines[3].trim(), passed);
        assert_eq!(lines[4].trim(), "<system-out>[[ATTACHMENT|/log/m/a&lt;b]]</system-out>");
        assert!(text.contains("<failure message=\"`a` ended with exit code 1 ]]&gt;\">"), "{text}");
        assert!(text.contains("| ␛[31mred␀\u{fffd} &lt;tag&gt; &quot;q&quot;\n"), "{text}");
        assert!(text.contains("<skipped message=\"slow\"/></testcase>"), "{text}");
        assert!(
            text.contains("errors=\"1\"") && text.contains("<error message=\"no &lt;lock&gt;\"/></testcase>"),
            "{text}"
        );
        let markup = text.replace("&lt;", "").replace("&gt;", "");
        assert_eq!(markup.matches('<').count(), markup.matches('>').count());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn no_tests_are_a_document_too() {
        assert!(documents(&[("empty", Ok(&TestReport::default()))]).contains("tests=\"0\" failures=\"0\""));
    }
}

//! Asks the locked QEMU itself: `-device X,help` must know every property that the argv sets.
//!
//! Here are the question and the reading of the answer; whoever locks runs the binary.

use std::collections::BTreeSet;

use crate::machine::argv::CommandLine;

/// One device driver and the properties that the argv sets on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `cxl-type3`
    pub driver: String,
    /// Property names.
    pub properties: BTreeSet<String>,
}

impl Question {
    /// What QEMU is asked with.
    pub fn arguments(&self) -> [String; 2] {
        ["-device".to_owned(), format!("{},help", self.driver)]
    }

    /// The properties that the answer (standard output) lacks.
    pub fn unknown<'a>(&'a self, answer: &str) -> Vec<&'a str> {
        let known: BTreeSet<&str> = answer.lines().filter_map(property).collect();
        self.properties.iter().map(String::as_str).filter(|property| !known.contains(property)).collect()
    }
}

/// One question a driver.
pub fn questions(line: &CommandLine) -> Vec<Question> {
    let drivers = line.device_properties();
    drivers.into_iter().map(|(driver, properties)| Question { driver, properties }).collect()
}

/// `  sn=<uint64>            -  (default: 0)` names `sn`.
fn property(line: &str) -> Option<&str> {
    line.strip_prefix("  ")?.split_once("=<").map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_the_binary_does_not_list_is_named() {
        let properties = ["sn", "hdm-db"].map(str::to_owned).into();
        let question = Question { driver: "cxl-type3".to_owned(), properties };
        assert_eq!(question.arguments()[1], "cxl-type3,help");
        let answer = "cxl-type3 options:\n  sn=<uint64>            -  (default: 0)\n  lsa=<link<memory-backend>>\n";
        assert_eq!(question.unknown(answer), ["hdm-db"]);
        assert_eq!(question.unknown("").len(), 2);
    }
}

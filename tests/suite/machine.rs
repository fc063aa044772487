//! Each rule has fixtures that break it, at the words that break it, and the good machines break none.

use std::collections::BTreeSet;

use kiln::base::render::render;
use kiln::machine::capability::{self, Emulator, KernelFacts, Version};
use kiln::machine::rules;
use kiln::recipe::machine::Machine;

use super::machine_support::{every, machine, read};

/// `# error: words of the message` and `# at: words under the caret` at the top of a fixture.
fn expected<'t>(text: &'t str, key: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no `# {key}: ...` in\n{text}"))
}

#[test]
fn a_fixture_for_each_rule_is_refused_at_the_right_words() {
    let mut seen = BTreeSet::new();
    for (stem, text) in every("rules") {
        let rule = stem.split_once("--").map_or(stem.as_str(), |(rule, _)| rule);
        let read = read(&text);
        assert!(read.mistakes.is_empty(), "{stem}: {}", render(&read.sources, &read.mistakes, false));
        let verdicts: Vec<_> = read.machines.iter().flat_map(rules::judge).collect();
        let found = verdicts.iter().find(|verdict| {
            verdict.rule.name == rule
                && verdict.diagnostic.message.contains(expected(&text, "error"))
                && read.words(verdict.diagnostic.span) == expected(&text, "at")
        });
        let said: Vec<_> = verdicts.iter().map(|verdict| verdict.diagnostic.clone()).collect();
        assert!(found.is_some(), "{stem} is not refused as expected:\n{}", render(&read.sources, &said, false));
        let others = verdicts.iter().filter(|verdict| verdict.rule.fatal && verdict.rule.name != rule);
        let others: Vec<&str> = others.map(|verdict| verdict.rule.name).collect();
        assert!(others.is_empty(), "{stem} also breaks {others:?}");
        seen.insert(rule.to_owned());
    }
    let missing: Vec<&str> = rules::RULES.iter().map(|rule| rule.name).filter(|rule| !seen.contains(*rule)).collect();
    assert!(missing.is_empty(), "rules without a fixture: {missing:?}");
}

#[test]
fn good_machines_break_no_rule() {
    for (stem, text) in every("good") {
        let read = read(&text);
        assert!(read.mistakes.is_empty(), "{stem}: {}", render(&read.sources, &read.mistakes, false));
        assert!(!read.machines.is_empty(), "{stem} declares no machine");
        for machine in &read.machines {
            let findings = rules::check(machine);
            assert!(findings.errors.is_empty(), "{stem}: {}", render(&read.sources, &findings.errors, false));
        }
    }
}

fn judged(machine: &Machine, version: (u32, u32), kernel: Option<(u32, u32)>) -> (Vec<String>, Vec<String>) {
    let emulator = Emulator { version: Version::new(version.0, version.1) };
    let kernel = KernelFacts { version: kernel.map(|(a, b)| Version::new(a, b)), commits_in_guests: None };
    let findings = capability::check(machine, &emulator, &kernel);
    let words = |list: Vec<kiln::base::Diagnostic>| list.into_iter().map(|one| one.message).collect();
    (words(findings.errors), words(findings.warnings))
}

const VOLATILE: &str = "cxl { bridge b { port p { expander m { volatile = 512MiB } } }\n \
                        window w { targets = [b] size = 512MiB } }";

#[test]
fn the_table_says_what_each_qemu_does_with_a_volatile_expander() {
    let machine = machine(VOLATILE);
    let cases = [
        ((7, 2), Some("no volatile CXL memory"), None),
        ((8, 0), Some("no volatile CXL memory"), None),
        ((8, 1), None, None),
        ((8, 2), Some("aborts when a program runs from CXL memory"), None),
        ((9, 0), None, Some("70 times slower")),
        ((11, 0), None, Some("70 times slower")),
        ((11, 1), None, None),
    ];
    for (version, error, warning) in cases {
        let (errors, warnings) = judged(&machine, version, Some((6, 12)));
        assert_eq!(errors.is_empty(), error.is_none(), "{version:?}: {errors:?}");
        assert!(error.is_none_or(|word| errors.iter().any(|error| error.contains(word))), "{version:?}: {errors:?}");
        assert_eq!(warnings.is_empty(), warning.is_none(), "{version:?}: {warnings:?}");
        assert!(warning.is_none_or(|word| warnings[0].contains(word)), "{version:?}: {warnings:?}");
    }
}

#[test]
fn kernels_before_the_event_logs_are_content_with_an_old_qemu() {
    let body = "cxl { bridge b { port p0 { expander m { persistent = 512MiB } } port p1 { } }\n \
                window w { targets = [b] size = 512MiB } }";
    let machine = machine(body);
    assert_eq!(judged(&machine, (7, 2), Some((6, 1))).0, [""; 0]);
    assert!(judged(&machine, (7, 2), Some((6, 12))).0[0].contains("Failed to get interrupt"));
    assert!(judged(&machine, (7, 2), None).0[0].contains("Failed to get interrupt"));
}

#[test]
fn a_bounce_buffer_takes_the_doubt_away() {
    let machine = machine(&format!("bounce = true\n{VOLATILE}"));
    assert_eq!(judged(&machine, (10, 0), Some((6, 12))).1, [""; 0]);
}

#[test]
fn newer_devices_need_newer_emulators() {
    let device = |field: &str| {
        machine(&format!("cxl {{ bridge b {{ port p {{ expander m {{ volatile = 512MiB\n {field} }} }} }} }}"))
    };
    let cases = [
        ("dynamic = 512MiB", (9, 0), "dynamic capacity"),
        ("speed = \"32\"", (9, 2), "link speed"),
        ("back-invalidate = true", (10, 2), "back-invalidation"),
        ("flit256 = true", (10, 2), "256-byte flits"),
    ];
    for (field, version, word) in cases {
        let machine = device(field);
        let (errors, _) = judged(&machine, version, None);
        assert!(errors.iter().any(|error| error.contains(word)), "{field}: {errors:?}");
        assert!(judged(&machine, (11, 1), None).0.is_empty(), "{field}");
    }
}

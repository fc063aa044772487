//! A package whose script fails: what the error shows, and what is in the log that it names.

use super::lab::Lab;
use crate::suite::archive_support::Package;

/// Says a thousand lines, and fails.
const LOUD: &str = "#!/bin/sh\ni=0\nwhile [ $i -lt 1000 ]; do echo \"loud line $i\"; i=$((i+1)); done\n\
    echo 'loud: cannot find its licence' >&2\nexit 3\n";

/// Comes after the package that fails, and says more lines than an error shows.
const LATE: &str = "#!/bin/sh\ni=0\nwhile [ $i -lt 100 ]; do echo \"late line $i\"; i=$((i+1)); done\n";

fn log(text: &str) -> String {
    let place = text.lines().find_map(|line| line.split_once("its whole log: ")).map(|(_, place)| place);
    std::fs::read_to_string(place.unwrap_or_else(|| panic!("no log is named:\n{text}"))).unwrap()
}

#[track_caller]
fn whole(log: &str) {
    let missing: Vec<usize> =
        (0..1000).filter(|number| !log.lines().any(|line| line == format!("loud line {number}"))).collect();
    assert!(missing.is_empty(), "{} lines are not in the log, such as {:?}", missing.len(), missing.first());
}

#[test]
fn the_error_shows_the_package_that_failed_and_the_log_has_every_line() {
    let packages = vec![
        Package::new("loud", "1.0").script("postinst", LOUD),
        // Configured in the same call of dpkg, after the one that fails.
        Package::new("zz-late", "1.0").script("postinst", LATE),
        Package::new("needs-loud", "1.0").depends("loud"),
        Package::new("before", "1.0").script("preinst", LOUD),
        Package::new("ctl", "1.0").script(
            "postinst",
            &format!("#!/bin/sh\ncat >/usr/bin/systemctl <<'END'\n{LOUD}END\nchmod 0755 /usr/bin/systemctl\n"),
        ),
    ];
    let Some(lab) = Lab::new("failed", packages) else { return };
    let text = lab.refused("postinst", &["zz-late", "needs-loud", "loud"], "");
    for words in ["loud: cannot find its licence", "loud line 999", "exit status 3", "postinst.kiln:", "failed here"] {
        assert!(text.contains(words), "it does not say `{words}`:\n{text}");
    }
    for words in ["late line", "loud line 900", "dependency problems"] {
        assert!(!text.contains(words), "it says `{words}`:\n{text}");
    }
    let log_text = log(&text);
    whole(&log_text);
    assert!(log_text.contains("late line 99"), "{log_text}");

    let text = lab.refused("preinst", &["before"], "");
    assert!(text.contains("loud: cannot find its licence") && !text.contains("Setting up"), "{text}");
    whole(&log(&text));

    let text = lab.refused("unit", &["ctl"], "  enable = [\"x.service\"]\n");
    assert!(text.contains("loud: cannot find its licence"), "{text}");
    whole(&log(&text));
}

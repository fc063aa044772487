//! Host name and locale: what the recipe names is there, or is refused.

use super::lab::{Lab, text};
use crate::suite::archive_support::Package;

/// Writes down what scripts see of the machine they are for.
const SEER: &str = "#!/bin/sh\nset -e\ncat /proc/sys/kernel/hostname /etc/hostname /etc/timezone /etc/default/locale >/etc/seen\n\
    readlink /etc/localtime >>/etc/seen\ngrep 127.0.1.1 /etc/hosts >>/etc/seen\n";

/// Takes the domain alone, and changes its case.
const DOMAIN: &str = "#!/bin/sh\nset -e\nread -r name </etc/hostname\necho \"${name#*.}\" | sed y/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/ >/etc/domain\n";

const TABLE: &[u8] = b"Z America/Los_Angeles -7:52:58 - LMT 1883\nZ Europe/Berlin 0:53:28 - LMT 1893\nL America/Los_Angeles US/Pacific\n";

/// As Debian's: makes what the list says.
const GENERATE: &[u8] = b"#!/bin/sh\nset -e\nmkdir -p /usr/lib/locale\n\
    while read -r name rest; do case $name in ''|'#'*) ;; *) : >\"/usr/lib/locale/${name%.UTF-8}.utf8\" ;; esac; done </etc/locale.gen\n";
const LIST: &[u8] = b"#!/bin/sh\necho C\necho C.utf8\necho POSIX\ncd /usr/lib/locale 2>/dev/null && for name in *; do echo \"$name\"; done\nexit 0\n";
const SUPPORTED: &[u8] = b"de_AT.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\n";

fn packages() -> Vec<Package> {
    let locales = Package::new("locales", "2.41")
        .file("/usr/sbin/locale-gen", 0o755, GENERATE)
        .file("/usr/share/i18n/SUPPORTED", 0o644, SUPPORTED)
        .script("postinst", "#!/bin/sh\nprintf '# de_AT.UTF-8 UTF-8\\n# de_DE.UTF-8 UTF-8\\n' >/etc/locale.gen\n");
    vec![locales, Package::new("libc-bin", "2.41").file("/usr/bin/locale", 0o755, LIST)]
}

fn machine() -> Vec<Package> {
    let tzdata = Package::new("tzdata", "2026f").file("/usr/share/zoneinfo/Europe/Berlin", 0o644, b"TZif2").file(
        "/usr/share/zoneinfo/tzdata.zi",
        0o644,
        TABLE,
    );
    let plain = Package::new("plain", "1.0").script("postinst", "#!/bin/sh\n: >/etc/plain\n");
    let named = Package::new("named", "1.0").script("postinst", "#!/bin/sh\ncat /etc/hostname >/etc/name\n");
    let domain = Package::new("domain", "1.0").script("postinst", DOMAIN);
    vec![tzdata, plain, named, domain, Package::new("seer", "1.0").script("postinst", SEER)]
}

#[test]
fn scripts_see_the_machine_they_are_for() {
    let Some(lab) = Lab::new("machine", machine()) else { return };
    let body = "hostname = \"mx1.example.org\"\n  timezone = \"Europe/Berlin\"\n  locale = \"POSIX\"";
    let (files, _) = lab.image("full", &["seer", "tzdata"], body);
    let seen = "mx1.example.org\nmx1.example.org\nEurope/Berlin\nLANG=POSIX\n/usr/share/zoneinfo/Europe/Berlin\n\
                127.0.1.1\tmx1.example.org\tmx1\n";
    assert_eq!(text(&files, "etc/seen"), seen);
    let (files, _) = lab.image("domain-a", &["domain"], "hostname = \"a.one.example\"");
    assert_eq!(text(&files, "etc/domain"), "ONE.EXAMPLE\n");
    let (files, _) = lab.image("domain-b", &["domain"], "hostname = \"a.two.example\"");
    assert_eq!(text(&files, "etc/domain"), "TWO.EXAMPLE\n");
    // Nothing of the name that a shared base is configured under is anywhere.
    for label in kiln::plan::root::PLACEHOLDER_LABELS {
        let holds = |node: &crate::suite::tree::Node| {
            let text = String::from_utf8_lossy(&node.content).to_lowercase();
            text.contains(label) || node.link.contains(label)
        };
        let found: Vec<&String> =
            files.iter().filter(|(path, node)| path.contains(label) || holds(node)).map(|(path, _)| path).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn images_that_differ_in_their_names_share_what_does_not_depend_on_it() {
    let Some(lab) = Lab::new("shared-base", machine()) else { return };
    for package in ["plain", "named"] {
        let (one, two) = (format!("{package}-one"), format!("{package}-two"));
        let (_, said) = lab.image(&one, &[package], "hostname = \"a.example\"");
        assert!(said.contains(&format!("base {one}: running")), "{said}");
        let (files, said) = lab.image(&two, &[package], "hostname = \"b.example\"");
        assert!(!said.contains(&format!("base {two}: running")), "{said}");
        assert_eq!(text(&files, "etc/hostname"), "b.example\n");
        if package == "named" {
            assert_eq!(text(&files, "etc/name"), "b.example\n");
        }
    }
}

#[test]
fn a_time_zone_that_is_not_there_says_where_it_is() {
    let Some(lab) = Lab::new("zones", machine()) else { return };
    for (name, packages, zone, words) in [
        (
            "legacy",
            &["tzdata"][..],
            "US/Pacific",
            "it is in tzdata-legacy: add that package, or write `America/Los_Angeles`",
        ),
        ("misspelt", &["tzdata"], "Europe/Berlni", "did you mean `Europe/Berlin`?"),
        ("area", &["tzdata"], "Europe", "a file below /usr/share/zoneinfo"),
        ("table", &["tzdata"], "tzdata.zi", "a file below /usr/share/zoneinfo"),
        ("absent", &["plain"], "Europe/Berlin", "add the package `tzdata`"),
    ] {
        let said = lab.refused(name, packages, &format!("timezone = \"{zone}\""));
        assert!(
            said.contains(&format!("the image has no time zone `{zone}`")) && said.contains(words),
            "{name}: {said}"
        );
        assert!(said.contains("| timezone = \"") && said.contains("^^^"), "no line and caret: {said}");
    }
}

#[test]
fn a_full_host_name_has_its_short_form_beside_it() {
    let Some(lab) = Lab::new("names", vec![]) else { return };
    let (files, _) = lab.image("full", &[], "hostname = \"mx1.example.org\"");
    assert_eq!(text(&files, "etc/hostname"), "mx1.example.org\n");
    assert!(text(&files, "etc/hosts").contains("\n127.0.1.1\tmx1.example.org\tmx1\n"));
    let (files, _) = lab.image("short", &[], "hostname = \"mx1\"");
    assert!(text(&files, "etc/hosts").contains("\n127.0.1.1\tmx1\n"));
}

#[test]
fn a_locale_is_generated_or_refused() {
    let Some(lab) = Lab::new("locales", packages()) else { return };
    let german = "locale = \"de_DE.UTF-8\"";
    let (files, _) = lab.image("german", &["locales", "libc-bin"], german);
    assert_eq!(text(&files, "etc/locale.gen"), "# de_AT.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\n");
    assert!(files.contains_key("usr/lib/locale/de_DE.utf8"));
    assert_eq!(text(&files, "etc/default/locale"), "LANG=de_DE.UTF-8\n");
    // A list of the recipe is what is generated.
    let own = format!("{german}\n  file \"/etc/locale.gen\" {{ text = \"de_DE.UTF-8 UTF-8\\nde_AT.UTF-8 UTF-8\\n\" }}");
    let (files, _) = lab.image("own", &["locales", "libc-bin"], &own);
    assert!(files.contains_key("usr/lib/locale/de_AT.utf8") && files.contains_key("usr/lib/locale/de_DE.utf8"));
    for (name, packages, body, words) in [
        ("without", &["libc-bin"][..], german, "add the package `locales`"),
        ("misspelt", &["libc-bin", "locales"][..], "locale = \"de_DF.UTF-8\"", "did you mean `de_DE.UTF-8`?"),
    ] {
        let said = lab.refused(name, packages, body);
        assert!(said.contains("the image has no locale `de_D") && said.contains(words), "{name}: {said}");
        assert!(said.contains("| locale = \"de_D") && said.contains("^^^"), "no line and caret: {said}");
    }
}

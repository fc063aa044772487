//! Host name and locale: what the recipe names is there, or is refused.

use super::lab::{Lab, text};
use crate::suite::archive_support::Package;

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

//! Answers to debconf: scripts get them before they ask, and an answer that nobody asks for is a mistake of the recipe.

use super::lab::{Files, Lab, text};
use crate::suite::archive_support::Package;

/// As debconf's: what no package has brought yet gets a template that says so.
const SET_SELECTIONS: &[u8] = b"#!/bin/sh\nset -e\nmkdir -p /var/cache/debconf\ncd /var/cache/debconf\n\
    while read -r owner question type value; do\n\
    printf 'Name: %s\\nTemplate: %s\\nValue: %s\\nOwners: %s\\nFlags: seen\\n\\n' \"$question\" \"$question\" \"$value\" \"$owner\" >>config.dat\n\
    printf 'Name: %s\\nType: %s\\nDescription: Dummy template\\nOwners: %s\\n\\n' \"$question\" \"$type\" \"$owner\" >>templates.dat\n\
    done <\"$1\"\n";

/// Loads its templates in the place of such ones, as debconf does for every package, and acts on the answers.
const ASKER: &str = "#!/bin/sh\nset -e\nmkdir -p /var/cache/debconf\ncd /var/cache/debconf\n: >>config.dat\n: >>templates.dat\n\
    for name in one level made; do sed -i \"/^Name: asker.$name\\$/,/^\\$/d\" templates.dat; done\n\
    printf 'Name: asker/one\\nType: boolean\\nDescription: One?\\nOwners: asker\\n\\n' >>templates.dat\n\
    printf 'Name: asker/level\\nType: select\\nChoices: low, very\\\\, very high\\nDescription: How?\\nOwners: asker\\n\\n' >>templates.dat\n\
    printf 'Name: asker/made\\nType: select\\nChoices: ${made}\\nDescription: Which?\\nOwners: asker\\n\\n' >>templates.dat\n\
    sed -n '/^Name: asker.one$/,/^$/s/^Value: //p' config.dat >/etc/asked\n\
    sed -i '/^Name: asker.made$/,/^$/s/^Value: replaced/Value: other/' config.dat\n";

fn packages() -> Vec<Package> {
    let debconf = Package::new("debconf", "1.5.91").file("/usr/bin/debconf-set-selections", 0o755, SET_SELECTIONS);
    vec![debconf, Package::new("asker", "1.0").script("postinst", ASKER)]
}

fn debconf(answers: &[&str]) -> String {
    format!("  debconf = [{}]", answers.iter().map(|answer| format!("\"{answer}\"")).collect::<Vec<_>>().join(", "))
}

fn left_behind(files: &Files) -> Vec<&String> {
    files.keys().filter(|path| path.contains("kiln-answers")).collect()
}

#[test]
fn scripts_are_answered_as_the_recipe_says() {
    let Some(lab) = Lab::new("debconf", packages()) else { return };
    let all = ["debconf", "asker"];
    let (files, said) = lab.image("silent", &all, "");
    assert_eq!(text(&files, "etc/asked"), "", "{said}");
    let body = debconf(&["asker asker/one boolean true", "asker asker/level select very, very high"]);
    let (files, said) = lab.image("answered", &all, &body);
    assert_eq!(text(&files, "etc/asked"), "true\n");
    assert!(text(&files, "var/cache/debconf/config.dat").contains("Value: very, very high\n"));
    assert!(left_behind(&files).is_empty() && !said.contains("warning"), "{said}");
    // What the choices are is known to the script alone, which here takes another one.
    let (_, said) = lab.image("replaced", &all, &debconf(&["asker asker/made select replaced"]));
    assert!(said.contains("replaced the answer `replaced` to `asker/made` by `other`"), "{said}");
}

#[test]
fn an_answer_that_nobody_asks_for_is_a_mistake() {
    let Some(lab) = Lab::new("debconf-refused", packages()) else { return };
    let all = &["debconf", "asker"][..];
    for (name, packages, answers, words) in [
        (
            "typo",
            all,
            &["asker asker/onee boolean true"][..],
            &["no package of the image asks `asker/onee`", "`asker/one`"][..],
        ),
        (
            "far",
            all,
            &["asker shared/thing string x"],
            &["no package of the image asks `shared/thing`", "asker/level, asker/made"],
        ),
        ("type", all, &["asker asker/one string true"], &["`asker/one` has the type boolean, not string"]),
        (
            "choice",
            all,
            &["asker asker/level select medium"],
            &["`medium` is no choice of `asker/level`", "very, very high"],
        ),
        (
            "stranger",
            all,
            &["other other/one boolean true"],
            &["the package `other`, which asks `other/one`, is not in the image"],
        ),
        ("without", &["asker"], &["asker asker/one boolean true"], &["the image has no debconf"]),
        (
            "two",
            all,
            &["asker asker/a-b-c string x", "asker asker/x-y-z string x"],
            &["`asker/a-b-c`", "`asker/x-y-z`"],
        ),
    ] {
        let said = lab.refused(name, packages, &debconf(answers));
        assert!(words.iter().all(|words| said.contains(words)), "{name}: {said}");
        assert!(said.contains("debconf = [\"") && said.contains("^^^"), "{name}: no line and caret: {said}");
    }
}

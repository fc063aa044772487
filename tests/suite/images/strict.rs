//! What apt installs without a word is a warning; `strict = true` makes it an error; what is broken is always one.

use super::lab::Lab;
use crate::suite::archive_support::Package;

const EDITS: &str = "#!/bin/sh\nset -e\necho edited >/usr/share/edits/conf\nrm /usr/share/edits/setup\n";
/// A token in a file of its own, one in a text, and what must not be taken for one.
const TOKENS: &str = "#!/bin/sh\nset -e\nmkdir -p /etc/tokens /var/cache/tokens\n\
    head -c 32 /dev/urandom >/etc/tokens/binary\n\
    echo \"secret = 'q3Zk9x8VbX2mTt0PLw7yHgA1'\" >/etc/tokens/text\n\
    head -c 4096 /dev/zero >/etc/tokens/zero\n\
    echo 'd41d8cd98f00b204e9800998ecf8427e  /etc/tokens/zero' >/etc/tokens/sums\n\
    head -c 32 /dev/urandom >/var/cache/tokens/cache\n";
const DIGEST: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// MD5 of `shipped\n`.
const SHIPPED: &str = "fd3d1512c1f4af5f65da9313a20a3bbb";

fn packages() -> Vec<Package> {
    let edits = Package::new("edits", "1.0")
        .script("postinst", EDITS)
        .script("md5sums", &format!("{SHIPPED}  usr/share/edits/conf\n{SHIPPED}  usr/share/edits/setup\n"))
        .file("/usr/share/edits/conf", 0o644, b"shipped\n")
        .file("/usr/share/edits/setup", 0o755, b"shipped\n");
    vec![
        Package::new("nosums", "1.0").without("md5sums").file("/usr/share/nosums/x", 0o644, b"x"),
        Package::new("onespace", "1.0").script("md5sums", &format!("{DIGEST} usr/share/onespace/x\n")),
        edits,
        Package::new("tokens", "1.0").script("postinst", TOKENS),
        Package::new("fails", "1.0").script("postinst", "#!/bin/sh\nexit 3\n"),
    ]
}

const ALL: [&str; 4] = ["nosums", "onespace", "edits", "tokens"];
const WARNINGS: [&str; 6] = [
    "package nosums: it has no list of checksums (md5sums)",
    "package onespace: its list of checksums (md5sums) is malformed",
    "package edits: /usr/share/edits/conf was changed after it was unpacked",
    "package edits: /usr/share/edits/setup is missing",
    "package tokens: /etc/tokens/binary was written by a script and looks random",
    "package tokens: /etc/tokens/text was written by a script and looks random",
];

#[test]
fn what_apt_installs_is_a_warning_and_an_error_where_the_recipe_is_strict() {
    let Some(lab) = Lab::new("strict", packages()) else { return };
    let (_, said) = lab.image("lax", &ALL, "");
    let manifest = std::fs::read_to_string(lab.path("result/lax/manifest.json")).unwrap();
    let manifest = kiln::deliver::manifest::Manifest::read(manifest.as_bytes()).unwrap();
    for warning in WARNINGS {
        assert!(said.contains(&format!("warning: image lax: {warning}")), "{warning}: {said}");
        assert!(manifest.warnings["lax"].iter().any(|line| line.starts_with(warning)), "{warning}: {manifest:?}");
    }
    assert_eq!(manifest.warnings["lax"].len(), WARNINGS.len(), "{:?}", manifest.warnings);
    // A cached build says it again, and a file of the recipe answers it.
    let (_, again) = lab.image("again", &ALL, "file \"/etc/tokens/binary\" { text = \"x\" }");
    assert!(again.contains(WARNINGS[5]) && !again.contains(WARNINGS[4]), "{again}");
    let strict = lab.refused("strict", &ALL, "strict = true");
    assert!(strict.contains("the image is `strict`, and 6 of its files or packages are doubtful"), "{strict}");
    assert!(WARNINGS.iter().all(|warning| strict.contains(warning)) && strict.contains('^'), "{strict}");
}

#[test]
fn a_package_that_is_not_configured_is_an_error_strict_or_not() {
    let Some(lab) = Lab::new("broken", packages()) else { return };
    assert!(lab.refused("broken", &["fails"], "").contains("error exit status 3"));
}

//! The services of packages, and of those that depend on them: what must not start before something was made.

use std::collections::BTreeSet;

use crate::exec::debian::maker;
use crate::exec::debian::origin::Info;
use crate::exec::tree::{RootError, Tree};

/// Where packages bring units and init scripts.
const UNITS: [&str; 2] = ["/usr/lib/systemd/system/", "/lib/systemd/system/"];
const SCRIPTS: &str = "/etc/init.d/";
/// Fields of the status file whose packages rely on what another one made.
const RELIES: [&str; 3] = ["Depends:", "Pre-Depends:", "Recommends:"];

/// Names of services. Those that start before `basic.target` are left out: what waits for it cannot come before them.
pub(super) fn of(tree: &Tree, packages: &BTreeSet<&str>) -> Result<BTreeSet<String>, RootError> {
    let status = tree.text("var/lib/dpkg/status")?.unwrap_or_default();
    let relying: BTreeSet<&str> = status.split("\n\n").filter_map(|stanza| relying(stanza, packages)).collect();
    let info = Info::read(tree)?;
    let mut servers = BTreeSet::new();
    for stem in &info.stems {
        let package = stem.to_str().map(maker::package).unwrap_or_default();
        if packages.contains(package) || relying.contains(package) {
            add(tree, &info.text(stem, "list"), &mut servers)?;
        }
    }
    Ok(servers)
}

/// The package of a stanza, if it relies on one of these.
fn relying<'a>(stanza: &'a str, packages: &BTreeSet<&str>) -> Option<&'a str> {
    let mut lines = stanza.lines();
    let name = lines.clone().find_map(|line| line.strip_prefix("Package: "))?;
    let named = |line: &str| {
        let words = line.split([' ', ',', '|', ':']);
        RELIES.iter().any(|field| line.starts_with(field)) && words.into_iter().any(|word| packages.contains(word))
    };
    lines.any(named).then_some(name)
}

fn add(tree: &Tree, list: &str, servers: &mut BTreeSet<String>) -> Result<(), RootError> {
    for path in list.lines() {
        let unit = UNITS
            .iter()
            .find_map(|directory| path.strip_prefix(directory))
            .and_then(|name| name.strip_suffix(".service"));
        let Some(name) = unit.or_else(|| path.strip_prefix(SCRIPTS)) else { continue };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            continue;
        }
        let file = format!("usr/lib/systemd/system/{name}.service");
        // A link is another name of a unit that is there itself.
        let unit = tree.stat(&file)?.filter(|stat| stat.file());
        let text = unit.map_or(Ok(None), |_| tree.text(&file))?.unwrap_or_default();
        if !text.lines().any(|line| line.trim() == "DefaultDependencies=no") {
            servers.insert(format!("{name}.service"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;

    #[test]
    fn services_of_packages_and_of_those_that_rely_on_them_are_found() {
        let scratch = Scratch::new("servers");
        let tree = scratch.tree();
        for directory in ["var/lib/dpkg/info", "usr/lib/systemd/system"] {
            tree.directory(directory).unwrap();
        }
        let units = "usr/lib/systemd/system";
        for (path, text) in [
            ("var/lib/dpkg/info/ssl-cert.list", "/etc/ssl\n"),
            (
                "var/lib/dpkg/info/postfix.list",
                "/usr/lib/systemd/system/postfix.service\n/usr/lib/systemd/system/postfix@.service\n",
            ),
            (
                "var/lib/dpkg/info/iscsi.list",
                "/lib/systemd/system/iscsi.service\n/usr/lib/systemd/system/iscsid.socket\n",
            ),
            ("var/lib/dpkg/info/slapd.list", "/etc/init.d/slapd\n"),
            ("var/lib/dpkg/info/cron.list", "/usr/lib/systemd/system/cron.service\n"),
            (
                "var/lib/dpkg/status",
                "Package: postfix\nDepends: libc6, ssl-cert (>= 1) | x\n\nPackage: cron\nDepends: not-ssl-cert\nSuggests: ssl-cert\n",
            ),
            (&format!("{units}/iscsi.service"), "[Unit]\nDefaultDependencies=no\n"),
        ] {
            tree.put(path, text.as_bytes(), 0o644).unwrap();
        }
        let found = of(&tree, &["ssl-cert", "iscsi", "slapd"].into()).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["postfix.service", "slapd.service"]);
    }
}

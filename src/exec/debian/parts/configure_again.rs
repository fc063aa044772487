//! Packages whose secrets, identities or databases are not in the image are configured once more at first boot: their
//! own scripts make what is missing, as they did in the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::servers;
use crate::exec::debian::maker;
use crate::exec::debian::remade;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::Addition;

const UNIT: &str = "kiln-first-boot.service";
const SCRIPT: &str = "usr/lib/kiln/first-boot";

/// Before the services whose keys and databases these are. The scripts start no service themselves: with `SYSTEMD_OFFLINE`
/// `systemctl` ignores that (`src/shared/verbs.c` of systemd), and the servers start when it is their turn. Not before
/// `basic.target`: a script that calls `su` waits for D-Bus, which starts after it.
fn text(servers: &BTreeSet<String>) -> String {
    let before: String = servers.iter().map(|server| format!("Before={server}\n")).collect();
    format!(
        "[Unit]\nDescription=Make keys, identities and databases of packages\n{before}\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/kiln/first-boot\nTimeoutStartSec=30min\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// What dpkg sets for a `postinst` (dpkg(1), maintainer script environment), and every switch for "nobody is there to ask".
const HEAD: &str = r#"#!/bin/sh
# The image has none of the files below, which must be different in every machine: the scripts of their packages
# make them at first boot.
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true UCF_FORCE_CONFFOLD=1 SYSTEMD_OFFLINE=1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT= DPKG_MAINTSCRIPT_NAME=postinst
export DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_DEBUG=0
DPKG_RUNNING_VERSION=$(dpkg-query --show --showformat='${Version}' dpkg)
export DPKG_RUNNING_VERSION
umask 022
status=0

# configure PACKAGE STEM FILE...: STEM is what dpkg calls the package's files.
configure() {
    package=$1 stem=$2 done=/var/lib/kiln/configured/$2 missing=
    shift 2
    for file; do [ -e "$file" ] || missing=yes; done
    [ -n "$missing" ] && [ ! -e "$done" ] || return 0
    echo "configuring $package"
    DPKG_MAINTSCRIPT_ARCH=$(dpkg-query --show --showformat='${Architecture}' "$stem")
    export DPKG_MAINTSCRIPT_ARCH DPKG_MAINTSCRIPT_PACKAGE="$package"
    if "/var/lib/dpkg/info/$stem.postinst" configure '' </dev/null; then
        mkdir -p /var/lib/kiln/configured && : >"$done"
    else
        echo "the postinst of $package failed" >&2
        status=1
    fi
}

"#;

/// The unit, if the image needs it; its script is written.
pub(super) fn unit(addition: &Addition<'_>) -> Result<Option<(&'static str, String)>, RootError> {
    let missing = missing(addition)?;
    if missing.is_empty() {
        return Ok(None);
    }
    addition.tree.directory("usr/lib/kiln")?;
    addition.tree.put(SCRIPT, script(&missing).as_bytes(), 0o755)?;
    let packages = missing.keys().map(|stem| maker::package(stem)).collect();
    Ok(Some((UNIT, text(&servers::of(addition.tree, &packages)?))))
}

/// What packages are to make, by dpkg's stem of each: what the recipe does not state.
pub(super) fn missing(addition: &Addition<'_>) -> Result<BTreeMap<String, Vec<String>>, RootError> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for remade in remade::read(addition.tree)? {
        let of = remade.of.as_ref();
        if addition.states(&remade.path)? || of.map_or(Ok(false), |of| addition.states(of))? {
            continue;
        }
        if let Some(stem) = remade.stem {
            missing.entry(stem).or_default().push(remade.path);
        }
    }
    Ok(missing)
}

fn script(missing: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = HEAD.to_owned();
    for (stem, files) in missing {
        let _ = write!(text, "configure {} {}", quoted(maker::package(stem)), quoted(stem));
        for file in files {
            let _ = write!(text, " {}", quoted(file));
        }
        text.push('\n');
    }
    text.push_str("exit $status\n");
    text
}

/// One word of a shell script, whatever a file is called.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_words_whatever_they_are() {
        assert_eq!(quoted("/etc/munge/munge.key"), "/etc/munge/munge.key");
        assert_eq!(quoted("/etc/a b"), "'/etc/a b'");
        assert_eq!(quoted("/etc/it's\n$(x)"), "'/etc/it'\\''s\n$(x)'");
        let list = BTreeMap::from([("libx:amd64".to_owned(), vec!["/etc/x y".to_owned(), "/etc/z".to_owned()])]);
        assert!(script(&list).ends_with("\nconfigure libx libx:amd64 '/etc/x y' /etc/z\nexit $status\n"));
    }

    #[test]
    fn packages_are_configured_once_and_only_for_what_is_missing() {
        let directory = std::env::temp_dir().join(format!("kiln-again-{}", std::process::id()));
        let at = |name: &str| directory.join(name).display().to_string();
        crate::world::fs::create_dir_all(&directory).unwrap();
        let list = BTreeMap::from([("a".to_owned(), vec![at("there")]), ("b".to_owned(), vec![at("key")])]);
        crate::world::fs::write_atomically(&directory.join("there"), b"").unwrap();
        // The same script with its directories moved, and a postinst that counts.
        let postinst = format!("#!/bin/sh\necho \"$DPKG_MAINTSCRIPT_PACKAGE $1,$2\" >>{}\n", at("calls"));
        let run = || {
            let text = script(&list).replace("/var/lib", &directory.display().to_string());
            let text = text.replace("$(dpkg-query", "$(: dpkg-query");
            std::process::Command::new("/bin/sh").args(["-c", &text]).output().unwrap()
        };
        crate::world::fs::create_dir_all(&directory.join("dpkg/info")).unwrap();
        for stem in ["a", "b"] {
            let file = directory.join(format!("dpkg/info/{stem}.postinst"));
            crate::world::executable::write(&file, postinst.as_bytes());
        }
        for _ in 0..2 {
            assert!(run().status.success());
        }
        let calls = crate::world::fs::read(&directory.join("calls"), 1 << 10).unwrap();
        assert_eq!(String::from_utf8(calls).unwrap(), "b configure,\n");
        crate::world::fs::remove_tree(&directory).unwrap();
    }
}

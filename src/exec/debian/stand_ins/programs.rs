//! The programs that something stands in for, by the digests of their versions.

use crate::base::Digest;

/// A program that something stands in for.
pub(super) struct Program {
    pub(super) path: &'static str,
    pub(super) versions: Versions,
    pub(super) kind: Kind,
}

pub(super) enum Versions {
    /// SHA-256 of those in Debian that are known.
    Known(&'static [&'static str]),
    Any,
}

impl Versions {
    pub(super) fn has(&self, text: &[u8]) -> bool {
        match self {
            Versions::Known(digests) => digests.contains(&Digest::of(text).hex().as_str()),
            Versions::Any => true,
        }
    }
}

pub(super) enum Kind {
    /// This does the same.
    Text(&'static str),
    /// So does this, with the result of another script, which runs beside the first ones of packages.
    Early { text: &'static str, script: (&'static str, &'static str), shared: (&'static str, &'static str) },
    /// The server runs it, unless a few lines before know the answer; these are the modules that it loads.
    Perl { before: &'static str, modules: &'static [&'static str] },
}

/// All of them.
pub(super) const PROGRAMS: [Program; 7] = [
    Program {
        path: "usr/sbin/update-ca-certificates",
        versions: Versions::Known(&[
            // 20230311+deb12u1
            "395364bffc7ce85ccbe2de71215f9c6c85c024af3bbd991c75a01c2d2aa3080a",
            // 20250419+deb13u1, 20260816+nmu1
            "2cb06c85b5f01c4f6b72c3983d9f66d44aac0a7ac997ee55e7e429aedbc3934d",
        ]),
        kind: Kind::Text(include_str!("update-ca-certificates.pl")),
    },
    Program {
        path: "usr/bin/deb-systemd-helper",
        // 1.65.2+deb12u1, 1.69~deb13u1, 1.69+nmu3
        versions: Versions::Known(&["a895d5f077651960b6ca4ed9c53f8b36eae422ae170f61c972d0c6579e9f8732"]),
        kind: Kind::Perl {
            before: include_str!("deb-systemd-helper.pl"),
            modules: &[
                "Carp/Heavy.pm",
                "Cwd.pm",
                "Errno.pm",
                "Exporter/Heavy.pm",
                "Fcntl.pm",
                "File/Basename.pm",
                "File/Glob.pm",
                "File/Path.pm",
                "File/Temp.pm",
                "Getopt/Long.pm",
                "IO/Handle.pm",
                "IO/Seekable.pm",
                "constant.pm",
                "overload.pm",
            ],
        },
    },
    Program {
        path: "usr/share/debconf/frontend",
        versions: Versions::Known(&[
            // 1.5.82
            "030ccf14183171765689c3c8982d60eeb6295e32c4444661767389803eb38a62",
            // 1.5.91, 1.5.92
            "200c5c0f4c7ad7770e6bb192e14b5d7d668a698d661595f5836e04a365b85293",
        ]),
        kind: Kind::Perl {
            before: "",
            modules: &[
                "Debconf/AutoSelect.pm",
                "Debconf/ConfModule.pm",
                "Debconf/Db.pm",
                "Debconf/DbDriver/File.pm",
                "Debconf/DbDriver/Stack.pm",
                "Debconf/Format/822.pm",
                "Debconf/FrontEnd/Noninteractive.pm",
                "Debconf/Template.pm",
            ],
        },
    },
    Program {
        path: "usr/bin/systemd-hwdb",
        versions: Versions::Any,
        kind: Kind::Early {
            text: include_str!("systemd-hwdb.sh"),
            script: ("early-hwdb", include_str!("early-hwdb.sh")),
            shared: ("hwdb-inputs", include_str!("hwdb-inputs.sh")),
        },
    },
    Program {
        path: "var/lib/dpkg/info/ca-certificates.config",
        versions: Versions::Known(&[
            // 20230311+deb12u1
            "99c9d296c5a65cf91c80795a1e3eef323624b290ed6821987f1a058cf8834484",
            // 20250419+deb13u1
            "6d34a25b8f7e6ff679a768db581ae5e436faee193aece201c6a4501e36b2ec37",
            // 20260816+nmu1
            "7e1a894f4ee718a910e4afcf1b6b819436c12f785b467b2cd5aed07d73a5eedc",
        ]),
        kind: Kind::Text(include_str!("ca-certificates-config.sh")),
    },
    Program {
        path: "usr/lib/python3.13/py_compile.py",
        // 3.13.5
        versions: Versions::Known(&["3464f04938b57a7aafbc5c394ccd4c46823ee607f7fe36b48b91ecbc30ff4e48"]),
        kind: Kind::Text(include_str!("py_compile.py")),
    },
    Program {
        path: "usr/bin/dpkg-maintscript-helper",
        versions: Versions::Known(&[
            // 1.21.22
            "aa4036297b2b85b7dce70653e3f41437f771c1b5c78f8d3646914a2333e6d32e",
            // 1.21.23
            "ab44bb8f3454a2ef0991dcfd832c99e89747f6a9624ffc7095786530f627e2ff",
            // 1.22.22
            "164ae6cd468674eea2f5dd7208f9ebac191b20bb0c0ac726560eb313b798d577",
            // 1.23.11
            "76b89b92b0ba2f4144ea0acd5ca5303b17be201d0188bd27fb4d85be19e2528c",
        ]),
        kind: Kind::Text(include_str!("dpkg-maintscript-helper.sh")),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digest_is_misspelled() {
        let known = |program: &'static Program| match program.versions {
            Versions::Known(digests) => digests,
            Versions::Any => &[],
        };
        static ALL: [Program; 7] = PROGRAMS;
        let all = ALL.iter().flat_map(known);
        let hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        assert!(all.into_iter().all(|digest| hex(digest)));
    }
}

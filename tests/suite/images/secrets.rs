//! What scripts make at random: removed by place, name and format, and made at first boot by the package that made it.

use super::lab::{Lab, text};
use crate::suite::archive_support::Package;
use crate::suite::attack::ground::run;

/// What it makes at random is other bytes in every build.
const SERVERS: &str = "#!/bin/sh\nset -e\nmkdir -p /etc/dropbear /var/lib/mysql/mysql /etc/munge /var/lib/unbound\n\
    for type in rsa ecdsa ed25519; do head -c 300 /dev/urandom >/etc/dropbear/dropbear_${type}_host_key; echo $$ >/etc/dropbear/dropbear_${type}_host_key.pub; done\n\
    head -c 1024 /dev/urandom >/etc/munge/munge.key\nhead -c 90 /dev/urandom >/etc/servers.keytab\n\
    head -c 4 /dev/urandom >/etc/hostid\nhead -c 9000 /dev/urandom >/var/lib/mysql/ibdata1\n\
    head -c 9000 /dev/urandom >/var/lib/mysql/mysql/user.MAI\n: >/var/lib/mysql/debian-11.8.flag\n\
    echo '. IN DNSKEY 257 3 8 AwEA' >/var/lib/unbound/root.key\n";

const KEYED: &str = "#!/bin/sh\nset -e\nmkdir -p /etc/keyed/private\n\
    { echo '-----BEGIN PRIVATE KEY-----'; echo \"MIIE$$\"; echo '-----END PRIVATE KEY-----'; } >/etc/keyed/private/server.pem\n\
    chmod 0640 /etc/keyed/private/server.pem\nmkdir /etc/keyed/certs\necho $$ >/etc/keyed/certs/server.crt\n";

const MUNGE: &str = "#!/bin/sh\nset -e\nmkdir -p /etc/munge\nhead -c 1024 /dev/urandom >/etc/munge/munge.key\n";

/// A key at a place that no script names and no package has.
const STRANGER: &str =
    "#!/bin/sh\nset -e\nplace=srv; mkdir -p /$place/x\nhead -c 64 /dev/urandom >/$place/x/token.key\n";

fn packages() -> Vec<Package> {
    let program = b"#!/bin/sh\nexit 0\n";
    let mut servers = Package::new("servers", "1.0").script("postinst", SERVERS);
    for path in ["/usr/lib/systemd/systemd", "/usr/bin/systemctl"] {
        servers = servers.file(path, 0o755, program);
    }
    servers = servers.link("/usr/sbin/init", "../lib/systemd/systemd");
    let keyed =
        Package::new("keyed", "1.0").script("postinst", KEYED).file("/etc/keyed/example.key", 0o644, b"shipped");
    let munge = Package::new("munge", "1.0").script("postinst", MUNGE);
    vec![servers, keyed, munge, Package::new("stranger", "1.0").script("postinst", STRANGER)]
}

#[test]
fn secrets_are_made_at_first_boot_by_their_packages() {
    let Some(lab) = Lab::new("secrets", packages()) else { return };
    let (files, _) = lab.image("fresh", &["servers", "keyed"], "");
    let gone = [
        ("servers", "etc/dropbear/dropbear_rsa_host_key"),
        ("servers", "etc/dropbear/dropbear_ed25519_host_key"),
        ("servers", "etc/dropbear/dropbear_rsa_host_key.pub"),
        ("servers", "etc/munge/munge.key"),
        ("servers", "etc/servers.keytab"),
        ("keyed", "etc/keyed/private/server.pem"),
        ("keyed", "etc/keyed/certs/server.crt"),
    ];
    let script = text(&files, "usr/lib/kiln/first-boot");
    for (package, path) in gone {
        assert!(!files.contains_key(path), "{path} is in the image");
        let call = script.lines().find(|line| line.starts_with(&format!("configure {package} {package} ")));
        let named = |call: &str| call.split(' ').any(|word| word == format!("/{path}"));
        assert!(call.is_some_and(named), "{path}: {script}");
    }
    for gone in ["etc/hostid", "var/lib/mysql/ibdata1", "var/lib/mysql/mysql", ".kiln-remade"] {
        assert!(!files.contains_key(gone), "{gone} is in the image");
    }
    assert!(script.contains(" /var/lib/mysql/mysql"), "{script}");
    assert!(text(&files, "etc/systemd/system/kiln-first-boot.service").contains("WantedBy=multi-user.target\n"));
    // What packages ship, what is public, and directories stay.
    for stays in ["var/lib/mysql/debian-11.8.flag", "etc/dropbear", "etc/keyed/example.key", "var/lib/unbound/root.key"]
    {
        assert!(files.contains_key(stays), "{stays} is not in the image");
    }
}

#[test]
fn what_the_recipe_states_stays_and_is_not_made_again() {
    let Some(lab) = Lab::new("stated", packages()) else { return };
    let key = "file \"/etc/keyed/private/server.pem\" { text = \"-----BEGIN PRIVATE KEY-----\\nof the recipe\\n\" mode = 0o600 }";
    let (files, _) = lab.image("named", &["keyed"], key);
    assert!(text(&files, "etc/keyed/private/server.pem").contains("of the recipe"));
    assert!(!files.contains_key("usr/lib/kiln/first-boot"));
}

/// Units make secrets at first boot; an image without systemd as its init runs none.
#[test]
fn an_image_that_runs_no_units_is_told_what_nothing_makes_again() {
    let Some(lab) = Lab::new("initless", packages()) else { return };
    let (_, said) = lab.image("bare", &["keyed", "munge"], "");
    let of_keyed =
        "package keyed: /etc/keyed/private/server.pem and another file are not in the image, and nothing makes";
    let of_munge =
        "package munge: /etc/munge/munge.key is not in the image, and nothing makes such files at first boot";
    let manifest = std::fs::read_to_string(lab.path("result/bare/manifest.json")).unwrap();
    let manifest = kiln::deliver::manifest::Manifest::read(manifest.as_bytes()).unwrap();
    for warning in [of_keyed, of_munge] {
        assert!(said.contains(&format!("warning: image bare: {warning}")), "{said}");
        assert!(manifest.warnings["bare"].iter().any(|line| line.starts_with(warning)), "{manifest:?}");
    }
    // What is known by its name is told before anything is built, at what asks for it.
    let known = "nothing makes the keys or identities of `munge` in a machine with image `bare`";
    for verb in ["check", "lock"] {
        let said = run(lab.kiln().arg(verb).arg("bare.kiln")).text();
        assert!(said.contains(known) && said.contains("^^^^^^^ they are not in the image"), "{verb}: {said}");
    }
    let stated = "file \"/etc/munge/munge.key\" { text = \"of the recipe\" mode = 0o600 }";
    let (_, said) = lab.image("stated", &["munge"], stated);
    assert!(!said.contains("nothing makes"), "{said}");
    let (_, said) = lab.image("booted", &["servers", "munge"], "link \"/usr/sbin/init\" = \"/lib/systemd/systemd\"");
    assert!(!said.contains("nothing makes"), "{said}");
    let strict = lab.refused("strict", &["munge"], "strict = true");
    assert!(strict.contains("the image is `strict`") && strict.contains(of_munge) && strict.contains('^'), "{strict}");
}

#[test]
fn a_secret_that_nobody_can_make_again_is_an_error_that_the_recipe_can_answer() {
    let Some(lab) = Lab::new("stranger", packages()) else { return };
    let said = lab.refused("unnamed", &["stranger"], "");
    assert!(said.contains("a package's script generated the secret /srv/x/token.key"), "{said}");
    assert!(said.contains("file \"/srv/x/token.key\" { source = file"), "{said}");
    let (files, _) = lab.image("named", &["stranger"], "file \"/srv/x/token.key\" { text = \"of the recipe\" }");
    assert_eq!(text(&files, "srv/x/token.key"), "of the recipe");
}

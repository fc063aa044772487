//! Users as `useradd` makes them.

use super::lab::{Files, Lab, owner, text};
use crate::suite::archive_support::Package;

/// What Debian's `passwd` and `uidmap` bring, and a home that a package made.
const POSTINST: &str = "#!/bin/sh\nset -e\nprintf 'UID_MIN 1000\\nHOME_MODE 0700\\nSUB_UID_COUNT 65536\\n' >/etc/login.defs\n\
    printf 'daemon:100000:10\\n' >/etc/subuid\n: >/etc/subgid\n\
    mkdir -p /etc/skel/.config/tool /var/lib/service\nln -s .profile /etc/skel/.login\n\
    echo '#!/bin/sh' >/etc/skel/.config/tool/run\nchmod 0700 /etc/skel/.config/tool\nchmod 0755 /etc/skel/.config/tool/run\n\
    echo 'service:x:120:120::/var/lib/service:/usr/sbin/nologin' >>/etc/passwd\n\
    echo 'service:!:20000::::::' >>/etc/shadow\necho 'service:x:120:' >>/etc/group\necho 'service:!::' >>/etc/gshadow\n\
    chown 120:120 /var/lib/service\n\
    mkdir -p /srv /var/lib/linked\nln -s ../var/lib /srv/data\nchown 121:121 /var/lib/linked\n\
    echo 'linked:x:121:121::/srv/data/linked:/usr/sbin/nologin' >>/etc/passwd\n\
    echo 'linked:!:20000::::::' >>/etc/shadow\necho 'linked:x:121:' >>/etc/group\necho 'linked:!::' >>/etc/gshadow\n";

const BODY: &str = r#"
  file "/etc/skel/.bash_aliases" { text = "alias ll='ls -l'\n" }
  user "dev" { shell = "/bin/sh" groups = ["engineers"] authorized-keys = ["ssh-ed25519 AAAA dev"] }
  user "ops" { shell = "/bin/sh" uid = 1000 }
  user "service" { authorized-keys = ["ssh-ed25519 AAAA service"] shell = "/bin/sh" }
  user "linked" { authorized-keys = ["ssh-ed25519 AAAA linked"] shell = "/bin/sh" }
  file "/var/lib/linked/data/file" { text = "x\n" }
  user "nobody-home" { shell = "/bin/sh" home = "/nonexistent" }
  group "engineers" { gid = 2001 }
  group "plain" { }
  file "/home/dev/.config/tool/settings.json" { text = "{}\n" owner = "dev" group = "dev" mode = 0o600 }
  file "/home/dev/.profile" { text = "of the recipe\n" owner = "dev" group = "dev" }
  file "/home/dev/notes/deep/er/file" { text = "x\n" owner = "dev" group = "engineers" }
  file "/var/lib/service/data/file" { text = "x\n" }
"#;

fn line(files: &Files, file: &str, name: &str) -> String {
    let text = text(files, file);
    text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap_or_default().to_owned()
}

#[test]
fn users_are_made_as_useradd_makes_them() {
    let package = Package::new("login-like", "1.0").script("postinst", POSTINST);
    let Some(lab) = Lab::new("users", vec![package]) else { return };
    let (files, _) = lab.image("home", &["login-like"], BODY);
    // A fixed number is given before a free one, and groups before memberships, in whatever order they stand.
    assert_eq!(line(&files, "etc/passwd", "ops"), "ops:x:1000:1000::/home/ops:/bin/sh");
    assert_eq!(line(&files, "etc/passwd", "dev"), "dev:x:1001:1001::/home/dev:/bin/sh");
    assert_eq!(line(&files, "etc/group", "engineers"), "engineers:x:2001:dev");
    assert_eq!(line(&files, "etc/group", "plain"), "plain:x:1003:");
    // What a package says of its user stays, but for what the recipe changes.
    assert_eq!(line(&files, "etc/passwd", "service"), "service:x:120:120::/var/lib/service:/bin/sh");
    assert!(line(&files, "etc/shadow", "service").starts_with("service:!:"));
    // The whole skeleton, the recipe's part of it too, with links and modes.
    assert_eq!(owner(&files, "home/dev"), (1001, 1001, 0o700));
    assert_eq!(text(&files, "home/dev/.bash_aliases"), "alias ll='ls -l'\n");
    assert_eq!(owner(&files, "home/dev/.config/tool/run"), (1001, 1001, 0o755));
    assert_eq!((files["home/dev/.login"].link.as_str(), files["home/dev/.login"].uid), (".profile", 1001));
    assert_eq!(text(&files, "home/dev/.profile"), "of the recipe\n");
    assert_eq!(text(&files, "home/ops/.profile"), "umask 022\n");
    assert!(!files.contains_key("var/lib/service/.profile"), "a home that was there got a skeleton");
    // Directories in a home belong to whose home it is.
    for directory in ["home/dev/.config", "home/dev/.config/tool", "home/dev/notes", "home/dev/notes/deep/er"] {
        assert_eq!(owner(&files, directory).0, 1001, "{directory}");
    }
    assert_eq!(owner(&files, "var/lib/service/data"), (120, 120, 0o755));
    assert_eq!(owner(&files, "home"), (0, 0, 0o755));
    assert_eq!(owner(&files, "home/dev/.ssh/authorized_keys"), (1001, 1001, 0o600));
    assert_eq!(owner(&files, "var/lib/service/.ssh"), (120, 120, 0o700));
    assert!(!files.contains_key("nonexistent"));
    // A package may name a home through a link; a recipe says where it lies.
    assert_eq!(line(&files, "etc/passwd", "linked"), "linked:x:121:121::/srv/data/linked:/bin/sh");
    assert_eq!(owner(&files, "var/lib/linked/.ssh/authorized_keys"), (121, 121, 0o600));
    assert_eq!(owner(&files, "var/lib/linked/data"), (121, 121, 0o755));
    let said = lab.refused("through", &["login-like"], "user \"dev\" { home = \"/srv/data/dev\" }");
    assert!(said.contains("the home /srv/data/dev of user dev leads through a symbolic link"), "{said}");
    // Ranges follow from numbers; one that is taken is replaced.
    let range = |file: &str, name: &str| line(&files, file, name);
    assert_eq!(range("etc/subuid", "dev"), "dev:165536:65536");
    assert_eq!(range("etc/subuid", "ops"), "ops:231072:65536");
    assert_eq!(range("etc/subgid", "ops"), "ops:100000:65536");
    assert_eq!(range("etc/subuid", "service"), "");
}

#[test]
fn what_a_user_lacks_is_an_error() {
    let Some(lab) = Lab::new("users-refused", vec![]) else { return };
    for (name, body, words) in [
        (
            "shell",
            "user \"dev\" { shell = \"/usr/bin/fish\" }",
            "user dev has the shell /usr/bin/fish, which is not in the image",
        ),
        ("group", "user \"dev\" { groups = [\"docker\"] }", "group docker of user dev does not exist in the image"),
        ("taken", "group \"own\" { gid = 0 }", "gid 0 of group own already belongs to the group root"),
        ("own", "user \"nogroup\" { }", "a package already created a group nogroup"),
    ] {
        let said = lab.refused(name, &[], body);
        assert!(said.contains(words), "{name}: {said}");
    }
    let twice = "user \"dev\" { authorized-keys = [\"ssh-ed25519 A\"] }\n file \"/home/dev/.ssh/authorized_keys\" { text = \"\" }";
    for (name, body, words) in [
        ("keys", twice, "the keys of user `dev` are set more than once"),
        (
            "nowhere",
            "user \"dev\" { home = \"/nonexistent\" authorized-keys = [\"ssh-ed25519 A\"] }",
            "`/nonexistent` cannot hold `authorized-keys`",
        ),
        ("again", "group \"a\" { }\n group \"a\" { gid = 5 }", "group `a` is given more than once"),
    ] {
        let said = lab.check(name, body);
        assert!(said.contains(words) && said.contains('^'), "{name}: {said}");
    }
}

//! What a recipe brings along, read back from a real disk by e2fsprogs: live, for it needs the network for the packages.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::archive_support::Package;
use super::live::{Scratch, fail_with, judge, kiln, live, succeed};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image brought {
  size = 2GiB
  format = raw
  dhcp = false
  serial-console = false
  tools = image-tools
  packages = ["libcap2-bin", file "tool.deb"]
  user "app" { uid = 1000 }
  tree "/" { source = directory "overlay" }
  tree "/opt/app" { source = directory "app" modes exact owner = "app" group = "app" }
  file "/srv/big.bin" { source = file "big.bin" mode = 0o600 owner = "app" }
  file "/usr/local/bin/srv" { source = file "srv" mode = 0o755 capabilities = "cap_net_bind_service=ep" }
}
machine m { kernel = stock image = brought qemu = qemu-11 cpus = 1 memory = 512MiB }
"#;
/// More than kiln ever held in memory.
const BIG: u64 = 200 << 20;

struct Project(Scratch);

impl Project {
    fn put(&self, name: &str, bytes: &[u8], mode: u32) {
        let path = self.0.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn kiln(&self, verb: &str) -> Command {
        let mut command = kiln(&self.0.path("store"));
        command.arg(verb).arg(self.0.path("brought.kiln"));
        command
    }

    fn debugfs(&self, request: &str) -> String {
        let output = Command::new("debugfs").args(["-R", request]).arg(self.0.path("out/disk.raw")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

#[test]
fn trees_packages_large_files_and_capabilities_are_on_the_disk() {
    if !live("an image of what a recipe brings along, read by debugfs") || !judge("debugfs") {
        return;
    }
    let project = Project(Scratch::new("brought"));
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
    succeed(Command::new("cp").arg("-r").arg(library).arg(project.0.path("lib")));
    let tool = Package::new("kiln-test-tool", "1.0").depends("libcap2").script("md5sums", "");
    let tool = tool.file("/usr/share/kiln-test-tool", 0o644, b"of the package\n");
    project.put("tool.deb", &tool.build(), 0o644);
    project.put("overlay/etc/motd", b"of the tree\n", 0o600);
    project.put("overlay/bin/run-me", b"#!/bin/sh\n", 0o700);
    project.put("app/bin/helper", b"#!/bin/sh\n", 0o4750);
    project.put("app/line\nbreak", b"odd", 0o644);
    symlink("../../../etc/shadow", project.0.path("app/out")).unwrap();
    project.put("srv", b"#!/bin/sh\n", 0o755);
    std::fs::File::create(project.0.path("big.bin")).unwrap().set_len(BIG).unwrap();
    project.put("brought.kiln", RECIPE.as_bytes(), 0o644);
    succeed(&mut project.kiln("lock"));
    succeed(project.kiln("build").arg("--out").arg(project.0.path("out")));
    for (request, parts) in [
        ("stat /opt/app/bin/helper", ["Mode:  04750", "User:  1000", "Group:  1000"]),
        ("stat /usr/bin/run-me", ["Mode:  0755", "User:     0", "Type: regular"]),
        ("stat /opt/app/out", ["Fast link dest: \"../../../etc/shadow\"", "User:  1000", "Type: symlink"]),
        ("stat /srv/big.bin", ["Size: 209715200", "Mode:  0600", "User:  1000"]),
        ("ea_get -x /usr/local/bin/srv security.capability", ["(20)", "01 00 00 02", "00 04 00 00"]),
        ("cat /etc/motd", ["of the tree", "", ""]),
        ("cat /usr/share/kiln-test-tool", ["of the package", "", ""]),
        ("ls -p /opt/app", ["line\nbreak", "bin", "out"]),
    ] {
        let said = project.debugfs(request);
        let missing = parts.iter().find(|part| !said.contains(**part));
        assert_eq!(missing, None, "{request}: {said}");
    }
    project.put("app/new", b"", 0o644);
    let said = fail_with(project.kiln("lock").arg("--check"), 1);
    assert!(said.contains("directory `app` has changed"), "{said}");
}

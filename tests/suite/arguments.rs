//! `qemu-args` of a machine: what is in the argv, and attacks by a recipe or a `launch.json` on the host's files.

use std::collections::BTreeMap;

use kiln::deliver::launch::LaunchFile;
use kiln::machine::rules;

use super::machine_support::{described, machine};

fn errors(words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    let machine = machine(&format!("qemu-args = [{}]", words.join(", ")));
    rules::check(&machine).errors.into_iter().map(|error| error.message).collect()
}

const GOOD: [&str; 9] = [
    "-device",
    "qemu-xhci,id=usb,bus=pcie.0,addr=0xe",
    "-object",
    "memory-backend-ram,id=spare,size=64M",
    "-no-reboot",
    "-global",
    "ICH9-LPC.disable_s3=1",
    "-machine",
    "hmat=on,vmport=off",
];

#[test]
fn allowed_options_are_in_the_argv_and_in_launch_json() {
    assert_eq!(errors(&GOOD), [""; 0]);
    let words: Vec<String> = GOOD.iter().map(|word| format!("{word:?}")).collect();
    let described = described(&machine(&format!("qemu-args = [{}]", words.join(", "))), &BTreeMap::new(), "11.1.3");
    let argv = described.argv(|_| ()).template();
    assert!(argv.ends_with(&GOOD.map(str::to_owned)), "{argv:?}");
    let text = LaunchFile { description: described, artifacts: BTreeMap::new() }.json();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["machine"]["qemu-args"], serde_json::json!(GOOD));
}

/// What reaches files, descriptors, sockets, programs and devices of the host.
const ATTACKS: [&[&str]; 40] = [
    &["-drive", "file=/etc/shadow,if=virtio"],
    &["-drive", "if=virtio,file=x"],
    &["-blockdev", "driver=file,node-name=x,filename=x"],
    &["-chardev", "file,id=x,path=x"],
    &["-chardev", "pipe,id=x,path=x"],
    &["-serial", "file:x"],
    &["-monitor", "unix:x,server"],
    &["-qmp", "tcp:0.0.0.0:4444,server"],
    &["-netdev", "user,id=x,guestfwd=tcp:10.0.2.9:1-cmd:id"],
    &["-netdev", "tap,id=x,script=x"],
    &["-nic", "user,hostfwd=tcp::22-:22"],
    &["-incoming", "exec:id"],
    &["-virtfs", "local,path=/,mount_tag=x,security_model=none"],
    &["-fsdev", "local,id=x,path=."],
    &["-fw_cfg", "name=opt/x,file=x"],
    &["-smbios", "file=x"],
    &["-acpitable", "file=x"],
    &["-pidfile", "x"],
    &["-D", "x"],
    &["-L", "x"],
    &["-bios", "x"],
    &["-kernel", "x"],
    &["-readconfig", "x"],
    &["-sandbox", "off"],
    &["-run-with", "chroot=x"],
    &["--device", "qemu-xhci"],
    &["-device", "vfio-pci,host=00:1f.2"],
    &["-device", "usb-host,hostbus=1"],
    &["-device", "vhost-vsock-pci,guest-cid=3"],
    &["-device", "loader,file=x"],
    &["-device", "{\"driver\": \"vfio-pci\"}"],
    &["-device", "cxl-type3,driver=vfio-pci"],
    &["-device", "cxl-type3,cdat=x"],
    &["-device", "e1000,romfile=x"],
    &["-device", "nvme,serial=/etc/shadow"],
    &["-object", "memory-backend-file,mem-path=x,id=x,size=1M"],
    &["-object", "memory-backend-ram,qom-type=memory-backend-file,id=x,mem-path=x"],
    &["-global", "e1000.romfile=x"],
    &["-machine", "dumpdtb=x"],
    &["-icount", "shift=1,rr=record,rrfile=x"],
];

#[test]
fn no_option_of_a_recipe_reaches_the_host() {
    for attack in ATTACKS {
        assert_eq!(errors(attack).len(), 1, "{attack:?}");
        let hidden = [&["-device"][..], &["qemu-xhci"], attack].concat();
        assert_eq!(errors(&hidden).len(), 1, "{hidden:?}");
    }
    // A value that looks like an option, an option without its value, and what only a parser of QEMU would split.
    assert_eq!(errors(&["-device", "-drive"]).len(), 1);
    assert_eq!(errors(&["-no-reboot", "-device"]).len(), 1);
    assert_eq!(errors(&["-device", "e1000,id=a,,romfile=x"]).len(), 1);
    assert_eq!(errors(&["-device", "e1000,id=a\\nb"]).len(), 1);
}

#[test]
fn a_launch_json_is_held_to_the_same_list() {
    let described = described(&machine("qemu-args = [\"-no-reboot\"]"), &BTreeMap::new(), "11.1.3");
    let text = LaunchFile { description: described, artifacts: BTreeMap::new() }.json();
    let bad = text.replace("\"-no-reboot\"", "\"-pidfile\", \"x\"");
    let error = LaunchFile::read(bad.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`-pidfile` is not an option that a recipe can give QEMU"), "{error}");
}

//! What the guest, QEMU and its sandbox are told of a share.

use super::*;
use crate::guest::launch::tests::launch;
use crate::world::fs;

fn share(name: &str, access: DirectoryAccess) -> Share {
    let directory = std::env::temp_dir();
    let identity = DirectoryIdentity::of(&directory.metadata().unwrap());
    Share { name: name.to_owned(), directory, identity, access }
}

const NO_WORDS: [String; 0] = [];

#[test]
fn the_guest_is_told_what_to_mount() {
    let described = launch("").description;
    assert_eq!(kernel_words((&[], Transport::NineP), &described, &[]).unwrap(), NO_WORDS);
    let shares = [share("code", DirectoryAccess::Writable), share("data", DirectoryAccess::ReadOnly)];
    let options = "nofail,nosuid,nodev,trans=virtio,version=9p2000.L,cache=mmap,msize=512000";
    let code = format!("systemd.mount-extra=code:/mnt/code:9p:{options}");
    let data = format!("systemd.mount-extra=data:/mnt/data:9p:ro,{options}");
    assert_eq!(kernel_words((&shares, Transport::NineP), &described, &[]).unwrap(), [code, data]);
    let words = kernel_words((&shares[1..], Transport::VirtioFs), &described, &[]).unwrap();
    assert_eq!(words, ["systemd.mount-extra=data:/mnt/data:virtiofs:ro,nofail,nosuid,nodev"]);
    let said = shares.map(|share| share.notice("m"));
    assert!(said[0].ends_with(" with m as /mnt/code, for this run only"), "{said:?}");
    assert!(said[1].ends_with(" with m as /mnt/data, read-only, for this run only"), "{said:?}");
}

#[test]
fn what_the_kernel_would_not_keep_is_refused() {
    let described = launch("").description;
    let (shares, others) = ([share("code", DirectoryAccess::Writable)], ["x".repeat(2000)]);
    assert_eq!(kernel_words((&[], Transport::NineP), &described, &others).unwrap(), NO_WORDS);
    kernel_words((&shares, Transport::NineP), &described, &[]).unwrap();
    let error = kernel_words((&shares, Transport::NineP), &described, &others).unwrap_err().to_string();
    assert!(error.contains("the kernel keeps 2047; share fewer directories"), "{error}");
}

#[test]
fn the_kernel_and_the_packages_of_qemu_decide_how_it_is_reached() {
    let directory = std::env::temp_dir().join(format!("kiln-share-{}", std::process::id()));
    let [with, without] = ["with", "without"].map(|name| directory.join(name));
    fs::create_dir_all(&with.join("usr/libexec")).unwrap();
    fs::create_dir_all(&without).unwrap();
    fs::write_atomically(&with.join("usr/libexec/virtiofsd"), b"").unwrap();
    let mut machine = launch("").description.machine;
    let ask = |config: &str, tree: &Path, machine: &Machine| {
        fs::write_atomically(&directory.join("kernel.config"), config.as_bytes()).unwrap();
        transport(Sharer { machine, artifacts: &directory, tree }).map_err(|error| error.to_string())
    };
    let nine_p = "CONFIG_9P_FS=m\nCONFIG_NET_9P_VIRTIO=y\nCONFIG_VIRTIO_FS=m\n";
    assert_eq!(ask(nine_p, &with, &machine), Ok(Transport::NineP));
    assert_eq!(ask(nine_p, &without, &machine), Ok(Transport::NineP));
    let cloud = "CONFIG_9P_FS=y\n# CONFIG_NET_9P_VIRTIO is not set\nCONFIG_VIRTIO_FS=m\n";
    assert_eq!(ask(cloud, &with, &machine), Ok(Transport::VirtioFs));
    let refused = |config, tree, machine: &Machine, words: &str| {
        let error = ask(config, tree, machine).unwrap_err();
        assert!(error.starts_with("machine m: ") && error.contains(words), "{error}");
    };
    refused(cloud, &without, &machine, "add \"virtiofsd\" to them and run `kiln lock`");
    refused("CONFIG_X=y\n", &with, &machine, "neither 9p over virtio");
    refused("hello\n", &with, &machine, "line 1 of the kernel configuration");
    machine.bounce = true;
    refused(cloud, &with, &machine, "`bounce = true`");
    assert_eq!(ask(nine_p, &with, &machine), Ok(Transport::NineP));
    fs::remove_tree(&directory).unwrap();
}

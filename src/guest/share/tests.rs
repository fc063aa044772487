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
    assert_eq!(kernel_words(&[], &described, &[]).unwrap(), NO_WORDS);
    let shares = [share("code", DirectoryAccess::Writable), share("data", DirectoryAccess::ReadOnly)];
    let options = "nofail,nosuid,nodev,trans=virtio,version=9p2000.L,cache=mmap,msize=512000";
    let code = format!("systemd.mount-extra=code:/mnt/code:9p:{options}");
    let data = format!("systemd.mount-extra=data:/mnt/data:9p:ro,{options}");
    assert_eq!(kernel_words(&shares, &described, &[]).unwrap(), [code, data]);
    let said = shares.map(|share| share.notice("m"));
    assert!(said[0].ends_with(" with m as /mnt/code, for this run only"), "{said:?}");
    assert!(said[1].ends_with(" with m as /mnt/data, read-only, for this run only"), "{said:?}");
}

#[test]
fn what_the_kernel_would_not_keep_is_refused() {
    let described = launch("").description;
    let (shares, others) = ([share("code", DirectoryAccess::Writable)], ["x".repeat(2000)]);
    assert_eq!(kernel_words(&[], &described, &others).unwrap(), NO_WORDS);
    kernel_words(&shares, &described, &[]).unwrap();
    let error = kernel_words(&shares, &described, &others).unwrap_err().to_string();
    assert!(error.contains("the kernel keeps 2047; share fewer directories"), "{error}");
}

#[test]
fn a_kernel_without_the_file_system_is_refused() {
    let directory = std::env::temp_dir().join(format!("kiln-share-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let check = |config: &str| {
        fs::write_atomically(&directory.join("kernel.config"), config.as_bytes()).unwrap();
        check_kernel("m", &directory)
    };
    check("CONFIG_9P_FS=m\nCONFIG_NET_9P_VIRTIO=y\n").unwrap();
    for (config, words) in [
        ("CONFIG_X=y\n", "this one lacks CONFIG_9P_FS and CONFIG_NET_9P_VIRTIO\n  help: "),
        ("CONFIG_9P_FS=y\n# CONFIG_NET_9P_VIRTIO is not set\n", "this one lacks CONFIG_NET_9P_VIRTIO\n"),
        ("hello\n", "line 1 of the kernel configuration"),
    ] {
        let error = check(config).unwrap_err().to_string();
        assert!(error.starts_with("machine m: ") && error.contains(words), "{error}");
    }
    fs::remove_tree(&directory).unwrap();
}

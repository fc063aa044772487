//! What the guest, QEMU and its sandbox are told of a share.

use super::*;
use crate::guest::launch::tests::launch;
use crate::world::fs;

fn share(name: &str, access: DirectoryAccess) -> Share {
    let directory = std::env::temp_dir();
    let identity = DirectoryIdentity::of(&directory.metadata().unwrap());
    Share { name: name.to_owned(), directory, identity, access }
}

/// A machine whose kernel has this configuration.
fn machine(name: &str, config: &str) -> Launch {
    let artifacts = std::env::temp_dir().join(format!("kiln-share-{}-{name}", std::process::id()));
    fs::create_dir_all(&artifacts).unwrap();
    fs::write_atomically(&artifacts.join("kernel.config"), config.as_bytes()).unwrap();
    Launch { artifacts, ..launch("") }
}

const WITH_9P: &str = "CONFIG_9P_FS=m\nCONFIG_NET_9P_VIRTIO=y\n";

#[test]
fn the_guest_is_told_what_to_mount() {
    let mut launch = machine("told", WITH_9P);
    assert_eq!(kernel_words(&launch, &[]).unwrap(), [""; 0]);
    attach(&mut launch, &[share("code", DirectoryAccess::Writable), share("data", DirectoryAccess::ReadOnly)]).unwrap();
    let options = "nofail,nosuid,nodev,trans=virtio,version=9p2000.L,cache=mmap,msize=512000";
    let code = format!("systemd.mount-extra=code:/mnt/code:9p:{options}");
    let data = format!("systemd.mount-extra=data:/mnt/data:9p:ro,{options}");
    assert_eq!(kernel_words(&launch, &[]).unwrap(), [code, data]);
    let said: Vec<String> = notices(&launch).collect();
    assert!(said[0].ends_with(" with m as /mnt/code, for this run only"), "{said:?}");
    assert!(said[1].ends_with(" with m as /mnt/data, read-only, for this run only"), "{said:?}");
    fs::remove_tree(&launch.artifacts).unwrap();
}

#[test]
fn what_the_kernel_would_not_keep_is_refused() {
    let mut launch = machine("long", WITH_9P);
    let others = ["x".repeat(1900)];
    kernel_words(&launch, &others).unwrap();
    attach(&mut launch, &[share("code", DirectoryAccess::Writable)]).unwrap();
    kernel_words(&launch, &[]).unwrap();
    let error = kernel_words(&launch, &others).unwrap_err().to_string();
    assert!(error.contains("the kernel keeps 2047; share fewer directories"), "{error}");
    fs::remove_tree(&launch.artifacts).unwrap();
}

#[test]
fn a_kernel_without_the_file_system_is_refused() {
    let shares = [share("code", DirectoryAccess::Writable)];
    for (name, config, words) in [
        ("none", "CONFIG_X=y\n", "this one lacks CONFIG_9P_FS and CONFIG_NET_9P_VIRTIO\n  help: "),
        ("half", "CONFIG_9P_FS=y\n# CONFIG_NET_9P_VIRTIO is not set\n", "this one lacks CONFIG_NET_9P_VIRTIO\n"),
        ("no-config", "hello\n", "line 1 of the kernel configuration"),
    ] {
        let mut launch = machine(name, config);
        let error = attach(&mut launch, &shares).unwrap_err().to_string();
        assert!(error.starts_with("machine m: ") && error.contains(words), "{error}");
        attach(&mut launch, &[]).unwrap();
        assert!(launch.shares.is_empty());
        fs::remove_tree(&launch.artifacts).unwrap();
    }
}

//! Kernel packages and initramfs: taken apart, put together, and (live) booted under software emulation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::base::{Digest, Timestamp};
use kiln::exec::builtin::{BuiltinContext, run};
use kiln::exec::event::IgnoreSteps;
use kiln::plan::Builtin;
use kiln::plan::initrd::InitrdSpec;

/// A scratch directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("kiln-initrd-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a builtin step; gives its output directory.
fn step(scratch: &Scratch, name: &str, builtin: &Builtin, inputs: &[(&str, &Path)]) -> Result<PathBuf, String> {
    let inputs: BTreeMap<String, PathBuf> =
        inputs.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf())).collect();
    // As a step finds them: empty.
    for place in [name.to_owned(), format!("{name}-scratch")] {
        fs::remove_dir_all(scratch.directory(&place)).unwrap();
    }
    let (out, work) = (scratch.directory(name), scratch.directory(&format!("{name}-scratch")));
    let context = BuiltinContext {
        step: name,
        inputs: &inputs,
        out: &out,
        scratch: &work,
        variation: None,
        without_stand_ins: false,
        earlier: None,
        limits: kiln::exec::sandbox::Limits::default(),
        listener: &IgnoreSteps,
    };
    run(builtin, &context).map_err(|error| error.to_string())?;
    Ok(out)
}

/// A binary package (deb(5)) of the given files.
fn package(at: &Path, files: &[(&str, &[u8])]) {
    let member = |files: &[(&str, &[u8])]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1_900_000_000);
            tar.append_data(&mut header, format!("./{name}"), *content).unwrap();
        }
        tar.into_inner().unwrap()
    };
    let control = member(&[("control", b"Package: k\nVersion: 1\nArchitecture: amd64\n")]);
    let mut deb = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", member(files))] {
        deb.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes());
        deb.extend_from_slice(&bytes);
        deb.extend(std::iter::repeat_n(b'\n', bytes.len() % 2));
    }
    fs::write(at, deb).unwrap();
}

const TREE: [(&str, &[u8]); 4] = [
    ("boot/vmlinuz-6.12-x", b"kernel"),
    ("boot/config-6.12-x", b"CONFIG_X=y\n"),
    ("lib/modules/6.12-x/kernel/b.ko", b"b"),
    ("lib/modules/6.12-x/kernel/a.ko", b"a"),
];

#[test]
fn a_kernel_package_is_taken_apart() {
    let scratch = Scratch::new("stock");
    let (deb, epoch) = (scratch.0.join("kernel.deb"), scratch.0.join("epoch"));
    package(&deb, &TREE);
    fs::write(&epoch, "2026-11-01T00:00:00Z\n").unwrap();
    let out = step(&scratch, "out", &Builtin::StockKernel, &[("kernel.deb", &deb), ("epoch", &epoch)]).unwrap();
    assert_eq!(fs::read(out.join("vmlinuz")).unwrap(), b"kernel");
    assert_eq!(fs::read(out.join("kernel.config")).unwrap(), b"CONFIG_X=y\n");
    let modules = fs::read(out.join("modules.tar")).unwrap();
    let mut archive = tar::Archive::new(modules.as_slice());
    let entries: Vec<(PathBuf, u64)> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.path().unwrap().into_owned(), entry.header().mtime().unwrap()))
        .collect();
    let names: Vec<&str> = entries.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    let files = ["usr/lib/modules/6.12-x/kernel/a.ko", "usr/lib/modules/6.12-x/kernel/b.ko"];
    assert_eq!(names, [["usr/", "usr/lib/", "usr/lib/modules/"].as_slice(), &files].concat());
    assert!(entries.iter().all(|(_, mtime)| *mtime == 1_793_491_200), "{entries:?}");
}

#[test]
fn a_kernel_in_several_packages_is_one_kernel() {
    let scratch = Scratch::new("split");
    let parts: [&[(&str, &[u8])]; 4] = [
        &[
            ("usr/lib/modules/7.3-z/config", b"CONFIG_X=y\n"),
            ("usr/lib/modules/7.3-z/System.map", b"ffffffff B The real one is variation\n"),
            ("usr/lib/modules/7.3-z/modules.builtin", b"kernel/c.ko\n"),
        ],
        &[("usr/lib/modules/7.3-z/vmlinuz", b"kernel")],
        &[("usr/share/doc/linux-image-7.3-z/README", b"")],
        &[("usr/lib/modules/7.3-z/kernel/a.ko.xz", b"a")],
    ];
    let names = ["kernel.deb", "kernel-1.deb", "kernel-2.deb", "kernel-3.deb"];
    let paths = names.map(|name| scratch.0.join(name));
    paths.iter().zip(parts).for_each(|(path, files)| package(path, files));
    let inputs: Vec<(&str, &Path)> = names.into_iter().zip(paths.iter().map(PathBuf::as_path)).collect();
    let out = step(&scratch, "out", &Builtin::StockKernel, &inputs).unwrap();
    assert_eq!(fs::read(out.join("vmlinuz")).unwrap(), b"kernel");
    assert_eq!(fs::read(out.join("kernel.config")).unwrap(), b"CONFIG_X=y\n");
    let modules = fs::read(out.join("modules.tar")).unwrap();
    let mut archive = tar::Archive::new(modules.as_slice());
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    let files = ["usr/lib/modules/7.3-z/kernel/a.ko.xz", "usr/lib/modules/7.3-z/modules.builtin"];
    assert_eq!(names.filter(|name| !name.ends_with('/')).collect::<Vec<_>>(), files);

    package(&paths[2], &[("usr/lib/modules/7.3-z/kernel/a.ko.xz", b"b")]);
    let error = step(&scratch, "out", &Builtin::StockKernel, &inputs).unwrap_err();
    assert!(
        error.contains("more than one of the kernel's packages has /usr/lib/modules/7.3-z/kernel/a.ko.xz"),
        "{error}"
    );
}

#[test]
fn a_package_that_is_no_kernel_is_refused() {
    let scratch = Scratch::new("refused");
    let deb = scratch.0.join("kernel.deb");
    let other = [TREE[0], TREE[1], ("lib/modules/6.13-y/a.ko", b"".as_slice()), TREE[3]];
    for (files, expected) in [
        (&TREE[..2], "have no modules"),
        (&TREE[1..], "neither /boot/vmlinuz-6.12-x nor"),
        (&other[..], "more than one kernel"),
    ] {
        package(&deb, files);
        let error = step(&scratch, "out", &Builtin::StockKernel, &[("kernel.deb", &deb)]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_initrd_without_its_module_is_refused() {
    let scratch = Scratch::new("missing");
    let (deb, json) = (scratch.0.join("k.deb"), scratch.0.join("initrd.json"));
    package(&deb, &TREE);
    let out = step(&scratch, "stock", &Builtin::StockKernel, &[("kernel.deb", &deb)]).unwrap();
    let modules = out.join("modules.tar");
    let inputs: [(&str, &Path); 3] = [("modules.tar", &modules), ("busybox.deb", &deb), ("initrd.json", &json)];
    let spec = InitrdSpec::virtio_ext4("/dev/vda", Timestamp(1));
    for (spec, expected) in [
        (spec.clone(), "module virtio_pci does not exist"),
        (InitrdSpec { modules: vec!["a".into()], ..spec.clone() }, "not a 64-bit ELF"),
        (InitrdSpec { modules: vec![], ..spec.clone() }, "no usr/bin/busybox"),
        (InitrdSpec { root_device: "'; reboot".into(), ..spec }, "not a device"),
    ] {
        fs::write(&json, spec.to_json()).unwrap();
        let error = step(&scratch, "out", &Builtin::Initrd, &inputs).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// With `KILN_BOOT_DIR` naming a directory of `kernel.deb`, `busybox.deb` and `qemu` (QEMU's packages, unpacked).
#[test]
fn real_kernels_boot_to_a_shell_on_their_root() {
    if !super::live("booting a kernel package with kiln's initramfs") {
        return;
    }
    let Some(inputs) = std::env::var_os("KILN_BOOT_DIR").map(PathBuf::from) else {
        println!("skipped without KILN_BOOT_DIR");
        return;
    };
    let scratch = Scratch::new("boot");
    let json = scratch.0.join("initrd.json");
    fs::write(&json, InitrdSpec::virtio_ext4("/dev/vda", Timestamp(1_793_491_200)).to_json()).unwrap();
    let stock = step(&scratch, "stock", &Builtin::StockKernel, &[("kernel.deb", &inputs.join("kernel.deb"))]).unwrap();
    let images: Vec<PathBuf> = ["one", "two"]
        .iter()
        .map(|name| {
            let (modules, busybox) = (stock.join("modules.tar"), inputs.join("busybox.deb"));
            let files: [(&str, &Path); 3] =
                [("modules.tar", &modules), ("busybox.deb", &busybox), ("initrd.json", &json)];
            step(&scratch, name, &Builtin::Initrd, &files).unwrap().join("initrd.img")
        })
        .collect();
    let digests: Vec<Digest> = images.iter().map(|image| Digest::of(&fs::read(image).unwrap())).collect();
    assert_eq!(digests[0], digests[1]);
    let qemu = inputs.join("qemu");
    let place = qemu.join("boot-test");
    fs::create_dir_all(&place).unwrap();
    fs::copy(stock.join("vmlinuz"), place.join("vmlinuz")).unwrap();
    fs::copy(&images[0], place.join("initrd.img")).unwrap();
    disk(&scratch, &inputs.join("busybox.deb"), &place.join("disk.raw"));
    let good = boot(&qemu, "root=/dev/vda rw init=/init");
    assert!(good.contains("ROOT SHELL OK: /dev/root-or-vda ext4 rw"), "{good}");
    let bad = boot(&qemu, "root=/dev/vda init=/nothing");
    assert!(bad.contains("kiln initrd: failed: /dev/vda has no /nothing"), "{bad}");
    let bad = boot(&qemu, "root=/dev/vda rootfstype=vfat");
    assert!(bad.contains("kiln initrd: failed: cannot mount /dev/vda as vfat"), "{bad}");
    fs::remove_dir_all(&place).unwrap();
}

/// A root file system whose init is a shell script that says what it sees, and switches off.
fn disk(scratch: &Scratch, busybox: &Path, at: &Path) {
    let tree = scratch.directory("tree");
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("dpkg-deb").arg("-x").args([busybox, &tree]));
    for name in ["dev", "proc", "sys"] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    let script = "#!/usr/bin/busybox sh\n\
        b=/usr/bin/busybox\n\
        line=$($b grep ' / ' /proc/mounts | $b tail -n1)\n\
        set -- $line\n\
        echo \"ROOT SHELL OK: /dev/root-or-vda $3 ${4%%,*}\"\n\
        echo \"$line\"; $b lsmod 2>/dev/null || $b cat /proc/modules\n\
        $b poweroff -f\n";
    fs::write(tree.join("init"), script).unwrap();
    run(Command::new("chmod").arg("755").arg(tree.join("init")));
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(at).arg("64M"));
}

fn boot(qemu: &Path, append: &str) -> String {
    let output = Command::new("timeout")
        .arg("300")
        .arg("chroot")
        .arg(qemu)
        .args(["/usr/bin/qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", "512", "-nographic"])
        .args(["-nodefaults", "-serial", "stdio", "-no-reboot"])
        .args(["-kernel", "/boot-test/vmlinuz", "-initrd", "/boot-test/initrd.img"])
        .args(["-drive", "if=virtio,format=raw,file=/boot-test/disk.raw"])
        .args(["-append", &format!("console=ttyS0 {append}")])
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

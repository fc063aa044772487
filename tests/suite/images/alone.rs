//! Images that no machine uses.

use std::path::Path;
use std::process::Command;

use super::lab::Lab;
use crate::suite::attack::ground::{Ended, Image, run};
use crate::suite::tree;

const MACHINE: &str = "machine m {";

/// Writes `NAME.kiln`: the image `base`, the machine only if it is to be kept, and these lines.
fn recipe(lab: &Lab, name: &str, (has_machine, more): (bool, &str)) -> String {
    lab.recipe("base", &Image::default());
    let text = std::fs::read_to_string(lab.path("base.kiln")).unwrap();
    let kept = |line: &&str| has_machine || !line.starts_with(MACHINE);
    let text: Vec<&str> = text.lines().filter(kept).chain([more, ""]).collect();
    std::fs::write(lab.path(&format!("{name}.kiln")), text.join("\n")).unwrap();
    format!("{name}.kiln")
}

fn kiln(lab: &Lab, words: &[&str]) -> Ended {
    run(lab.kiln().args(words))
}

fn succeed(lab: &Lab, words: &[&str]) -> String {
    let ended = kiln(lab, words);
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text());
    ended.text()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const FORMS: &str = "image files extends base { format = tar }\nimage plain extends base { format = raw }";

#[test]
fn images_without_a_machine_are_locked_built_and_verified() {
    let Some(lab) = Lab::new("alone", vec![]) else { return };
    let recipe = recipe(&lab, "alone", (false, FORMS));
    let said = succeed(&lab, &["check", &recipe]);
    assert!(said.contains("no errors; 0 machines, 2 images, 1 kernel, 0 tests"), "{said}");
    succeed(&lab, &["lock", &recipe]);
    succeed(&lab, &["build", "--allow-leaks", &recipe]);
    let result = lab.path("result/alone");
    let kernel = ["stock.config", "stock.modules.tar", "stock.vmlinuz"];
    assert_eq!(names(&result), [&["files.tar", "manifest.json", "plain.raw"][..], &kernel].concat());
    let lock = kiln::lock::read(&std::fs::read_to_string(lab.path("alone.lock")).unwrap()).unwrap();
    let outputs: Vec<&String> = lock.outputs.keys().collect();
    let images = ["files.tar", "files/root.tar", "plain.raw", "plain/root.tar"];
    assert_eq!(outputs, [&images[..], &kernel].concat());
    assert!(lock.kernels["stock"].config.is_some(), "{:?}", lock.kernels);
    assert!(succeed(&lab, &["verify", "result/alone"]).contains("5 files verified"));
    assert!(succeed(&lab, &["verify", "--rebuild", &recipe]).contains("verified"));
    judged(&lab, &lock);
    nothing_runs(&lab, &recipe);
    std::fs::remove_file(result.join("files.tar")).unwrap();
    let lost = kiln(&lab, &["verify", "result/alone"]);
    assert!(lost.code == Some(3) && lost.text().contains("files.tar: it is missing"), "{}", lost.text());
}

/// The archive by somebody else's tar; the disk by what it is made of.
fn judged(lab: &Lab, lock: &kiln::lock::Lock) {
    let output = Command::new("tar").arg("-tf").arg(lab.path("result/alone/files.tar")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let list = String::from_utf8(output.stdout).unwrap();
    let has = |name: &str| list.lines().any(|line| line.trim_start_matches("./") == name);
    assert!(has("etc/hostname") && has("var/lib/dpkg/status"), "{list}");
    assert!(!has("etc/fstab"), "an archive names no disk");
    let root = lock.outputs["plain/root.tar"].file.sha256.hex();
    let fstab = tree::read(&lab.store().join("cas").join(root)).remove("etc/fstab").unwrap();
    assert!(fstab.content.starts_with(b"UUID=") && fstab.content.len() > 40, "{fstab:?}");
}

fn nothing_runs(lab: &Lab, recipe: &str) {
    for words in [vec!["run", recipe], vec!["run", "--print=argv", recipe], vec!["test", recipe], vec!["draw", recipe]]
    {
        let ended = kiln(lab, &words);
        let said = format!("{recipe} has no machine, only the images `files`, `plain` and the kernel `stock`");
        assert!(ended.code == Some(2) && ended.text().contains(&said), "{words:?}: {}", ended.text());
    }
    let ended = kiln(lab, &["run", "result/alone"]);
    assert!(
        ended.text().contains("result/alone has no machine, only the images `files`, `plain` and the kernel `stock`"),
        "{}",
        ended.text()
    );
}

#[test]
fn an_image_beside_a_machine_is_delivered_beside_its_files() {
    let Some(lab) = Lab::new("beside", vec![]) else { return };
    let recipe = recipe(&lab, "beside", (true, "image files extends base { format = tar }"));
    assert!(succeed(&lab, &["check", &recipe]).contains("1 machine, 2 images, 1 kernel"));
    succeed(&lab, &["lock", &recipe]);
    succeed(&lab, &["build", "--allow-leaks", &recipe]);
    let names = names(&lab.path("result/beside"));
    for name in ["files.tar", "disk.qcow2", "launch.json", "manifest.json", "vmlinuz"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    succeed(&lab, &["verify", "result/beside"]);
    // An image that the recipe no longer has goes with the next build.
    self::recipe(&lab, "beside", (true, ""));
    succeed(&lab, &["lock", "beside.kiln"]);
    succeed(&lab, &["build", "--allow-leaks", "beside.kiln"]);
    assert!(!lab.path("result/beside/files.tar").exists());
}

#[test]
fn a_kernel_beside_a_machine_is_delivered_and_other_blocks_without_use_are_warned_of() {
    let Some(lab) = Lab::new("unused", vec![]) else { return };
    std::fs::create_dir_all(lab.path("lib")).unwrap();
    std::fs::write(
        lab.path("lib/offers.kiln"),
        "packages offered { include = [\"x-y\"] }\nmemory lent { size = 1GiB }\n",
    )
    .unwrap();
    const MORE: &str = "import \"lib/offers.kiln\"\n\
        kernel second { package = package \"linux-image-6.12.1-amd64\" }\n\
        kernel third extends stock { }\nmachine o { kernel = third image = base qemu = host-tools user-network = false }\n\
        archive other { suite = \"trixie\" architecture = arm64 keys = [file \"archive.asc\"] }\n\
        packages spare { include = [\"x-y\"] }\nconfig fast { option SMP = y }\n\
        build made { tools = spare script = \"true\" outputs = [\"x\"] }\n\
        memory pool { size = 1GiB }\nnetwork lan { subnet = \"10.52.0.0/24\" }";
    let recipe = recipe(&lab, "unused", (true, MORE));
    let said = succeed(&lab, &["check", &recipe]);
    for block in ["archive `other`", "build `made`", "config `fast`", "memory `pool`", "network `lan`"] {
        assert!(said.contains(&format!("warning: {block} is never used")), "{block}: {said}");
    }
    // What an unused block names, what is extended, what machines have, and what a library offers.
    for block in ["spare", "stock", "host-tools", "trixie", "offered", "lent", "second", "third"] {
        assert!(!said.contains(&format!("`{block}` is never used")), "{block}: {said}");
    }
    succeed(&lab, &["lock", &recipe]);
    succeed(&lab, &["build", "--allow-leaks", &recipe]);
    let names = names(&lab.path("result/unused"));
    assert_eq!(names, ["m", "manifest.json", "o", "second.config", "second.modules.tar", "second.vmlinuz"]);
    succeed(&lab, &["verify", "result/unused"]);
    // Beside the files of a single machine, one name is taken.
    let taken = self::recipe(&lab, "taken", (true, "kernel kernel { package = package \"linux-image-6.12.1-amd64\" }"));
    let ended = kiln(&lab, &["check", &taken]);
    assert!(ended.code == Some(1) && ended.text().contains("cannot be called `kernel` here"), "{}", ended.text());
}

#[test]
fn what_an_archive_or_a_machine_cannot_have_is_refused_at_its_place() {
    let Some(lab) = Lab::new("odd-alone", vec![]) else { return };
    for (name, more, words) in [
        ("size", "image t extends base { format = tar size = 1GiB }", "`size` has no effect on a tar archive"),
        ("swap", "image t extends base { format = tar swap = 1MiB }", "`swap` has no effect on a tar archive"),
        (
            "boots",
            "image t extends base { format = tar }\nmachine n { kernel = stock image = t qemu = host-tools }",
            "image `t` is a tar archive, and a machine needs a disk",
        ),
        ("disk", "image disk extends base { format = raw }", "cannot be called `disk` here"),
        (
            "own-table",
            "image t extends base { grow = true file \"/etc/fstab\" { text = \"\" } }",
            "`grow` sets an option in",
        ),
        ("part", "image t extends base { partition \"/var\" { size = 64MiB } }", "only a disk that firmware boots has"),
        (
            "direct",
            "image t extends base { partition \"/var\" { size = 64MiB } }\n\
             machine n { kernel = stock image = t qemu = host-tools }",
            "only a disk that firmware boots has a partition table",
        ),
        (
            "etc",
            "image t extends base { partition \"/etc\" { size = 64MiB } }",
            "`/etc` cannot be a partition of its own",
        ),
        (
            "repart",
            "image t extends base { grow = true file \"/etc/repart.d/50-root.conf\" { text = \"\" } }",
            "`grow` writes `/etc/repart.d/50-root.conf`, which the recipe states",
        ),
        (
            "units",
            "image t extends base { partition \"/usr/lib/systemd\" { size = 64MiB } }",
            "the boot needs what is there before anything is mounted",
        ),
        ("merged", "image t extends base { partition \"/lib/modules\" { size = 64MiB } }", "it leads below `/usr`"),
        (
            "var-run",
            "image t extends base { partition \"/var/run/x\" { size = 64MiB } }",
            "another file system is mounted there",
        ),
        (
            "run",
            "image t extends base { partition \"/run/x\" { size = 64MiB } }",
            "another file system is mounted there",
        ),
        (
            "blank",
            "image t extends base { partition \"/a b\" { size = 64MiB } }",
            "`/a b` cannot be a partition of its own",
        ),
        ("tiny", "image t extends base { partition \"/srv\" { size = 1MiB } }", "`size` is out of range"),
        (
            "twice",
            "image t extends base { partition \"/srv\" { size = 64MiB } partition \"/srv\" { size = 64MiB } }",
            "partition `/srv`",
        ),
        (
            "tar",
            "image t extends base { format = tar partition \"/srv\" { size = 64MiB } }",
            "no effect on a tar archive",
        ),
        ("vhd", "image t extends base { format = vhd }", "`format` cannot be `vhd`"),
    ] {
        let recipe = recipe(&lab, name, (true, more));
        let ended = kiln(&lab, &["check", &recipe]);
        let said = ended.text();
        assert!(ended.code == Some(1) && said.contains(words) && said.contains("^"), "{name}: {said}");
    }
}

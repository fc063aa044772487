//! Kernels and firmware that builds of a recipe leave, through the front door: what is delivered, what machines are compared with,
//! what is rejected, and in which words.

use super::attack::ground::{Ended, Ground, run};
use super::attack::host::tool;
use super::skip::skip;
use super::small_kernel::Miniature;

/// A recipe with a build that leaves a kernel, and machines that boot it.
struct Lab {
    ground: Ground,
}

/// What every script has first: a kernel, its modules and its configuration, all of them good.
const GOOD: &str = "cp /kiln/in/bzImage bzImage\n\
    top=tree/lib/modules/6.12.1-own\n\
    mkdir -p $top/kernel\n\
    printf 'kernel/virtio_pci.ko\\nkernel/virtio_blk.ko\\nkernel/ext4.ko\\n' >$top/modules.builtin\n\
    printf module >$top/kernel/own.ko\n\
    printf '# Linux/x86 6.12.1 Kernel Configuration\\n' >config\n\
    for option in BINFMT_ELF VIRTIO_PCI VIRTIO_BLK EXT4_FS DEVTMPFS SERIAL_8250_CONSOLE BLK_DEV_INITRD MODULES; do\n\
        echo CONFIG_$option=y >>config\n\
    done\n";

const WHOLE: &str =
    "image = output \"bzImage\" from kb modules = output \"tree\" from kb config = output \"config\" from kb";

/// Another machine with this kernel.
const MACHINE: &str =
    "machine n { kernel = mine image = lab qemu = host-tools cpus = 1 memory = 256MiB user-network = false }";

impl Lab {
    /// `None`, said aloud, where nothing can be built.
    fn new(name: &str) -> Option<Lab> {
        let stub = tool("systemd-boot-efi", "257", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "no stub\n");
        let ground = Ground::new(&Ground::place(&format!("ready-{name}")), vec![stub]);
        if let Some(why) = ground.why_not() {
            skip(why);
            return None;
        }
        std::fs::write(ground.path("bzImage"), bzimage()).unwrap();
        Some(Lab { ground })
    }

    /// Locks and builds a recipe with such a kernel, whose build runs this script, and with these machines.
    fn build(&self, (kernel, script): (&str, &str), machines: &str) -> Ended {
        let text = format!(
            "archive trixie {{ keys = [file \"archive.asc\"] }}\n\
             packages host-tools {{ include = [\"busybox-static\", \"e2fsprogs\", \"kmod\", \"libarchive13t64\", \
             \"qemu-system-x86\", \"userland\"] base = none }}\n\
             image lab {{ size = 64MiB tools = host-tools packages = [] base = essential serial-console = false dhcp = false }}\n\
             kernel mine {{ {kernel} }}\n\
             build kb {{ tools = host-tools source \"bzImage\" = file \"bzImage\" outputs = [\"bzImage\", \"tree\", \"config\"]\n\
             script = \"\"\"\n{}\n\"\"\" }}\n{machines}\n",
            format!("{GOOD}{script}").replace('\\', "\\\\")
        );
        std::fs::write(self.ground.path("lab.kiln"), text).unwrap();
        let locked = self.kiln(&["lock", "lab.kiln"]);
        if locked.code == Some(0) { self.kiln(&["build", "--allow-leaks", "lab.kiln"]) } else { locked }
    }

    fn kiln(&self, words: &[&str]) -> Ended {
        run(self.ground.kiln().args(words))
    }

    fn succeed(&self, words: &[&str]) -> String {
        let ended = self.kiln(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text());
        ended.text()
    }

    fn delivered(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.ground.path("result/lab").join(name)).unwrap()
    }
}

/// A kernel of Linux 6.12.1 without code, by `Documentation/arch/x86/boot.rst`.
fn bzimage() -> Vec<u8> {
    let mut bytes = vec![0; 5 * 512];
    let parts: [(usize, &[u8]); 7] = [
        (0x1f1, &[4]),
        (0x1fe, &[0x55, 0xaa]),
        (0x202, b"HdrS"),
        (0x206, &[0x0f, 2]),
        (0x20e, &[0, 1]),
        (0x236, &[1]),
        (0x300, b"6.12.1-own (nobody@nowhere) #1"),
    ];
    parts.into_iter().for_each(|(at, part)| bytes[at..at + part.len()].copy_from_slice(part));
    bytes
}

#[test]
fn a_kernel_of_a_build_is_one_like_any_other() {
    let Some(lab) = Lab::new("whole") else { return };
    let ended = lab.build((WHOLE, ""), MACHINE);
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert!(!ended.text().contains("warning"), "{}", ended.text());
    assert_eq!(lab.delivered("vmlinuz"), bzimage());
    let config = String::from_utf8(lab.delivered("kernel.config")).unwrap();
    assert!(config.contains("CONFIG_EXT4_FS=y\n"), "{config}");

    let plan = lab.succeed(&["plan", "lab.kiln"]);
    assert!(plan.contains("  kernel mine ") && plan.contains("  build kb "), "{plan}");
    lab.succeed(&["verify", "--rebuild", "lab.kiln"]);
    let bill = lab.succeed(&["sbom", "--format", "cyclonedx", "lab.kiln"]);
    assert!(bill.contains("\"name\": \"mine\"") && bill.contains("\"name\": \"kb\""), "{bill}");
    lab.succeed(&["report", "lab.kiln", "-o", "report.html"]);
    let report = std::fs::read_to_string(lab.ground.path("report.html")).unwrap();
    assert!(report.contains("The output bzImage of build kb is the kernel"), "{report}");
    for (output, is) in
        [("bzImage", "kernel mine"), ("tree", "modules of kernel mine"), ("config", "configuration of kernel mine")]
    {
        let row = format!("<th scope=\"row\">{output}</th><td>kb</td><td>{is}</td>");
        assert!(report.contains(&row), "{row}: {report}");
    }
    assert!(report.contains("1 build of its own") && report.contains("bzImage: the file bzImage"), "{report}");
    let why = lab.succeed(&["why", "busybox-static", "lab.kiln"]);
    assert!(why.contains("tools of build kb"), "{why}");
    std::fs::write(lab.ground.path("other.config"), "CONFIG_EXT4_FS=m\n").unwrap();
    let difference = lab.succeed(&["kconfig", "diff", "lab.kiln", "other.config"]);
    assert!(difference.contains("EXT4_FS"), "{difference}");
    // What is known of compiled kernels alone is said to be so.
    let explained = lab.kiln(&["kconfig", "explain", "EXT4_FS", "lab.kiln"]);
    assert!(
        explained.code == Some(2) && explained.text().contains("the recipe compiles no kernel"),
        "{}",
        explained.text()
    );
    let source = lab.kiln(&["build", "--source", "mine=.", "lab.kiln"]);
    assert!(source.text().contains("`mine` is neither a kernel that the recipe compiles"), "{}", source.text());
    // A bundle has everything that another store needs.
    lab.succeed(&["bundle", "lab.kiln", "-o", "lab.bundle"]);
    let mut elsewhere = lab.ground.kiln();
    elsewhere.env("KILN_STORE", lab.ground.path("second")).args(["unbundle", "lab.bundle", "unpacked"]);
    let said = run(&mut elsewhere).text();
    let recipe = said.lines().find_map(|line| line.strip_prefix("next: kiln build ")?.strip_suffix(" --offline"));
    let recipe = recipe.unwrap_or_else(|| panic!("{said}"));
    let mut offline = lab.ground.kiln();
    offline.env("KILN_STORE", lab.ground.path("second"));
    let rebuilt = run(offline.args(["build", "--offline", "--allow-leaks", recipe]));
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.text());
}

#[test]
fn a_kernel_without_a_machine_is_delivered_by_itself() {
    let Some(lab) = Lab::new("alone") else { return };
    let ended = lab.build((WHOLE, ""), "");
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert_eq!(lab.delivered("mine.vmlinuz"), bzimage());
    assert!(lab.delivered("mine.config").starts_with(b"# Linux/x86"));
    let modules = super::tree::read(&lab.ground.path("result/lab/mine.modules.tar"));
    assert_eq!(modules["usr/lib/modules/6.12.1-own/kernel/own.ko"].content, b"module");
}

#[test]
fn without_its_configuration_kiln_says_once_that_it_cannot_know() {
    let Some(lab) = Lab::new("unknown") else { return };
    let bare = "image = output \"bzImage\" from kb";
    let machines = format!("{MACHINE}\n{}", MACHINE.replace("machine n", "machine o"));
    let ended = lab.build((bare, ""), &machines);
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let checked = lab.succeed(&["check", "lab.kiln"]);
    let words = "kernel `mine` has no `config`: kiln cannot know whether its machines can boot it";
    assert_eq!(checked.matches(words).count(), 1, "{checked}");
    assert!(checked.contains("write `config = output \"config\" from kb`"), "{checked}");
    assert_eq!(lab.delivered("o/vmlinuz"), bzimage());
    assert!(!lab.ground.path("result/lab/o/kernel.config").exists());
    lab.succeed(&["verify", "result/lab"]);
    let difference = lab.kiln(&["kconfig", "diff", "lab.kiln", "lab.kiln"]);
    assert!(difference.text().contains("has no configuration that kiln knows"), "{}", difference.text());
}

#[test]
fn what_a_machine_needs_and_what_is_no_kernel_is_told_at_the_output() {
    let Some(lab) = Lab::new("wrong") else { return };
    let cases = [
        (
            "sed -i -e s/EXT4_FS=y/EXT4_FS=n/ config",
            "machine `n` needs EXT4_FS for the file system of its disk: it is not set",
            "output \"config\" from kb",
        ),
        ("rm bzImage; mkdir bzImage", "left a directory, and the kernel is a file", "output \"bzImage\" from kb"),
        ("echo '#!/bin/sh' >bzImage", "no Linux kernel for amd64", "output \"bzImage\" from kb"),
        (
            "mv tree/lib/modules/6.12.1-own tree/lib/modules/6.12.1",
            "and the kernel is 6.12.1-own",
            "output \"tree\" from kb",
        ),
        (
            "ln -s /etc tree/lib/modules/6.12.1-own/etc",
            "`/lib/modules/6.12.1-own/etc` is a link",
            "output \"tree\" from kb",
        ),
        (
            "mv tree x; mkdir tree; mv x/lib/modules tree/..data",
            "is not below `lib/modules/RELEASE`",
            "output \"tree\" from kb",
        ),
    ];
    for (script, word, place) in cases {
        let ended = lab.build((WHOLE, script), MACHINE);
        let said = ended.text();
        assert_eq!(ended.code, Some(1), "{script}: {said}");
        assert!(ended.broken().is_none() && said.contains(word), "{script}: {said} (should have: {word})");
        // The words, and under them as many carets.
        let carets = "^".repeat(place.len());
        let underlined = said.lines().zip(said.lines().skip(1)).any(|(line, below)| {
            line.find(place).is_some_and(|at| below.get(at..).is_some_and(|below| below.starts_with(&carets)))
        });
        assert!(underlined, "{script}: {said}");
    }
    // A link or a pipe in the place of an output is the build's own mistake.
    for (script, word) in
        [("ln -s -f /etc/passwd bzImage", "a symbolic link"), ("rm bzImage; mkfifo bzImage", "a named pipe")]
    {
        let said = lab.build((WHOLE, script), MACHINE).text();
        assert!(said.contains(&format!("its output bzImage is {word}")), "{said}");
        assert!(said.contains("step `build kb` failed here"), "{said}");
    }
}

#[test]
fn what_the_recipe_says_that_a_kernel_is_without_is_not_needed_and_is_always_named() {
    let Some(lab) = Lab::new("without") else { return };
    // As where a feature is another option's, or comes from somewhere else.
    let script = "sed -i -e s/CONFIG_EXT4_FS=y/CONFIG_OWN_FS=y/ config";
    let said = lab.build((WHOLE, script), MACHINE).text();
    assert!(said.contains("of what the kernel does without, write `require EXT4_FS = n` in the kernel"), "{said}");
    let without = format!("{WHOLE} require EXT4_FS = n require OWN_FS = y");
    let ended = lab.build((&without, script), MACHINE);
    let warning = "kernel `mine` is without EXT4_FS, which machine `n` needs for the file system of its disk";
    assert!(ended.code == Some(0) && ended.text().contains(warning), "{}", ended.text());
    let built_again = lab.succeed(&["build", "--allow-leaks", "lab.kiln"]);
    let checked = lab.succeed(&["check", "lab.kiln"]);
    assert!(built_again.contains(warning) && checked.contains(warning), "{built_again}{checked}");
    // It is compared as every other statement is.
    for (require, word) in [
        ("EXT4_FS = n", "`require EXT4_FS = n` of kernel mine is y"),
        ("NUMA = y", "`require NUMA = y` of kernel mine is not set"),
    ] {
        let ended = lab.build((&format!("{WHOLE} require {require}"), ""), MACHINE);
        let said = ended.text();
        assert!(
            ended.code == Some(1) && ended.broken().is_none() && said.contains(word),
            "{said} (should have: {word})"
        );
    }
}

#[test]
fn firmware_that_is_mixed_up_is_told_at_the_output() {
    let Some(lab) = Lab::new("firmware") else { return };
    let machine = MACHINE.replace(
        " }",
        " firmware = uefi boot = [\"systemd-boot-efi\"]\n\
         uefi { code = output \"config\" from kb\n variables = output \"bzImage\" from kb } }",
    );
    let (efi, table) = ("echo CONFIG_EFI_STUB=y >>config", "echo CONFIG_EFI_PARTITION=y >>config");
    let ended = lab.build((WHOLE, &format!("{efi}\n{table}")), &machine);
    let said = ended.text();
    assert_eq!(ended.code, Some(1), "{said}");
    assert!(said.contains("sectors of 4096 bytes, and this file has 2560 bytes"), "{said}");
    assert!(said.contains("variables = output \"bzImage\" from kb"), "{said}");
    lab.succeed(&["report", "lab.kiln", "-o", "report.html"]);
    let report = std::fs::read_to_string(lab.ground.path("report.html")).unwrap();
    for is in
        ["configuration of kernel mine, firmware of machine n", "kernel mine, variables of the firmware of machine n"]
    {
        assert!(report.contains(&format!("<td>{is}</td>")), "{is}: {report}");
    }
}

#[test]
fn a_kernel_is_compiled_from_what_a_build_prepares() {
    let Some(lab) = Miniature::new("prepared") else { return };
    let archive = "mkdir linux\n\
         tar -x -C linux -f /kiln/in/linux.tar\n\
         echo prepared >linux/linux-6.12/core.c\n\
         tar -c -C linux --sort=name --mtime=@0 -f linux.tar linux-6.12\n";
    let directory = "mkdir linux.tar\n\
         tar -x -C linux.tar --strip-components=1 -f /kiln/in/linux.tar\n\
         echo prepared >linux.tar/core.c\n";
    for script in [archive, directory] {
        lab.source_of_a_build(script);
        let ended = run(lab.ground.kiln().args(["build", "lab.kiln"]));
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let kernel = std::fs::read_to_string(lab.ground.path("result/lab/small.vmlinuz")).unwrap();
        assert!(kernel.starts_with("prepared"), "{kernel}");
        let verified = run(lab.ground.kiln().args(["verify", "--rebuild", "lab.kiln"]));
        assert_eq!(verified.code, Some(0), "{}", verified.text());
    }
    lab.source_of_a_build("mkdir linux.tar");
    let ended = run(lab.ground.kiln().args(["build", "lab.kiln"]));
    assert!(ended.code != Some(0) && ended.text().contains("the source holds no kernel"), "{}", ended.text());
}

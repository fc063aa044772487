//! Each rule has fixtures that break it, at the words that break it, and the good machines break none.

use std::collections::{BTreeMap, BTreeSet};

use kiln::base::render::render;
use kiln::base::{Arch, Spanned};
use kiln::kconfig::{OptionRequest, RequestKind};
use kiln::machine::argv::{LaunchOptions, argv};
use kiln::machine::capability::{self, Emulator, KernelFacts, Version};
use kiln::machine::rules;
use kiln::plan::kernel::needs::of_machines;
use kiln::recipe::Recipe;
use kiln::recipe::kernel::{Compiled, ConfigBase, Kernel, KernelSource, OptionValue, Origin};
use kiln::recipe::machine::Machine;
use kiln::recipe::packages::{Base, PackageRequest, PackageSet};

use super::machine_support::{every, machine, read};

/// `# error: words of the message` and `# at: words under the caret` at the top of a fixture.
fn expected<'t>(text: &'t str, key: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no `# {key}: ...` in\n{text}"))
}

#[test]
fn a_fixture_for_each_rule_is_refused_at_the_right_words() {
    let mut seen = BTreeSet::new();
    for (stem, text) in every("rules") {
        let rule = stem.split_once("--").map_or(stem.as_str(), |(rule, _)| rule);
        let read = read(&text);
        assert!(read.mistakes.is_empty(), "{stem}: {}", render(&read.sources, &read.mistakes, false));
        let verdicts: Vec<_> = read.machines.iter().flat_map(rules::judge).collect();
        let found = verdicts.iter().find(|verdict| {
            verdict.rule.name == rule
                && verdict.diagnostic.message.contains(expected(&text, "error"))
                && read.words(verdict.diagnostic.span) == expected(&text, "at")
        });
        let said: Vec<_> = verdicts.iter().map(|verdict| verdict.diagnostic.clone()).collect();
        assert!(found.is_some(), "{stem} is not refused as expected:\n{}", render(&read.sources, &said, false));
        let others = verdicts.iter().filter(|verdict| verdict.rule.fatal && verdict.rule.name != rule);
        let others: Vec<&str> = others.map(|verdict| verdict.rule.name).collect();
        assert!(others.is_empty(), "{stem} also breaks {others:?}");
        seen.insert(rule.to_owned());
    }
    let missing: Vec<&str> = rules::RULES.iter().map(|rule| rule.name).filter(|rule| !seen.contains(*rule)).collect();
    assert!(missing.is_empty(), "rules without a fixture: {missing:?}");
}

#[test]
fn good_machines_break_no_rule() {
    for (stem, text) in every("good") {
        let read = read(&text);
        assert!(read.mistakes.is_empty(), "{stem}: {}", render(&read.sources, &read.mistakes, false));
        assert!(!read.machines.is_empty(), "{stem} declares no machine");
        for machine in &read.machines {
            let findings = rules::check(machine);
            assert!(findings.errors.is_empty(), "{stem}: {}", render(&read.sources, &findings.errors, false));
        }
    }
}

fn judged(machine: &Machine, version: (u32, u32), kernel: Option<(u32, u32)>) -> (Vec<String>, Vec<String>) {
    let emulator = Emulator { version: Version::new(version.0, version.1) };
    let kernel = KernelFacts { version: kernel.map(|(a, b)| Version::new(a, b)), commits_in_guests: None };
    let findings = capability::check(machine, &emulator, &kernel);
    let words = |list: Vec<kiln::base::Diagnostic>| list.into_iter().map(|one| one.message).collect();
    (words(findings.errors), words(findings.warnings))
}

const VOLATILE: &str = "cxl { bridge b { port p { expander m { volatile = 512MiB } } }\n \
                        window w { targets = [b] size = 512MiB } }";

#[test]
fn what_was_measured_not_to_work_is_refused_and_nothing_that_works_is() {
    let persistent = VOLATILE.replace("volatile", "persistent");
    for trial in capability::TRIALS {
        let machine = machine(if trial.memory == capability::MemoryKind::Volatile { VOLATILE } else { &persistent });
        let version = |version: Version| (version.major, version.minor);
        let (errors, _) = judged(&machine, version(trial.qemu), Some(version(trial.kernel)));
        assert_eq!(errors.is_empty(), trial.works, "{trial:?}: {errors:?}");
    }
    let (errors, _) = judged(&machine(VOLATILE), (11, 1), Some((6, 2)));
    assert_eq!(errors, ["kernel `k` (Linux 6.2) does not support regions of volatile CXL memory"]);
}

#[test]
fn the_table_says_what_each_qemu_does_with_a_volatile_expander() {
    let machine = machine(VOLATILE);
    let cases = [
        ((7, 2), Some("no volatile CXL memory"), None),
        ((8, 0), Some("no volatile CXL memory"), None),
        ((8, 1), None, None),
        ((8, 2), Some("aborts when a program runs from CXL memory"), None),
        ((9, 0), None, Some("70 times slower")),
        ((11, 0), None, Some("70 times slower")),
        ((11, 1), None, None),
    ];
    for (version, error, warning) in cases {
        let (errors, warnings) = judged(&machine, version, Some((6, 12)));
        assert_eq!(errors.is_empty(), error.is_none(), "{version:?}: {errors:?}");
        assert!(error.is_none_or(|word| errors.iter().any(|error| error.contains(word))), "{version:?}: {errors:?}");
        assert_eq!(warnings.is_empty(), warning.is_none(), "{version:?}: {warnings:?}");
        assert!(warning.is_none_or(|word| warnings[0].contains(word)), "{version:?}: {warnings:?}");
    }
}

#[test]
fn kernels_before_the_event_logs_are_content_with_an_old_qemu() {
    let body = "cxl { bridge b { port p0 { expander m { persistent = 512MiB } } port p1 { } }\n \
                window w { targets = [b] size = 512MiB } }";
    let machine = machine(body);
    assert_eq!(judged(&machine, (7, 2), Some((6, 1))).0, [""; 0]);
    assert!(judged(&machine, (7, 2), Some((6, 12))).0[0].contains("Failed to get interrupt"));
    assert!(judged(&machine, (7, 2), None).0[0].contains("Failed to get interrupt"));
}

#[test]
fn a_bounce_buffer_takes_the_doubt_away() {
    let machine = machine(&format!("bounce = true\n{VOLATILE}"));
    assert_eq!(judged(&machine, (10, 0), Some((6, 12))).1, [""; 0]);
}

#[test]
fn newer_devices_need_newer_emulators() {
    let device = |field: &str| {
        machine(&format!("cxl {{ bridge b {{ port p {{ expander m {{ volatile = 512MiB\n {field} }} }} }} }}"))
    };
    let cases = [
        ("dynamic = 512MiB", (9, 0), "dynamic capacity"),
        ("speed = \"32\"", (9, 2), "link speed"),
        ("back-invalidate = true", (10, 2), "back-invalidation"),
        ("flit256 = true", (10, 2), "256-byte flits"),
    ];
    let port = machine(
        "node a { cpus = \"0-1\" memory = 1GiB }\n latency a b = 60\n bandwidth a b = 1GiB\n \
         cxl { bridge b { port p { } } }",
    );
    assert!(judged(&port, (9, 1), None).0.iter().any(|error| error.contains("no generic ports")));
    assert!(judged(&port, (9, 2), None).0.is_empty());
    for (field, version, word) in cases {
        let machine = device(field);
        let (errors, _) = judged(&machine, version, None);
        assert!(errors.iter().any(|error| error.contains(word)), "{field}: {errors:?}");
        assert!(judged(&machine, (11, 1), None).0.is_empty(), "{field}");
    }
}

/// A recipe with these machines, all on one stock kernel.
fn recipe(text: &str, stock: bool) -> (Recipe, kiln::base::SourceMap) {
    let read = read(text);
    assert!(read.mistakes.is_empty(), "{}", render(&read.sources, &read.mistakes, false));
    let span = read.machines[0].span;
    let set = |name: &str| PackageSet {
        name: name.to_owned(),
        architecture: Arch::Amd64,
        archives: Vec::new(),
        requests: vec![PackageRequest { name: name.to_owned(), archive: None, version: None, span }],
        local: Vec::new(),
        base: Base::None,
        recommends: false,
        exclude: Vec::new(),
        span,
    };
    let yes = Spanned::new(OptionValue::Yes, span);
    let origin = if stock {
        Origin::Stock { set: set("linux-image-6.12.57-cloud-amd64"), initrd_modules: Vec::new() }
    } else {
        Origin::Compiled(Box::new(Compiled {
            source: KernelSource::Package(set("linux-source-6.12")),
            source_span: span,
            patches: Vec::new(),
            base: ConfigBase::Target("x86_64_defconfig".to_owned()),
            configs: Vec::new(),
            options: BTreeMap::from([("CXL_REGION_INVALIDATION_TEST".to_owned(), yes)]),
            require: BTreeMap::new(),
            build: set("gcc"),
            modules: false,
            initrd_modules: Vec::new(),
            btf: false,
        }))
    };
    let kernel = Kernel { name: "k".to_owned(), architecture: Spanned::new(Arch::Amd64, span), origin, span };
    let recipe = Recipe {
        name: "r".to_owned(),
        root: "/".into(),
        sources: read.sources.clone(),
        files: BTreeMap::new(),
        params: BTreeMap::new(),
        epoch: None,
        archives: BTreeMap::new(),
        package_sets: BTreeMap::new(),
        kernels: BTreeMap::from([("k".to_owned(), kernel)]),
        builds: BTreeMap::new(),
        qemus: BTreeMap::new(),
        images: BTreeMap::new(),
        goals: kiln::recipe::Goals::default(),
        unused: Vec::new(),
        machines: read.machines.into_iter().map(|machine| (machine.name.clone(), machine)).collect(),
        tests: Vec::new(),
    };
    (recipe, read.sources)
}

fn mistakes(text: &str, stock: bool) -> Vec<String> {
    let (recipe, _) = recipe(text, stock);
    rules::check_all(&recipe).errors.into_iter().map(|mistake| mistake.message).collect()
}

fn block(name: &str, body: &str) -> String {
    format!("machine {name} {{\n kernel = k\n image = i\n qemu = package \"qemu\"\n{body}\n}}\n")
}

#[test]
fn a_stock_kernel_needs_a_hidden_hypervisor() {
    assert!(mistakes(&block("m", VOLATILE), true)[0].contains("Failed to synchronize CPU cache state"));
    assert_eq!(mistakes(&block("m", &format!("cpu = \"max,-hypervisor\"\n{VOLATILE}")), true), [""; 0]);
    assert_eq!(mistakes(&block("m", VOLATILE), false), [""; 0]);
    assert_eq!(mistakes(&block("m", "cpus = 1"), true), [""; 0]);
}

#[test]
fn neighbours_that_the_kernels_command_line_has_no_room_for_are_refused() {
    let network = "network lan { subnet = \"10.0.0.0/16\" }\n";
    let cluster = |count: u32| {
        let machines =
            (0..count).map(|n| block(&format!("worker-{n}"), &format!("join lan {{ address = \"10.0.1.{n}\" }}")));
        mistakes(&(network.to_owned() + &machines.collect::<String>()), false)
    };
    assert_eq!(cluster(30), [""; 0]);
    let said = cluster(90);
    assert!(said.len() == 90 && said[0].contains("the kernel command line of `worker-0` would have"), "{said:?}");
}

#[test]
fn machines_of_one_recipe_do_not_collide() {
    let network = "network lan { subnet = \"10.0.0.0/24\" }\n";
    let at = |name: &str, address: &str| block(name, &format!("join lan {{ address = \"{address}\" }}"));
    let text = format!("{network}{}{}", at("a", "10.0.0.5"), at("b", "10.0.0.5"));
    assert!(mistakes(&text, false)[0].contains("address 10.0.0.5 is used by more than one machine"));
    let text = format!("{network}{}{}", at("a", "10.0.0.5"), at("b", "10.0.0.6"));
    assert_eq!(mistakes(&text, false), [""; 0]);
    let text = block("a", "forward ssh = 2222") + &block("b", "forward ssh = 2222");
    assert!(mistakes(&text, false)[0].contains("forward the same port"));
}

#[test]
fn one_shared_memory_is_one_device_to_everybody() {
    let device = |name: &str, serial: &str| {
        let cxl = format!("cxl {{ bridge h {{ port p {{ expander e {{ volatile = pool\n {serial} }} }} }}\n");
        block(name, &(cxl + "window w { targets = [h] size = 256MiB } }"))
    };
    let text = |serial: &str| format!("memory pool {{ size = 256MiB }}\n{}{}", device("a", ""), device("b", serial));
    assert_eq!(mistakes(&text(""), false), [""; 0]);
    assert!(mistakes(&text("serial = 9"), false)[0].contains("has another serial number in another machine"));
}

#[test]
fn the_end_of_the_address_space_is_where_qemu_says_it_is() {
    let (_, text) = every("rules").into_iter().find(|(stem, _)| stem == "address-space").unwrap();
    // QEMU 10.0.13 and 11.1.3: `Address space limit 0xffffffffff < 0x2083fffffff`.
    assert_eq!(kiln::machine::address::end(&read(&text).machine()), 0x208_4000_0000);
    let machine = machine("memory = 4GiB\n cxl { window w { targets = [b] size = 1GiB } }");
    // QEMU 11.1.3, `info mtree -f`.
    assert_eq!(kiln::machine::address::windows(&machine), [0x1_9000_0000]);
    // QEMU 11.1.3 and 2000 GiB of room in one slot: `Address space limit 0xffffffffff < 0x2fbffffffff`.
    let slots = self::machine("memory = 1GiB\n max-memory = 2000GiB\n memory-slots = 1\n nvdimm p { size = 512MiB }");
    assert_eq!(kiln::machine::address::end(&slots), 0x2fc_0000_0000);
}

#[test]
fn sixteen_expanders_are_checked_and_turned_into_an_argv() {
    let (_, text) = every("good").into_iter().find(|(stem, _)| stem == "sixteen").unwrap();
    let machine = read(&text).machine();
    assert!(rules::check(&machine).errors.is_empty());
    let line = argv(&machine, &Emulator::of("11.1.3").unwrap(), &LaunchOptions::plain(true, &Default::default()));
    assert!(line.template().len() > 100);
}

#[test]
fn memory_on_virt_begins_at_1_gib_and_ends_within_the_addresses_of_the_cpu() {
    let cases = [
        ("cortex-a57", "1023GiB", true),
        ("cortex-a57", "1024GiB", false),
        ("max", "4095TiB", true),
        ("max", "4096TiB", false),
    ];
    for (cpu, memory, fits) in cases {
        let machine = machine(&format!("architecture = arm64\ncpu = \"{cpu}\"\nmemory = {memory}"));
        let errors = rules::check(&machine).errors;
        let beyond = errors.iter().any(|error| error.message.contains("needs addresses up to"));
        assert_eq!(!beyond, fits, "{cpu} with {memory}: {errors:?}");
    }
}

#[test]
fn the_port_that_tests_need_on_virt_came_with_qemu_9_1() {
    let machine = machine("architecture = arm64");
    for (version, expected) in [((9, 0), 1), ((9, 1), 0), ((11, 1), 0)] {
        let emulator = Emulator { version: Version::new(version.0, version.1) };
        let findings = capability::check(&machine, &emulator, &KernelFacts::default());
        assert_eq!(findings.errors.len(), expected, "{version:?}: {:?}", findings.errors);
    }
}

#[test]
fn the_flag_of_a_cpu_that_qemu_applies_last_counts() {
    for (cpu, hidden) in [
        ("max", false),
        ("max,-hypervisor", true),
        ("max,hypervisor=off", true),
        ("max,hypervisor=off,hypervisor=on", false),
        ("max,hypervisor=off,+hypervisor", false),
    ] {
        assert_eq!(machine(&format!("cpu = \"{cpu}\"")).hides_hypervisor(), hidden, "{cpu}");
    }
}

/// What the step `kernel-check` asks of the kernel of this machine, less what every machine needs to boot.
fn needs(body: &str, off: &[&str]) -> Vec<String> {
    let machine = machine(body);
    let request = |name: &&str| OptionRequest {
        name: (*name).to_owned(),
        value: OptionValue::No,
        by: "kernel k".to_owned(),
        kind: RequestKind::Option,
    };
    let requests: Vec<OptionRequest> = off.iter().map(request).collect();
    let needs = of_machines(std::iter::once(&machine), &requests);
    let boots = ["BINFMT_ELF", "VIRTIO_PCI", "VIRTIO_BLK", "EXT4_FS", "DEVTMPFS", "SERIAL_8250_CONSOLE"];
    let (common, own): (Vec<_>, Vec<_>) = needs.into_iter().partition(|need| boots.contains(&need.option.as_str()));
    assert_eq!(common.len(), boots.len(), "{common:?}");
    own.into_iter().map(|need| need.option).collect()
}

#[test]
fn a_compiled_kernel_is_asked_for_what_its_machine_has() {
    assert_eq!(needs("user-network = true", &[]), [""; 0]);
    assert_eq!(needs("forward ssh = 2222\nnode a { cpus = \"0-1\" memory = 1GiB }", &[]), ["VIRTIO_NET", "NUMA"]);
    let cxl = ["CXL_ACPI", "CXL_PCI", "CXL_MEM", "CXL_REGION"];
    let volatile = ["DEV_DAX_CXL", "DEV_DAX_KMEM", "CXL_REGION_INVALIDATION_TEST"];
    assert_eq!(needs(VOLATILE, &[]), [&cxl[..], &volatile].concat());
    let hidden = format!("cpu = \"max,-hypervisor\"\n{VOLATILE}");
    assert_eq!(needs(&hidden, &[]), [&cxl[..], &volatile[..2]].concat());
    // Who turns it off himself wants it so.
    assert_eq!(needs(&hidden, &["DEV_DAX_KMEM"]), [&cxl[..], &volatile[..1]].concat());
    let persistent = hidden.replace("volatile", "persistent");
    assert_eq!(needs(&persistent, &[]), [&cxl[..], &["CXL_PMEM"]].concat());
    assert_eq!(needs("cxl { bridge b { port p { expander m { dynamic = 256MiB } } } }", &[]), ["CXL_ACPI", "CXL_PCI"]);
    let uefi = "firmware = uefi\nboot = [\"ovmf\", \"systemd-boot-efi\"]";
    assert_eq!(needs(uefi, &[]), ["EFI_PARTITION", "EFI_STUB"]);
}

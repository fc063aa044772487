//! What people who develop CXL ask of a launcher: topologies of others as they are, options of theirs at a glance, and changes of
//! one machine that rebuild nothing. What boots is in the live suite.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use kiln::machine::rules;
use kiln::plan;
use kiln::world::RealWorld;

use super::live::Scratch;
use super::machine_support::{described, machine};

fn kiln(words: &[&str]) -> Output {
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    let output = kiln.args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The words of QEMU's command line, and the first lines of warnings.
fn printed(recipe: &str, machine: &str) -> (Vec<String>, Vec<String>) {
    let output = kiln(&["run", recipe, "--print=argv", "--machine", machine]);
    let lines = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let warnings = lines(output.stderr).into_iter().filter(|line| line.starts_with("warning: ")).collect();
    (lines(output.stdout), warnings)
}

#[test]
fn run_qemus_topology_is_taken_with_what_it_cannot_do_as_warnings() {
    let (argv, warnings) = printed("recipes/cxl-run-qemu.kiln", "run-qemu");
    let expected = [
        "warning: expander `vmem2` has a label area but no persistent memory",
        "warning: expander `vmem3` has a label area but no persistent memory",
        "warning: no region can be made in window `w1`: its bridges have no kind of memory in common",
    ];
    assert_eq!(warnings, expected);
    let count =
        |begin: &str, has: &str| argv.iter().filter(|word| word.starts_with(begin) && word.contains(has)).count();
    assert_eq!((count("pxb-cxl,", "bus_nr=53"), count("pxb-cxl,", "bus_nr=191")), (1, 1));
    assert_eq!((count("cxl-rp,", ""), count("cxl-upstream,", ""), count("cxl-switch-mailbox-cci,", "")), (4, 2, 2));
    assert_eq!((count("cxl-downstream,", ""), count("cxl-type3,", "lsa="), count("cxl-type3,", "")), (8, 4, 4));
    assert_eq!((count("cxl-type3,", "persistent-memdev="), count("cxl-type3,", "volatile-memdev=")), (2, 2));
    // Devices are in the ports 0 and 2 of each switch.
    for (port, devices) in [("d0", 2), ("d1", 0), ("d2", 2), ("d3", 0)] {
        assert_eq!(count("cxl-type3,", &format!(".sw0.{port},")), devices, "{port}");
    }
    let windows = "cxl-fmw.0.targets.0=hb0,cxl-fmw.0.size=4G,cxl-fmw.0.interleave-granularity=8K,cxl-fmw.1.targets.0=hb0,\
                   cxl-fmw.1.targets.1=hb1,cxl-fmw.1.size=4G,cxl-fmw.1.interleave-granularity=8K";
    assert!(argv.iter().any(|word| word.contains(windows)), "{argv:?}");
}

#[test]
fn cxl_test_tools_topologies_are_taken_with_windows_that_are_smaller_than_their_devices() {
    let (argv, warnings) = printed("recipes/cxl-test-tool.kiln", "example");
    assert!(
        warnings.contains(&"warning: the expanders behind window `w0` have 5GiB, but the window has 4GiB".to_owned())
    );
    let count = |begin: &str| argv.iter().filter(|word| word.starts_with(begin)).count();
    assert_eq!((count("cxl-type3,"), count("cxl-upstream,"), count("cxl-downstream,")), (10, 2, 8));
    let (argv, warnings) = printed("recipes/cxl-test-tool.kiln", "dcd");
    assert!(warnings.contains(&"warning: expander `dcd0` has a label area but no persistent memory".to_owned()));
    let device = argv.iter().find(|word| word.starts_with("cxl-type3,id=dcd0,")).unwrap();
    for part in ["sn=0x63", "volatile-dc-memdev=dcd0.dynamic", "num-dc-regions=2", "lsa=dcd0.labels"] {
        assert!(device.contains(part), "{part}: {device}");
    }
    assert!(argv.iter().any(|word| word.contains("bus_nr=12") && word.contains("hdm_for_passthrough=on")), "{argv:?}");
}

/// The argv of a machine that breaks no rule.
fn argv(body: &str) -> String {
    let machine = machine(body);
    let errors: Vec<String> = rules::check(&machine).errors.into_iter().map(|error| error.message).collect();
    assert_eq!(errors, [""; 0]);
    described(&machine, &BTreeMap::new(), "11.1.3").argv(|_| ()).template().join(" ")
}

#[test]
fn command_lines_of_experiments_can_be_said() {
    let numa = argv(
        "cpus = 4 memory = 3GiB node a { cpus = \"0-1\" memory = 1GiB } node b { cpus = \"2-3\" memory = 1GiB } \
         node c { memory = 1GiB } distance a b = 30 distance a c = 15 distance b c = 15",
    );
    for word in [
        "-numa node,nodeid=0,cpus=0-1,memdev=a.memory",
        "-numa node,nodeid=2,memdev=c.memory",
        "-numa dist,src=0,dst=1,val=30",
        "-numa dist,src=0,dst=2,val=15",
        "-numa dist,src=1,dst=2,val=15",
    ] {
        assert!(numa.contains(word), "{word}: {numa}");
    }
    let one = argv(
        "cpus = 2 memory = 2GiB cxl { bridge cxl1 { bus = 52 port p0 { expander mem0 { volatile = 3GiB } } } \
         window w0 { targets = [cxl1] size = 3GiB } } forward ssh = 2224",
    );
    for word in ["bus_nr=52", "-object memory-backend-ram,id=mem0.volatile,size=3G", "cxl-fmw.0.size=3G", "2224-:22"] {
        assert!(one.contains(word), "{word}: {one}");
    }
}

#[test]
fn words_for_the_kernel_reach_it_with_their_quotes_and_rebuild_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("recipes/cxl-quick.kiln")).unwrap();
    let scratch = Scratch::new("cxl-append");
    let before = scratch.recipe("before.kiln", &text);
    let begin = text.find("append = [").or_else(|| text.find("append   = [")).or_else(|| text.find("append ")).unwrap();
    let open = begin + text[begin..].find('[').unwrap() + 1;
    let words = r#""cxl_acpi.dyndbg=+fplm", "dyndbg=\"file drivers/cxl/* +p\"", "#;
    let after = scratch.path("after.kiln");
    std::fs::write(&after, format!("{}{words}{}", &text[..open], &text[open..])).unwrap();
    let lock = kiln::lock::read(&std::fs::read_to_string(root.join("lockfiles/cxl-quick.lock")).unwrap()).unwrap();
    let lowered = |path: &Path| {
        let recipe = kiln::recipe::check(&RealWorld::default(), path, &[]).unwrap().reachable();
        let line =
            recipe.machines.values().map(|machine| machine.append.iter().map(|word| word.value.clone()).collect());
        let lines: Vec<Vec<String>> = line.collect();
        (plan::id::static_ids(&plan::lower(&recipe, &lock)), lines)
    };
    let ((ids, plain), (same, added)) = (lowered(&before), lowered(&after));
    assert_eq!(ids, same, "a step has another id");
    assert_ne!(plain, added);
    assert!(added[0].contains(&"dyndbg=\"file drivers/cxl/* +p\"".to_owned()), "{added:?}");
}

/// What the checkers of container runtimes and of k3s look for, and of which `kvm-guest`, `cxl` and `kubernetes` together lack
/// nothing. Real-time groups are left out on purpose, and file systems of images that the library has not.
const CONTAINERS: &str = "NAMESPACES NET_NS PID_NS IPC_NS UTS_NS USER_NS CGROUPS CGROUP_PIDS CGROUP_CPUACCT CGROUP_DEVICE \
    CGROUP_FREEZER CGROUP_SCHED CPUSETS MEMCG KEYS VETH BRIDGE BRIDGE_NETFILTER IP_NF_FILTER IP_NF_NAT NF_NAT POSIX_MQUEUE \
    IP_NF_TARGET_MASQUERADE IP_NF_TARGET_REDIRECT NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK \
    NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MATCH_COMMENT NETFILTER_XT_MATCH_MULTIPORT NETFILTER_XT_MATCH_STATISTIC SECCOMP \
    BLK_CGROUP BLK_DEV_THROTTLING CGROUP_PERF CGROUP_HUGETLB NET_CLS_CGROUP CGROUP_NET_PRIO CFS_BANDWIDTH FAIR_GROUP_SCHED \
    IP_SET IP_VS IP_VS_NFCT IP_VS_PROTO_TCP IP_VS_PROTO_UDP IP_VS_RR IP_VS_SH EXT4_FS EXT4_FS_POSIX_ACL EXT4_FS_SECURITY VXLAN \
    CRYPTO CRYPTO_AEAD CRYPTO_GCM CRYPTO_SEQIV CRYPTO_GHASH INET_ESP IPVLAN MACVLAN DUMMY OVERLAY_FS";

#[test]
fn a_kernel_for_containers_asks_for_what_their_checkers_look_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("recipes/lib/kernel-configs.kiln")).unwrap();
    let of = |fragment: &str| {
        let body = text.split(&format!("\nconfig {fragment} {{")).nth(1).unwrap().split("\n}").next().unwrap();
        body.lines().filter_map(|line| line.trim().strip_prefix("option ")?.split_once(" = ")).collect::<Vec<_>>()
    };
    let asked: Vec<(&str, &str)> = ["kvm-guest", "cxl", "kubernetes"].into_iter().flat_map(of).collect();
    let is_on = |name: &str| asked.iter().any(|(known, value)| *known == name && matches!(*value, "y" | "m"));
    let missing: Vec<&str> = CONTAINERS.split_whitespace().filter(|name| !is_on(name)).collect();
    assert!(asked.len() > 200 && missing.is_empty(), "{missing:?} of {}", asked.len());
    assert!(!is_on("RT_GROUP_SCHED"));
}

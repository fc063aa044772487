//! What stands between a request and its fulfilment, kind by kind, each on the few lines of Kconfig that make it.

use super::tests::{number, option, text};
use super::*;
use crate::kconfig::tree::KconfigSource;
use crate::kconfig::{DotConfig, dotconfig};

/// Why the first of these is not fulfilled; `arm64` is another architecture's file.
fn said(kconfig: &str, config: &str, requests: &[OptionRequest]) -> String {
    with(kconfig, config, |tree, config| RequestJudge { tree, config, requests }.why_not(&requests[0]))
}

fn with<T>(kconfig: &str, config: &str, run: impl Fn(&KconfigTree, &DotConfig) -> T) -> T {
    let files =
        [("Kconfig", kconfig), ("arch/arm64/Kconfig", "config ARM64\n\tdef_bool y\nmenuconfig SCMI\n\tbool \"s\"\n")];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    let tree = KconfigTree::read(&KconfigSource { files, variables: [].into() }).unwrap();
    run(&tree, &dotconfig::read(config.as_bytes()).unwrap())
}

fn yes(name: &str) -> OptionRequest {
    option(name, OptionValue::Yes)
}

fn require(name: &str, value: OptionValue) -> OptionRequest {
    OptionRequest { kind: RequestKind::Require, ..option(name, value) }
}

const PROBED: &str = "config HAVE_GUARD\n\tdef_bool y\nconfig GUARD\n\tbool \"guard\"\n\tdepends on HAVE_GUARD\n\
    \tdepends on $(cc-option,-fguard)\nconfig STRONG\n\tbool \"strong\"\n\tdepends on GUARD\n\
    \tdepends on $(cc-option,-fstrong)\nconfig WAY\n\tbool \"way\"\nif WAY\nconfig CC_HAS\n\tdef_bool $(cc-option,-fhas)\nendif\n\
    config USER\n\tbool \"user\"\n\tdepends on WAY && CC_HAS\n";

#[test]
fn what_the_configuration_proves_counts_before_a_question_to_the_compiler() {
    // A line for an option that is off says that it could be on.
    let visible = "CONFIG_HAVE_GUARD=y\n# CONFIG_GUARD is not set\n";
    assert_eq!(said(PROBED, visible, &[yes("STRONG")]), "STRONG needs GUARD, which is not set; add `option GUARD = y`");
    assert_eq!(
        said(PROBED, "CONFIG_HAVE_GUARD=y\n", &[yes("STRONG")]),
        "STRONG needs GUARD, which needs $(cc-option,-fguard), which does not hold"
    );
    // Behind what the chain explained already the compiler was not asked either.
    assert_eq!(said(PROBED, "", &[yes("USER")]), "USER needs WAY, which is not set; add `option WAY = y`");
    assert_eq!(
        said(PROBED, "CONFIG_WAY=y\n", &[yes("USER")]),
        "USER needs CC_HAS, which needs $(cc-option,-fhas), which does not hold"
    );
}

#[test]
fn an_option_without_a_prompt_that_follows_from_what_is_missing_anyway_is_no_obstacle() {
    let kconfig = "config SUPPORT\n\tbool \"support\"\nif SUPPORT\nconfig HAS_HCD\n\tdef_bool y\nconfig USB\n\ttristate \"usb\"\n\
        \tdepends on HAS_HCD\nendif\n";
    assert_eq!(said(kconfig, "", &[yes("USB")]), "USB needs SUPPORT, which is not set; add `option SUPPORT = y`");
}

const SELECTED: &str = "config X86\n\tdef_bool y\nconfig PCI\n\tbool \"pci\"\nconfig ACPI_NUMA\n\tbool \"numa\"\n\
    \tdepends on !X86\n\tdefault y if ARM64\nconfig X86_NUMA\n\tdef_bool y\n\tdepends on PCI\n\tselect ACPI_NUMA\n\
    config SRAT\n\tbool \"srat\"\n\tdepends on ACPI_NUMA\nconfig LIB\n\ttristate\nconfig ONE\n\ttristate \"one\"\n\tselect LIB\n\
    config OTHER\n\tbool \"other\"\n\tdepends on ARM64\n\tselect LIB\nconfig ON_LIB\n\tbool \"on lib\"\n\tdepends on LIB\n\
    config LOST\n\tbool\nconfig ALIEN\n\tbool \"alien\"\n\tdepends on ARM64\n\tselect LOST\nconfig MANY\n\tbool\nconfig CODEC\n\ttristate\n\
    \tdepends on PCI\nconfig ALL\n\tbool \"all\"\n\timply CODEC\n";

#[test]
fn selectors_are_ways_as_well_as_defaults_and_prompts() {
    let config = "CONFIG_X86=y\n";
    assert_eq!(
        said(SELECTED, config, &[yes("SRAT")]),
        "SRAT needs ACPI_NUMA, which is turned on by X86_NUMA, which needs PCI, which is not set; add `option PCI = y`"
    );
    // A selector of another architecture is none.
    assert_eq!(
        said(SELECTED, config, &[yes("ON_LIB")]),
        "ON_LIB needs LIB, which is turned on by ONE, which is not set; add `option ONE = y`"
    );
    assert_eq!(
        said(SELECTED, config, &[yes("LOST")]),
        "LOST has no prompt: it is on only when selected by ALIEN, which cannot be on here"
    );
    // What only suggests an option heeds what that depends on.
    assert_eq!(
        said(SELECTED, config, &[yes("CODEC")]),
        "CODEC is turned on by ALL, which is not set; for that it needs PCI, which is not set; add `option ALL = y` and \
         `option PCI = y`"
    );
    assert_eq!(said(SELECTED, config, &[yes("MANY")]), "MANY has no prompt: nothing can turn it on");
    assert_eq!(
        said(
            SELECTED,
            "CONFIG_X86=y\nCONFIG_LIB=m\nCONFIG_ONE=m\nCONFIG_MODULES=y\n",
            &[yes("LIB"), option("ONE", OptionValue::Module)]
        ),
        "LIB is turned on by ONE, which is only a module; change `option ONE = m` of kernel k to `y`"
    );
}

#[test]
fn an_option_that_is_on_by_itself_says_what_keeps_it_on() {
    let kconfig = "config X86\n\tdef_bool y\nconfig EXPERT\n\tbool \"expert\"\nconfig FUTEX\n\tbool \"futex\" if EXPERT\n\tdefault y\n\
        config HIGH\n\tbool \"high\"\nconfig BOUNCE\n\tdef_bool y\n\tdepends on HIGH\nconfig PLAIN\n\tbool \"plain\"\n\tdepends on !X86\n";
    let config = "CONFIG_X86=y\nCONFIG_FUTEX=y\nCONFIG_HIGH=y\nCONFIG_BOUNCE=y\n";
    let off = |name| option(name, OptionValue::No);
    assert_eq!(said(kconfig, config, &[off("X86")]), "X86 has no prompt and is always on here");
    assert_eq!(
        said(kconfig, config, &[off("FUTEX")]),
        "FUTEX is on by default; to turn it off it needs EXPERT, which is not set; add `option EXPERT = y`"
    );
    assert_eq!(
        said(kconfig, config, &[off("BOUNCE")]),
        "BOUNCE has no prompt and is on unless HIGH is off; add `option HIGH = n`"
    );
    assert_eq!(
        said(kconfig, config, &[yes("PLAIN")]),
        "PLAIN needs X86 to be off, which has no prompt and is always on here"
    );
}

const VALUES: &str = "config TCP_ADVANCED\n\tbool \"advanced\"\nif TCP_ADVANCED\nchoice\n\tprompt \"default\"\nconfig DEFAULT_BBR\n\
    \tbool \"bbr\"\nconfig DEFAULT_RENO\n\tbool \"reno\"\nendchoice\nendif\nconfig DEFAULT_TCP\n\tstring\n\
    \tdefault \"bbr\" if DEFAULT_BBR\n\tdefault \"cubic\"\nconfig HZ_300\n\tbool \"300\"\nconfig HZ\n\tint\n\tdefault 300 if HZ_300\n\
    config GCC_VERSION\n\tint\n\tdefault $(cc-version)\nconfig ZSWAP\n\tbool \"zswap\"\nconfig ZSWAP_TYPE\n\tstring\n\
    \tdepends on ZSWAP\n\tdefault \"lzo\"\nconfig NEW\n\tbool \"new\"\n\tdepends on GCC_VERSION >= 150000\nconfig BASE\n\thex \"base\"\n\
    config SHIFT\n\tint \"shift\"\nconfig LARGE\n\tbool \"large\"\n\tdepends on SHIFT > 8 && ZSWAP\n";

#[test]
fn a_text_or_a_number_without_a_prompt_says_what_it_follows_from() {
    for (request, config, shown) in [
        (
            option("DEFAULT_TCP", text("bbr")),
            "CONFIG_DEFAULT_TCP=\"cubic\"\n",
            "DEFAULT_TCP has no prompt: it is \"cubic\" by default; to be \"bbr\" it needs DEFAULT_BBR, which needs TCP_ADVANCED, \
             which is not set; add `option TCP_ADVANCED = y` and `option DEFAULT_BBR = y`",
        ),
        (
            option("DEFAULT_TCP", text("westwood")),
            "CONFIG_DEFAULT_TCP=\"cubic\"\n",
            "DEFAULT_TCP has no prompt: it is \"cubic\" by default",
        ),
        (
            option("HZ", number("250")),
            "CONFIG_HZ_300=y\nCONFIG_HZ=300\n",
            "HZ has no prompt: it is 300 because of HZ_300",
        ),
        (
            option("GCC_VERSION", number("5")),
            "CONFIG_GCC_VERSION=140200\n",
            "GCC_VERSION has no prompt: it is what $(cc-version) says",
        ),
        (
            option("ZSWAP_TYPE", text("lzo")),
            "",
            "ZSWAP_TYPE has no prompt; to be \"lzo\" it needs ZSWAP, which is not set; add `option ZSWAP = y`",
        ),
        (
            yes("NEW"),
            "CONFIG_GCC_VERSION=140200\n",
            "NEW needs GCC_VERSION >= 150000, which does not hold: it is 140200",
        ),
        (
            yes("LARGE"),
            "CONFIG_SHIFT=4\n",
            "LARGE needs SHIFT > 8, which `option SHIFT = ...` decides; it also needs ZSWAP, which is not set; add \
             `option ZSWAP = y`",
        ),
        (
            require("SHIFT", number("5")),
            "CONFIG_SHIFT=4\n",
            "SHIFT is 4, although nothing requires it; add `option SHIFT = 5`",
        ),
    ] {
        assert_eq!(said(VALUES, config, &[request]), shown);
    }
}

#[test]
fn a_decimal_number_of_a_hexadecimal_option_is_never_taken_for_the_other_one() {
    let outcomes = |value: &str, config: &str| {
        let requests = [option("BASE", number(value)), option("SHIFT", number("16"))];
        with(VALUES, &format!("CONFIG_SHIFT=16\n{config}"), |tree, config| {
            let judge = RequestJudge { tree, config, requests: &requests };
            judge.unmet().iter().map(|dropped| judge.outcome(dropped)).collect::<Vec<_>>()
        })
    };
    assert_eq!(
        outcomes("16777216", "CONFIG_BASE=16777216\n"),
        ["means 0x16777216: BASE is a hexadecimal number; write `option BASE = 0x1000000`"]
    );
    for (value, config) in [("0x10", "CONFIG_BASE=0x10\n"), ("8", "CONFIG_BASE=8\n"), ("0", "CONFIG_BASE=0\n")] {
        assert_eq!(outcomes(value, config), [""; 0], "{value}");
    }
}

#[test]
fn what_the_recipe_states_itself_is_to_be_changed_where_it_stands() {
    let kconfig = "config MODULES\n\tbool \"modules\"\n\tmodules\nconfig BUS\n\ttristate \"bus\"\nconfig MEM\n\ttristate \"mem\"\n\
        \tdepends on BUS\nconfig EXT4\n\tbool \"ext4\"\n\tselect JBD\nconfig JBD\n\tbool \"jbd\"\nchoice\n\tprompt \"timer\"\n\
        config HZ_250\n\tbool \"250\"\nconfig HZ_300\n\tbool \"300\"\nendchoice\nconfig SLOW\n\tbool \"slow\"\n\tdepends on HZ_250\n\
        config EITHER\n\tbool \"either\"\n\tdepends on EXT4 || MEM\n";
    let module = |name| option(name, OptionValue::Module);
    let no = |name| option(name, OptionValue::No);
    for (requests, config, shown) in [
        (
            vec![yes("MEM"), module("BUS")],
            "CONFIG_MODULES=y\nCONFIG_BUS=m\nCONFIG_MEM=m\n",
            "MEM needs BUS, which is only a module; change `option BUS = m` of kernel k to `y`",
        ),
        (
            vec![no("JBD"), yes("EXT4")],
            "CONFIG_EXT4=y\nCONFIG_JBD=y\n",
            "JBD is selected by EXT4, and `option EXT4 = y` of kernel k counts; remove one of the two",
        ),
        (
            vec![yes("SLOW"), yes("HZ_300")],
            "CONFIG_HZ_300=y\n",
            "SLOW needs HZ_250, which is one of a choice, in which HZ_300 is chosen; add `option HZ_250 = y`; remove `option \
             HZ_300 = y` of kernel k",
        ),
        // Of two ways the one that the recipe does not rule out.
        (
            vec![yes("EITHER"), no("EXT4")],
            "",
            "EITHER needs MEM or EXT4 (MEM, which needs BUS, which is not set); add `option BUS = y` and `option MEM = y`",
        ),
        (
            vec![module("BUS"), no("MODULES"), require("MODULES", OptionValue::Yes)],
            "CONFIG_BUS=y\n",
            "this kernel has no modules because of `option MODULES = n` of kernel k; remove that",
        ),
        (
            vec![require("MODULES", OptionValue::Yes), no("MODULES")],
            "",
            "`option MODULES = n` of kernel k says otherwise; change one of the two",
        ),
        (
            vec![require("BUS", OptionValue::Module)],
            "CONFIG_BUS=y\n",
            "this kernel has no modules; write `require BUS = y`, or `modules = true` in the kernel",
        ),
        (
            vec![no("HZ_300")],
            "CONFIG_HZ_300=y\n",
            "HZ_300 is the chosen one of its choice; choose HZ_250 instead; add `option HZ_250 = y`",
        ),
    ] {
        assert_eq!(said(kconfig, config, &requests), shown);
    }
}

#[test]
fn three_values_are_compared_in_their_own_order() {
    let kconfig = "config MODULES\n\tbool \"modules\"\nconfig TPM\n\ttristate \"tpm\"\nconfig KEYS\n\ttristate \"keys\"\n\
        config KEYS_TPM\n\tbool \"keys in the tpm\"\n\tdepends on KEYS && TPM >= KEYS\n";
    assert_eq!(
        said(kconfig, "CONFIG_MODULES=y\nCONFIG_KEYS=m\n", &[yes("KEYS_TPM")]),
        "KEYS_TPM needs TPM, which is not set; add `option TPM = m`"
    );
}

#[test]
fn an_option_of_another_architecture_is_not_said_to_exist_nowhere() {
    for name in ["ARM64", "SCMI"] {
        assert_eq!(
            said(PROBED, "", &[yes(name)]),
            format!("{name} is no option of this architecture (arch/arm64/Kconfig defines it)")
        );
    }
    let kconfig = "config MITIGATION_GUARD\n\tbool \"g\"\n";
    assert_eq!(
        said(kconfig, "", &[yes("GUARD")]),
        "GUARD does not exist in this source; did you mean MITIGATION_GUARD?"
    );
}

//! Advice on a Kconfig file of a few lines: each row was once answered with something untrue.

use std::collections::BTreeMap;

use super::*;
use crate::kconfig::dotconfig;
use crate::kconfig::tree::KconfigSource;

const KCONFIG: &str = r#"
config MODULES
	bool "modules"
config PCI
	bool "pci"
config CXL_BUS
	tristate "cxl"
	depends on PCI
config EXPERT
	bool "expert"
config CC_HAS_NEW
	def_bool $(cc-option,-fnew)
if EXPERT
config CC_HAS_OTHER
	def_bool $(cc-option,-fother)
endif
config SHINY
	bool "shiny" if EXPERT
	depends on CC_HAS_NEW
config GLOSSY
	bool "glossy"
	depends on CC_HAS_OTHER
config SHARED
	tristate "shared"
config ON_SHARED
	bool "on shared"
	depends on SHARED
config MIDDLE
	bool
	select DEEP
config DEEP
	bool
config TOP
	bool "top"
	depends on PCI
	select MIDDLE
config ON_DEEP
	bool "on deep"
	depends on DEEP
choice
	prompt "timer"
config HZ_250
	bool "250"
config HZ_1000
	bool "1000"
endchoice
config SMP
	bool "smp"
config NR_CPUS
	int "cpus" if SMP
	range 2 512 if SMP
	range 1 1 if !SMP
config LOG_BUF_SHIFT
	int "log"
	range 12 25
config NICE
	int "nice"
	range -20 19
config BASE
	hex "base"
	range 0x10 0xff
config DEFAULT_HOSTNAME
	string "host name"
config SYSFS
	bool "sysfs"
"#;

pub(super) fn option(name: &str, value: OptionValue) -> OptionRequest {
    OptionRequest { name: name.to_owned(), value, by: "kernel k".to_owned(), kind: RequestKind::Option }
}

/// Why the first of these is not fulfilled.
fn reason(config: &str, requests: &[OptionRequest]) -> String {
    let files = BTreeMap::from([("Kconfig".to_owned(), KCONFIG.as_bytes().to_vec())]);
    let tree = KconfigTree::read(&KconfigSource { files, variables: BTreeMap::new() }).unwrap();
    let config = dotconfig::read(config.as_bytes()).unwrap();
    RequestJudge { tree: &tree, config: &config, requests }.why_not(&requests[0])
}

pub(super) fn number(text: &str) -> OptionValue {
    OptionValue::Number(text.to_owned())
}

pub(super) fn text(text: &str) -> OptionValue {
    OptionValue::Text(text.to_owned())
}

#[test]
fn a_bool_is_proposed_as_y_and_a_module_only_where_there_are_some() {
    let asked = [option("CXL_BUS", OptionValue::Module)];
    assert_eq!(reason("CONFIG_MODULES=y\n", &asked), "CXL_BUS needs PCI, which is not set; add `option PCI = y`");
    assert_eq!(
        reason("CONFIG_PCI=y\nCONFIG_CXL_BUS=y\n", &asked),
        "this kernel has no modules; write `option CXL_BUS = y`, or `modules = true` in the kernel"
    );
    let asked = [option("PCI", OptionValue::Module)];
    assert_eq!(reason("", &asked), "PCI is a bool, which cannot be a module; write `option PCI = y`");
    // A bool is content with a module, so that it lacks something else.
    let asked = [option("ON_SHARED", OptionValue::Yes)];
    assert_eq!(
        reason("CONFIG_MODULES=y\nCONFIG_SHARED=m\n", &asked),
        "ON_SHARED is not set, although nothing prevents it"
    );
}

#[test]
fn what_has_no_prompt_is_never_proposed() {
    let asked = [option("SHINY", OptionValue::Yes)];
    assert_eq!(
        reason("", &asked),
        "SHINY needs CC_HAS_NEW, which needs $(cc-option,-fnew), which does not hold; it also needs EXPERT, which is \
         not set"
    );
    // Under an unmet `if` the compiler was never asked.
    let asked = [option("GLOSSY", OptionValue::Yes)];
    assert_eq!(
        reason("", &asked),
        "GLOSSY needs CC_HAS_OTHER, which needs EXPERT, which is not set; add `option EXPERT = y`"
    );
    // The way leads over selectors without a prompt to one that has one, and to what that one needs.
    let asked = [option("ON_DEEP", OptionValue::Yes)];
    assert_eq!(
        reason("", &asked),
        "ON_DEEP needs DEEP, which has no prompt: it is on only when selected by MIDDLE, which has no prompt: it is on \
         only when selected by TOP, which needs PCI, which is not set; add `option PCI = y` and `option TOP = y`"
    );
}

#[test]
fn a_choice_names_who_asked_for_the_other_member() {
    let asked = [option("HZ_1000", OptionValue::Yes), option("HZ_250", OptionValue::Yes)];
    assert_eq!(
        reason("CONFIG_HZ_250=y\n", &asked),
        "HZ_1000 and HZ_250 are members of one choice, of which one is chosen, and `option HZ_250 = y` of kernel k \
         counts; remove one of the two"
    );
    assert_eq!(reason("CONFIG_HZ_250=y\n", &asked[..1]), "HZ_1000 is one of a choice, in which HZ_250 is chosen");
}

#[test]
fn types_and_ranges_are_read_and_said() {
    for (name, value, config, said) in [
        ("LOG_BUF_SHIFT", number("99"), "CONFIG_LOG_BUF_SHIFT=25\n", "LOG_BUF_SHIFT takes 12 to 25"),
        ("NICE", number("-21"), "CONFIG_NICE=-20\n", "NICE takes -20 to 19"),
        ("BASE", number("0x100"), "CONFIG_BASE=0xff\n", "BASE takes 0x10 to 0xff"),
        ("BASE", number("16"), "", "BASE is a hexadecimal number; write `option BASE = 0x10`"),
        ("NICE", number("0x1"), "", "NICE is a decimal number; write `option NICE = 1`"),
        ("NR_CPUS", number("4096"), "CONFIG_SMP=y\nCONFIG_NR_CPUS=64\n", "NR_CPUS takes 2 to 512"),
        (
            "DEFAULT_HOSTNAME",
            OptionValue::Yes,
            "CONFIG_DEFAULT_HOSTNAME=\"(none)\"\n",
            "DEFAULT_HOSTNAME is a string; write `option DEFAULT_HOSTNAME = \"...\"`",
        ),
        ("SYSFS", text("yes"), "", "SYSFS is a bool; write `option SYSFS = y`"),
        ("CXL_BUS", number("1"), "", "CXL_BUS is a tristate; write `option CXL_BUS = y`"),
    ] {
        assert_eq!(reason(config, &[option(name, value)]), said);
    }
    for (name, value) in [("LOG_BUF_SHIFT", number("25")), ("NICE", number("-20")), ("BASE", number("0x10"))] {
        assert!(!reason("", &[option(name, value)]).contains(" takes "), "{name}");
    }
}

#[test]
fn a_number_behind_another_option_says_which() {
    assert_eq!(
        reason("CONFIG_NR_CPUS=1\n", &[option("NR_CPUS", number("512"))]),
        "NR_CPUS needs SMP, which is not set; add `option SMP = y`"
    );
}

#[test]
fn what_the_recipe_turns_off_itself_is_to_be_changed_there() {
    let asked = [option("CXL_BUS", OptionValue::Yes), option("PCI", OptionValue::No)];
    assert_eq!(reason("", &asked), "CXL_BUS needs PCI, which is not set; change `option PCI = n` of kernel k to `y`");
}

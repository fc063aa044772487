//! `kiln kconfig explain` through the front door, and the check of a build with the same words: a kernel in miniature, without
//! a network. What a recipe asks for is followed until the option is set.

use super::attack::ground::run;
use super::small_kernel::Miniature;

const CONFIGURE: &str = include_str!("../fixtures/kernel/miniature/configure");

const SOURCE: [(&str, &str); 6] = [
    ("Makefile", "VERSION = 6\n"),
    ("Kconfig", include_str!("../fixtures/kernel/miniature/Kconfig")),
    ("scripts/x", ""),
    ("arch/x86/configs/x", ""),
    ("arch/arm64/Kconfig", "config ARM64\n\tdef_bool y\n"),
    ("kernel/configs/x", ""),
];

struct Lab(Miniature);

impl Lab {
    fn new(name: &str) -> Option<Lab> {
        Miniature::of(name, CONFIGURE, &SOURCE).map(Lab)
    }

    /// What is said of an option of a kernel with these ones.
    fn explained(&self, options: &str, option: &str) -> String {
        self.answered(options, option, 0)
    }

    /// The same with the exit code.
    fn answered(&self, options: &str, option: &str, code: i32) -> String {
        self.0.options(options);
        let ended = run(self.0.ground.kiln().args(["kconfig", "explain", option, "lab.kiln"]));
        assert_eq!(ended.code, Some(code), "{}", ended.text());
        ended.text()
    }
}

#[test]
fn an_option_is_explained_with_its_value_its_place_and_the_way_there() {
    let Some(lab) = Lab::new("explain-way") else { return };
    let said = lab.explained("option STRONG = y", "CONFIG_STRONG");
    for line in [
        "STRONG = n in kernel small",
        "  prompt: guard it better",
        "  defined: Kconfig:7; depends on GUARD && $(cc-option,-fguard-strong)",
        "  requested by: `option STRONG = y` of kernel small",
        "  why not y: STRONG needs GUARD, which is not set; add `option GUARD = y`",
    ] {
        assert!(said.lines().any(|found| found == line), "{line}\n{said}");
    }
    // The advice is true.
    let said = lab.explained("option STRONG = y option GUARD = y", "STRONG");
    assert!(said.contains("STRONG = y in kernel small") && said.contains("because: requested by the recipe"), "{said}");
    let said = lab.explained("", "USB");
    assert!(
        said.contains("  why: USB needs SUPPORT, which is not set; add `option SUPPORT = y` and `option USB = y`"),
        "{said}"
    );
    let said = lab.explained("option SUPPORT = y option USB = y", "USB");
    assert!(said.contains("USB = y in kernel small"), "{said}");
}

#[test]
fn what_nobody_can_set_is_not_said_to_be_requested() {
    let Some(lab) = Lab::new("explain-follows") else { return };
    let said = lab.explained("option FAST = y require SPEED = 300", "SPEED");
    assert!(said.contains("because: it has no prompt: it is 300 because of FAST"), "{said}");
    assert!(!said.contains("because: requested"), "{said}");
    let said = lab.explained("option SUPPORT = y", "HOST");
    assert!(said.contains("because: it has no prompt and is on unless SUPPORT is off"), "{said}");
    let said = lab.explained("option FAST = y", "SLOW");
    assert!(
        said.contains("in which FAST is chosen; add `option SLOW = y`; remove `option FAST = y` of kernel small"),
        "{said}"
    );
    let said = lab.explained("", "ARM64");
    assert!(said.contains("ARM64 is no option of this architecture (arch/arm64/Kconfig defines it)"), "{said}");
    let said = lab.answered("", "STRONGER_GUARD", 2);
    assert!(said.contains("error: kernel small has no option STRONGER_GUARD"), "{said}");
    assert!(said.contains("STRONGER_GUARD does not exist in this source; did you mean GUARD?"), "{said}");
}

#[test]
fn a_decimal_number_of_a_hexadecimal_option_stops_a_build() {
    let Some(lab) = Lab::new("explain-hex") else { return };
    let said = lab.explained("option BASE = 16777216", "BASE");
    assert!(said.contains("why not 16777216: BASE is a hexadecimal number; write `option BASE = 0x1000000`"), "{said}");
    let ended = run(lab.0.ground.kiln().args(["build", "lab.kiln"]));
    assert_eq!(ended.code, Some(1), "{}", ended.text());
    let line = "`option BASE = 16777216` of kernel small means 0x16777216: BASE is a hexadecimal number; write \
                `option BASE = 0x1000000`";
    assert!(ended.text().contains(line), "{}", ended.text());
    let said = lab.explained("option BASE = 0x1000000", "BASE");
    assert!(said.contains("BASE = 0x1000000 in kernel small") && said.contains("requested by the recipe"), "{said}");
}

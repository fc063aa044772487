//! The argv of every good machine, word for word.

use std::collections::BTreeMap;

use kiln::machine::argv::{Accel, Console, Launch, Place, QemuOption, Text, argv};
use kiln::machine::capability::{Emulator, help};
use kiln::machine::network::networks;
use kiln::recipe::machine::Machine;

use super::machine_support::{every, fixtures, golden, machine, read};

fn emulator() -> Emulator {
    Emulator::of("1:11.1.3+ds-1~bpo13+1").unwrap()
}

fn by_name(machines: Vec<Machine>) -> BTreeMap<String, Machine> {
    machines.into_iter().map(|machine| (machine.name.clone(), machine)).collect()
}

fn open(place: Place) -> String {
    Text::from(place).to_string()
}

#[test]
fn every_good_machine_has_its_golden_argv() {
    for (stem, text) in every("good") {
        let machines = by_name(read(&text).machines);
        let networks = networks(&machines);
        let lines = machines.values().map(|machine| {
            let launch = Launch::plain(true, &networks);
            argv(machine, &emulator(), &launch).sh("qemu-system-x86_64", &open)
        });
        golden(&fixtures("good").join(format!("{stem}.argv")), &lines.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn templates_read_back_and_fill_to_the_same_words() {
    let networks = Default::default();
    let machine = machine("append = [\"a$b\", \"c=${root}\"]".replace("${root}", "$$").as_str());
    let line = argv(&machine, &emulator(), &Launch::plain(true, &networks));
    let fill = |place: Place| format!("/x,y/{}", place.name());
    let texts = line.template().into_iter().map(|word| Text::parse(&word).unwrap().fill(&fill));
    assert_eq!(texts.collect::<Vec<_>>(), line.words(&fill));
    let words = line.words(&fill);
    assert!(words.contains(&"/x,y/kernel".to_owned()), "a whole word is not escaped");
    assert!(words.iter().any(|word| word.contains("file=/x,,y/disk,")), "inside a word commas are doubled");
    assert!(words.iter().any(|word| word.contains("a$b c=$$")), "{words:?}");
}

#[test]
fn a_test_launch_has_its_sockets_and_no_monitor_on_the_console() {
    let networks = Default::default();
    let launch = Launch {
        accel: Accel::Tcg,
        console: Console::Pipe,
        agent: true,
        qmp: true,
        paused: true,
        throw_away: false,
        append: vec!["kiln.test".to_owned()],
        extra: vec![QemuOption::kind("-smbios", "type=11").with("value", "a,b")],
        ..Launch::plain(false, &networks)
    };
    let line = argv(&machine(""), &emulator(), &launch);
    let words = line.words(&open).join(" ");
    for part in ["-accel tcg", "agent.sock", "qmp.sock", "kiln.test", "value=a,,b", "-S"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    for part in ["-initrd", "snapshot", "mon:"] {
        assert!(!words.contains(part), "{part} in {words}");
    }
    assert!(line.places().contains(&Place::Run) && !line.places().contains(&Place::Accel));
}

#[test]
fn every_device_property_is_asked_about() {
    let (_, text) = every("good").into_iter().find(|(stem, _)| stem == "developers").unwrap();
    let networks = Default::default();
    let line = argv(&read(&text).machine(), &emulator(), &Launch::plain(true, &networks));
    let questions = help::questions(&line);
    let drivers: Vec<&str> = questions.iter().map(|question| question.driver.as_str()).collect();
    for driver in ["pxb-cxl", "cxl-rp", "cxl-upstream", "cxl-downstream", "cxl-switch-mailbox-cci", "cxl-type3"] {
        assert!(drivers.contains(&driver), "{driver} in {drivers:?}");
    }
    let expander = questions.iter().find(|question| question.driver == "cxl-type3").unwrap();
    let properties: Vec<&str> = expander.properties.iter().map(String::as_str).collect();
    assert_eq!(properties, ["addr", "lsa", "persistent-memdev", "sn"]);
}

#[test]
fn adding_a_device_renumbers_no_other() {
    let small = "cxl { bridge host0 { port p0 { expander a { volatile = 256MiB } } } \n\
                 window w { targets = [host0] size = 256MiB } }";
    let large = "cxl { bridge host1 { port p0 { expander z { volatile = 256MiB } } }\n\
                 bridge host0 { port p1 { expander b { volatile = 256MiB } } port p0 { expander a { volatile = 256MiB } } }\n\
                 window w { targets = [host0] size = 512MiB } window v { targets = [host1] size = 256MiB } }";
    let devices = |body: &str| {
        let networks = Default::default();
        let words = argv(&machine(body), &emulator(), &Launch::plain(true, &networks)).template();
        words.into_iter().filter(|word| word.contains("id=") && !word.starts_with("pc-")).collect::<Vec<_>>()
    };
    let (before, after) = (devices(small), devices(large));
    for word in &before {
        assert!(after.contains(word), "{word} changed");
    }
    assert!(after.len() > before.len() + 4);
}

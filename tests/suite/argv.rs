//! The argv of every good machine, word for word.

use std::collections::BTreeMap;

use kiln::machine::argv::{
    Accel, CommandLine, Console, Forwards, LaunchOptions, Place, QmpPort, Text, UserNetworkBackend, Writes, argv,
};
use kiln::machine::capability::{Emulator, facts};
use kiln::machine::network::networks;
use kiln::ops;
use kiln::plan::qemu::{DEVICES, Facts, OBJECTS, RARE_DEVICES, RARE_OBJECTS};
use kiln::recipe::machine::Machine;

use super::machine_support::{every, fixtures, golden, machine, read, recipes};

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
            let launch = LaunchOptions::plain(true, &networks);
            argv(machine, &emulator(), &launch).sh(machine.arch().facts().qemu.program, &open)
        });
        golden(&fixtures("good").join(format!("{stem}.argv")), &lines.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn templates_read_back_and_fill_to_the_same_words() {
    let networks = Default::default();
    let machine = machine("append = [\"a$b\", \"c=${root}\"]".replace("${root}", "$$").as_str());
    let line = argv(&machine, &emulator(), &LaunchOptions::plain(true, &networks));
    let fill = |place: Place| format!("/x,y/{}", place.name());
    let texts = line.template().into_iter().map(|word| Text::parse(&word).unwrap().fill(&fill));
    assert_eq!(texts.collect::<Vec<_>>(), line.words(&fill));
    let words = line.words(&fill);
    assert!(words.contains(&"/x,y/kernel".to_owned()), "a whole word is not escaped");
    assert!(words.iter().any(|word| word.contains("file=/x,,y/disk,")), "inside a word commas are doubled");
    assert!(words.iter().any(|word| word.contains("a$b c=$$")), "{words:?}");
}

#[test]
fn a_test_launch_calls_whoever_listens_and_has_no_monitor_on_the_console() {
    let networks = Default::default();
    let launch = LaunchOptions {
        accel: Accel::Tcg,
        console: Console::Log,
        agent: true,
        qmp: QmpPort::Connects,
        paused: true,
        writes: Writes::Kept,
        forwards: Forwards::Closed,
        append: vec!["kiln.test".to_owned()],
        ..LaunchOptions::plain(false, &networks)
    };
    let line = argv(&machine("forward ssh = 2222"), &emulator(), &launch);
    let words = line.words(&open).join(" ");
    let parts =
        ["-accel tcg", "id=kiln.agent,path=${run}/agent ", "-qmp unix:${run}/qmp ", "kiln.test", "-S", "path=${log}"];
    for part in parts {
        assert!(words.contains(part), "{part} in {words}");
    }
    for part in ["-initrd", "snapshot", "mon:", "server", "hostfwd"] {
        assert!(!words.contains(part), "{part} in {words}");
    }
    assert!(line.places().contains(&Place::Run) && !line.places().contains(&Place::Accel));
}

#[test]
fn qemu_is_confined_and_its_user_network_can_be_somebody_elses() {
    let networks = Default::default();
    let machine = machine("forward ssh = 2222");
    let words = |user_network| {
        let launch = LaunchOptions { user_network, ..LaunchOptions::plain(true, &networks) };
        argv(&machine, &emulator(), &launch).words(&open).join(" ")
    };
    let (own, others) = (words(UserNetworkBackend::Slirp), words(UserNetworkBackend::Socket));
    for words in [&own, &others] {
        let sandbox = "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny ";
        assert!(words.contains(sandbox), "{words}");
    }
    assert!(own.contains("-netdev user,id=kiln.user,hostfwd=tcp:127.0.0.1:2222-:22 "), "{own}");
    let socket = "-netdev stream,id=kiln.user,server=off,addr.type=unix,addr.path=${run}/network ";
    assert!(others.contains(socket) && !others.contains("hostfwd"), "{others}");
    assert_eq!(
        own.replace("user,id=kiln.user,hostfwd=tcp:127.0.0.1:2222-:22", ""),
        others.replace(socket.split(' ').nth(1).unwrap(), "")
    );
}

/// Every machine of a fixture, and of a recipe under the QEMU of its lock, with its argv.
fn everywhere() -> Vec<(String, Machine, CommandLine)> {
    let fixtures = every("good").into_iter().flat_map(|(stem, text)| {
        let machines = by_name(read(&text).machines);
        let networks = networks(&machines);
        let line = |machine: &Machine| argv(machine, &emulator(), &LaunchOptions::plain(true, &networks));
        machines.values().map(|machine| (stem.clone(), machine.clone(), line(machine))).collect::<Vec<_>>()
    });
    let locked = recipes().into_iter().flat_map(|(stem, recipe, lock)| {
        let line = |machine| ops::machines::command_line(&recipe, &lock, machine).unwrap();
        recipe.machines.values().map(|machine| (stem.clone(), machine.clone(), line(machine))).collect::<Vec<_>>()
    });
    fixtures.chain(locked).collect()
}

/// `KILN_UPDATE=1` writes the argv and the step ids into the locks instead: for whoever changed how they are written, and
/// not what comes out.
#[test]
fn every_recipe_has_the_argv_of_its_lock() {
    for (stem, recipe, mut lock) in recipes() {
        let machines = ops::machines::locked(&recipe, &lock).unwrap();
        assert_eq!(machines.len(), lock.machines.len(), "{stem}");
        if std::env::var_os("KILN_UPDATE").is_some() {
            for (name, machine) in machines {
                lock.machines.get_mut(&name).unwrap().argv = machine.argv;
            }
            lock.steps = kiln::plan::id::by_name(&kiln::plan::lower(&recipe, &lock));
            let path = format!("{}/lockfiles/{stem}.lock", env!("CARGO_MANIFEST_DIR"));
            kiln::world::fs::write_atomically(path.as_ref(), kiln::lock::write(&lock).as_bytes()).unwrap();
            continue;
        }
        for (name, machine) in machines {
            assert_eq!(machine.argv, lock.machines[&name].argv, "{stem}: {name}; run kiln lock");
            assert!(!machine.argv.is_empty(), "{stem}: {name}");
            let line = ops::machines::command_line(&recipe, &lock, &recipe.machines[&name]).unwrap();
            assert_eq!(facts::summary(&line), lock.machines[&name].asked, "{stem}: {name}; run kiln build");
        }
    }
}

#[test]
fn qemu_is_asked_about_everything_that_is_ever_given_a_property() {
    // Of machine types a plan asks about the one that the lock writes down.
    const TYPES: [&str; 2] = ["pc-", "virt-"];
    for (stem, _, line) in everywhere() {
        for property in line.properties() {
            let known = match property.flag {
                "-device" => DEVICES.contains(&property.kind) || RARE_DEVICES.contains(&property.kind),
                "-object" => OBJECTS.contains(&property.kind) || RARE_OBJECTS.contains(&property.kind),
                flag => flag == "-machine" && TYPES.iter().any(|types| property.kind.starts_with(types)),
            };
            assert!(known, "{stem}: nobody asks QEMU about {} {}", property.flag, property.kind);
        }
    }
}

/// A QEMU that knows what a machine needs, and nothing else.
fn all_knowing(line: &CommandLine) -> Facts {
    let mut facts = Facts { version: "11.1.3".to_owned(), ..Facts::default() };
    for property in line.properties() {
        let names = facts.properties.entry(format!("{} {}", property.flag, property.kind)).or_default();
        names.insert(property.listed().to_owned());
    }
    facts
}

#[test]
fn a_property_that_qemu_does_not_know_is_told_at_the_words_that_ask_for_it() {
    let text = "memory = 1GiB\n disk data { size = 1GiB }\n cxl { bridge b { decoders = true\n port p { switch s { mailbox = true\n\
                port d { expander m { persistent = 512MiB lsa = 256KiB dynamic = 512MiB regions = 2\n speed = \"32\" } } } } }\n\
                window w { targets = [b] size = 1GiB } }";
    let text = format!("machine m {{\n kernel = k\n image = i\n qemu = package \"qemu\"\n{text}\n}}\n");
    let networks = Default::default();
    let said = |forget: &dyn Fn(&mut Facts)| {
        let whole = read(&text);
        let machine = &whole.machines[0];
        let line = argv(machine, &emulator(), &LaunchOptions::plain(true, &networks));
        let mut facts = all_knowing(&line);
        forget(&mut facts);
        let mistakes = facts::unknown(machine, &line, &facts);
        mistakes
            .iter()
            .map(|mistake| (mistake.message.clone(), whole.words(mistake.span).to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(said(&|_| ()), []);
    let cases = [
        ("-device cxl-type3", "volatile-dc-memdev", "512MiB"),
        ("-device cxl-type3", "num-dc-regions", "2"),
        ("-device cxl-type3", "lsa", "256KiB"),
        ("-device cxl-type3", "x-speed", "\"32\""),
        ("-device cxl-type3", "sn", "expander m"),
        ("-device cxl-upstream", "sn", "switch s"),
        ("-device cxl-downstream", "slot", "port d"),
        ("-device pxb-cxl", "hdm_for_passthrough", "bridge b"),
        ("-machine pc-q35-11.1", "cxl-fmw", "window w"),
        ("-machine pc-q35-11.1", "cxl", "cxl"),
        ("-object memory-backend-file", "share", "512MiB"),
        ("-object rng-random", "filename", "machine m"),
    ];
    for (thing, property, words) in cases {
        let said = said(&|facts| assert!(facts.properties.get_mut(thing).unwrap().remove(property)));
        let message = format!("QEMU 11.1.3 does not know the property `{property}` of `{thing}`");
        assert!(said.contains(&(message, words.to_owned())), "{thing} {property}: {said:?}");
    }
    let said = said(&|facts| drop(facts.properties.remove("-device cxl-switch-mailbox-cci")));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, "QEMU 11.1.3 has no `-device cxl-switch-mailbox-cci`");
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
        let words = argv(&machine(body), &emulator(), &LaunchOptions::plain(true, &networks)).template();
        words.into_iter().filter(|word| word.contains("id=") && !word.starts_with("pc-")).collect::<Vec<_>>()
    };
    let (before, after) = (devices(small), devices(large));
    for word in &before {
        assert!(after.contains(word), "{word} changed");
    }
    assert!(after.len() > before.len() + 4);
}

//! `kiln run --append PARAMETERS RECIPE -- QEMU-OPTIONS`, and of `kiln test`: what is added to one start, as `--print` shows
//! it, and what of the host a start cannot have.

use std::process::{Command, Output, Stdio};

use super::live::Scratch;

fn print(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "--print=argv"]).args(words).output().unwrap()
}

/// The words of QEMU's command line.
fn argv(words: &[&str]) -> Vec<String> {
    let output = print(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn refused(words: &[&str]) -> String {
    let output = print(words);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn options_of_qemu_come_after_all_others_and_unchanged() {
    let plain = argv(&["recipes/cxl-quick.kiln"]);
    let own = ["-device", "usb-ehci,id=u$x", "-S", "--version", "stray word"];
    let added = argv(&[&["recipes/cxl-quick.kiln", "--"][..], &own].concat());
    assert_eq!(added, [plain, own.map(str::to_owned).to_vec()].concat());
}

#[test]
fn kernel_parameters_come_after_all_others_whatever_boots_the_disk() {
    let last = |recipe: &str, option: &str, words: &[&str]| {
        let argv = argv(&[&[recipe][..], words].concat());
        argv[argv.iter().position(|word| word == option).unwrap() + 1].clone()
    };
    let two = ["--append", "nokaslr", "--append", "dyndbg=\"file drivers/cxl/* +p\" quiet"];
    let plain = last("recipes/cxl-quick.kiln", "-append", &[]);
    let direct = last("recipes/cxl-quick.kiln", "-append", &two);
    assert_eq!(direct, format!("{plain} nokaslr dyndbg=\"file drivers/cxl/* +p\" quiet"));
    let stub = last("recipes/uefi.kiln", "-smbios", &two);
    assert!(stub.ends_with("cmdline-extra=nokaslr dyndbg=\"file drivers/cxl/* +p\" quiet"), "{stub}");
    let grub = last("recipes/seabios.kiln", "-smbios", &two);
    assert!(grub.ends_with("kernel-words='nokaslr' 'dyndbg=file drivers/cxl/* +p' 'quiet'"), "{grub}");
}

#[test]
fn a_printed_command_has_the_port_of_gdb() {
    let plain = argv(&["recipes/cxl-quick.kiln"]);
    let debugged = argv(&["recipes/cxl-quick.kiln", "--gdb=2345", "--wait"]);
    assert_eq!(debugged[debugged.len() - 3..], ["-gdb", "tcp:127.0.0.1:2345", "-S"]);
    let changed: Vec<_> = plain.iter().zip(&debugged).filter(|(before, after)| before != after).collect();
    assert!(matches!(changed[..], [(before, after)] if *after == format!("{before} nokaslr")), "{changed:?}");
}

#[test]
fn a_printed_command_is_asked_for_before_or_behind_the_recipe() {
    let printed = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("run").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let before = printed(&["--print", "recipes/cxl-quick.kiln"]);
    assert_eq!(before, printed(&["recipes/cxl-quick.kiln", "--print"]));
    assert!(before.starts_with("qemu-system-x86_64 "), "{before}");
}

#[test]
fn only_the_machine_on_the_terminal_is_changed() {
    let recipe = "recipes/all-blue.kiln";
    let has = |words: &[&str]| {
        argv(&[&[recipe][..], words, &["--", "-S"]].concat()).iter().filter(|word| *word == "-S").count()
    };
    assert_eq!(has(&[]), 1, "of three machines");
    assert_eq!(has(&["--machine", "worker-1"]), 1);
}

#[test]
fn what_the_kernel_would_not_see_as_it_was_typed_is_refused() {
    let quick = "recipes/cxl-quick.kiln";
    for word in ["", "  ", "caf\u{e9}", "a\nb"] {
        assert!(refused(&[quick, "--append", word]).contains("printable ASCII"), "{word:?}");
    }
    let long = "x".repeat(2100);
    let error = refused(&[quick, "--append", &long]);
    assert!(error.contains("the kernel keeps 2047"), "{error}");
    for word in ["it's", "a\\b", "a\"b"] {
        assert!(refused(&["recipes/seabios.kiln", "--append", word]).contains("GRUB"), "{word}");
        argv(&["recipes/uefi.kiln", "--append", word]);
    }
}

/// What `kiln run` and `kiln test` say of options, neither of which builds anything then.
fn both(words: &[&str]) -> [(Option<i32>, String); 2] {
    ["run", "test"].map(|verb| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args([verb, "--offline"]).args(words);
        let output = command.env("KILN_STORE", "/nonexistent/store").stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    })
}

#[test]
fn memory_and_cpus_that_the_host_has_not_are_refused_before_anything_is_built() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (words, code, said) in [
        (&["--pin", "1000"][..], 4, "--pin: CPU 1000 cannot be used here; available: 0"),
        (&["--pin", "3-1"], 2, "expected CPUs such as 0-3,8"),
        (&["--memory-file", "/nonexistent"], 4, "/nonexistent"),
        (&["--memory-file", file], 4, "is not a directory"),
        (&["--hugepages=3MiB"], 4, "--hugepages: this host has no huge pages of 3MiB (it has: "),
        (&["--hugepages=lots"], 2, "lots"),
        (&["--hugepages", "--memory-file", "/dev/shm"], 2, "cannot be used with"),
    ] {
        let [run, test] = both(&[&["recipes/cxl-quick.kiln"][..], words].concat());
        assert!(run.1.contains(said), "{}", run.1);
        assert_eq!(run.0, Some(code), "{}", run.1);
        if code != 2 {
            assert_eq!(run, test);
        }
        assert!(test.1.contains(said) && test.0 == Some(code), "{}", test.1);
    }
}

#[test]
fn a_test_has_additions_for_every_machine_or_is_refused_before_anything_is_built() {
    let scratch = Scratch::new("test-additions");
    let test = |recipe: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["test", "--offline", recipe]).args(words);
        let output = command.env("KILN_STORE", scratch.path("store")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = test("recipes/cxl-quick.kiln", &["--append", "a\nb"]);
    assert!(code == Some(2) && said.contains("printable ASCII"), "{said}");
    let (code, said) = test("recipes/seabios.kiln", &["--append", "it's"]);
    assert!(code == Some(2) && said.contains("GRUB"), "{said}");
    // Long enough for a run, with no room for the words that start the shell of tests.
    let long = "x".repeat(1700);
    argv(&["recipes/cxl-quick.kiln", "--append", &long]);
    let (code, said) = test("recipes/cxl-quick.kiln", &["--append", &long]);
    assert!(code == Some(1) && said.contains("too long for tests: the kernel keeps 2047"), "{code:?} {said}");
}

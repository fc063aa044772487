//! `kiln run --append PARAMETERS RECIPE -- QEMU-OPTIONS`: what is added to one start, as `--print` shows it.

use std::process::{Command, Output};

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

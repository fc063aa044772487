//! GRUB for a BIOS: how its core is made, its configuration, and how words of a kernel's command line get through it.
//!
//! GRUB reads words as a shell does, and writes those with a blank in them for the kernel in double quotes, and a
//! backslash before every quote and backslash of theirs (grub-core/lib/cmdline.c). So quotes around a part of a word go
//! around all of it, which the kernel and systemd read the same; single quotes and backslashes cannot get through.

/// The output of `grub-mkimage`.
pub(super) const CORE: &str = "core.img";

/// What the core has in it: the disk and its partitions, the file system, the loader, ways to read and to say something.
const MODULES: [&str; 14] = [
    "biosdisk", "part_gpt", "fat", "normal", "linux", "smbios", "regexp", "eval", "echo", "test", "serial", "terminal",
    "sleep", "halt",
];

/// The command that makes the core. It finds its configuration on the first partition of the disk that it came from.
pub(super) fn mkimage() -> Vec<String> {
    let own = [
        "/usr/bin/grub-mkimage",
        "--format=i386-pc",
        "--directory=/usr/lib/grub/i386-pc",
        "--prefix=(,gpt1)/",
        "--output=core.img",
    ];
    own.into_iter().chain(MODULES).map(str::to_owned).collect()
}

/// What every disk's configuration says, with a place for the kernel's command line.
const CONFIGURATION: &str = include_str!("grub.cfg");

/// `grub.cfg` of a disk whose kernel is told `line`.
pub(super) fn configuration(line: &str, initrd: bool) -> Vec<u8> {
    // The line stands within double quotes, in which a second reading takes place.
    let escaped: String =
        spelled(line).chars().flat_map(|c| "\\\"$".contains(c).then_some('\\').into_iter().chain([c])).collect();
    let initrd = if initrd { "initrd /initrd.img\n" } else { "" };
    CONFIGURATION.replace("@LINE@", &escaped).replace("@INITRD@\n", initrd).into_bytes()
}

/// Whether the kernel would see another word than this one.
pub fn is_lost_by_grub(word: &str) -> bool {
    word.contains(['\'', '\\']) || word.matches('"').count() % 2 == 1
}

/// A command line as GRUB must be given it: each word within single quotes, without the double quotes in it.
pub fn spelled(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.iter().filter(|word| !word.is_empty()).map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_kernel_splits_them() {
        assert_eq!(spelled("a  b=\"c d\" $e"), "'a' 'b=c d' '$e'");
        assert_eq!(spelled(""), "");
    }

    #[test]
    fn a_line_survives_its_two_readings() {
        let text = String::from_utf8(configuration("root=UUID=1 a=\"b c\" $d", true)).unwrap();
        assert!(text.contains("eval \"linux /vmlinuz 'root=UUID=1' 'a=b c' '\\$d' $words\""), "{text}");
        assert!(text.contains("initrd /initrd.img\n") && !text.contains('@'));
        assert!(!String::from_utf8(configuration("", false)).unwrap().contains("initrd"));
    }
}

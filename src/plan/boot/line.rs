//! The kernel's command line: what every machine's begins with.

use crate::recipe::machine::Machine;

/// Parameters that make a boot shorter and change nothing that a guest is for (`docs/machine.md` has the reasons), each with the
/// name under which a recipe says otherwise.
const QUICK: [(&str, &str); 2] =
    [("rcupdate.rcu_expedited", "rcupdate.rcu_expedited=1"), ("cryptomgr.notests", "cryptomgr.notests=1")];

/// What a kernel is told whose root is `root`, before the words of networks and of the recipe.
pub fn first_words(machine: &Machine, root: &str) -> Vec<String> {
    let mut words = vec![format!("root={root}"), "rw".to_owned(), console(machine)];
    let stated = |name: &str| {
        let mut own = machine.append.iter().flat_map(|word| word.value.split(' '));
        own.any(|word| word.split('=').next().is_some_and(|stated| stated.replace('-', "_") == name))
    };
    words.extend(QUICK.iter().filter(|(name, _)| !stated(name)).map(|(_, word)| (*word).to_owned()));
    words
}

/// What the kernel is told by the disk itself; `root` is a word of its command line without `root=`.
pub fn kernel_line(machine: &Machine, root: &str) -> String {
    let own = machine.append.iter().map(|word| word.value.clone());
    first_words(machine, root).into_iter().chain(own).collect::<Vec<_>>().join(" ")
}

/// Where the kernel says what it has to say: the first serial port.
fn console(machine: &Machine) -> String {
    format!("console={}", machine.arch().serial(0))
}

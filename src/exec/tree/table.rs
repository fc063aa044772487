//! One account file as a table: `passwd`, `group`, `shadow` or `gshadow`.
//!
//! Input: its lines. Output: lines by name and by number. A package may ship hundreds of thousands of accounts, so none is
//! searched for by looking at all of them.

use std::collections::BTreeMap;

/// The lines of a file, each as its fields. Of several with one name or number the first is found, as by getpwnam(3).
pub(crate) struct AccountTable {
    lines: Vec<Vec<String>>,
    names: BTreeMap<String, usize>,
    numbers: BTreeMap<u32, usize>,
}

impl AccountTable {
    pub(crate) fn new(lines: Vec<Vec<String>>) -> AccountTable {
        let mut table = AccountTable { lines, names: BTreeMap::new(), numbers: BTreeMap::new() };
        table.index();
        table
    }

    pub(crate) fn lines(&self) -> &[Vec<String>] {
        &self.lines
    }

    /// The line of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&[String]> {
        self.names.get(name).map(|at| self.lines[*at].as_slice())
    }

    /// The line of that name, to change its fields behind the third.
    pub(crate) fn named_mut(&mut self, name: &str) -> Option<&mut [String]> {
        self.names.get(name).map(|at| self.lines[*at].as_mut_slice())
    }

    /// The name on the line with that number in its third field, however it is spelled.
    pub(crate) fn numbered(&self, number: u32) -> Option<&str> {
        self.numbers.get(&number).map(|at| self.lines[*at][0].as_str())
    }

    pub(crate) fn push(&mut self, line: Vec<String>) {
        self.lines.push(line);
        self.index_line(self.lines.len() - 1);
    }

    /// Changes lines in any way, or their order.
    pub(crate) fn change(&mut self, work: impl FnOnce(&mut Vec<Vec<String>>)) {
        work(&mut self.lines);
        self.index();
    }

    /// The place of each name among the lines.
    pub(crate) fn places(&self) -> &BTreeMap<String, usize> {
        &self.names
    }

    fn index(&mut self) {
        self.names.clear();
        self.numbers.clear();
        (0..self.lines.len()).for_each(|at| self.index_line(at));
    }

    fn index_line(&mut self, at: usize) {
        let line = &self.lines[at];
        self.names.entry(line[0].clone()).or_insert(at);
        if let Ok(number) = line[2].parse() {
            self.numbers.entry(number).or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_or_number_is_found_also_after_a_change() {
        let line = |text: &str| text.split(':').map(str::to_owned).collect::<Vec<_>>();
        let mut table = AccountTable::new(vec![line("a:x:007:"), line("b:x:7:"), line("a:x:9:")]);
        assert_eq!((table.numbered(7), table.named("a").unwrap()[2].as_str()), (Some("a"), "007"));
        table.push(line("c:x:10:"));
        assert_eq!((table.numbered(10), table.numbered(11)), (Some("c"), None));
        table.change(|lines| lines.reverse());
        assert_eq!((table.numbered(7), table.named("a").unwrap()[2].as_str()), (Some("b"), "9"));
        table.named_mut("c").unwrap()[3] = "member".to_owned();
        assert_eq!(table.lines()[0].join(":"), "c:x:10:member");
    }
}

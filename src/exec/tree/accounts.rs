//! `/etc/passwd`, `group`, `shadow` and `gshadow` as data, changed together.

use std::collections::BTreeMap;

use super::table::AccountTable;
use super::{RootError, Tree};
use crate::exec::failure::StepFailure;
use crate::plan::Statement;
use crate::plan::root::RootIds;

/// The four files.
pub(crate) struct Accounts {
    pub(crate) passwd: AccountTable,
    pub(crate) group: AccountTable,
    shadow: Option<AccountTable>,
    gshadow: Option<AccountTable>,
}

impl Accounts {
    /// Reads those of a tree.
    pub(crate) fn read(tree: &Tree) -> Result<Accounts, RootError> {
        let table = |name: &str, fields: usize| -> Result<Option<AccountTable>, RootError> {
            let Some(text) = tree.text(format!("etc/{name}"))? else { return Ok(None) };
            let mut lines = Vec::new();
            for line in text.lines().filter(|line| !line.is_empty()) {
                let parts: Vec<String> = line.split(':').map(str::to_owned).collect();
                if parts.len() != fields {
                    return Err(RootError::from(StepFailure::input(format!(
                        "/etc/{name}: the line `{line}` does not have {fields} fields"
                    ))));
                }
                lines.push(parts);
            }
            Ok(Some(AccountTable::new(lines)))
        };
        Ok(Accounts {
            passwd: table("passwd", 7)?.unwrap_or_else(|| AccountTable::new(Vec::new())),
            group: table("group", 4)?.unwrap_or_else(|| AccountTable::new(Vec::new())),
            shadow: table("shadow", 9)?,
            gshadow: table("gshadow", 4)?,
        })
    }

    /// Writes them back, keeping owners and permissions.
    pub(crate) fn write(&self, tree: &Tree) -> Result<(), RootError> {
        let put = |name: &str, table: &[Vec<String>]| -> Result<(), RootError> {
            let text: String = table.iter().map(|fields| fields.join(":") + "\n").collect();
            Ok(tree.edit(format!("etc/{name}"), |_| text)?)
        };
        let lines = |table: &'_ Option<AccountTable>| table.as_ref().map_or(Vec::new(), |table| table.lines().to_vec());
        put("passwd", self.passwd.lines())?;
        put("group", self.group.lines())?;
        put("shadow", &lines(&self.shadow))?;
        put("gshadow", &lines(&self.gshadow))
    }

    /// uid and gid of a user.
    pub(crate) fn user(&self, name: &str) -> Option<(u32, u32)> {
        let line = self.passwd.named(name)?;
        Some((line[2].parse().ok()?, line[3].parse().ok()?))
    }

    /// gid of a group.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        self.group.named(name)?[2].parse().ok()
    }

    /// Every user and group with its number.
    pub(crate) fn ids(&self) -> Result<RootIds, RootError> {
        let numbers = |file: &str, lines: &[Vec<String>]| -> Result<BTreeMap<String, u32>, RootError> {
            let number = |line: &Vec<String>| {
                let text = || format!("/etc/{file}: `{}` is not a valid id (of {})", line[2], line[0]);
                let odd = |_| RootError::from(StepFailure::input(text()));
                Ok((line[0].clone(), line[2].parse().map_err(odd)?))
            };
            lines.iter().map(number).collect()
        };
        Ok(RootIds { users: numbers("passwd", self.passwd.lines())?, groups: numbers("group", self.group.lines())? })
    }

    /// The line of a user that is there.
    pub(crate) fn line(&mut self, name: &str) -> Option<&mut [String]> {
        self.passwd.named_mut(name)
    }

    /// Adds a user to `passwd` and `shadow`; no password lets it in.
    pub(crate) fn add_user(&mut self, name: &str, (uid, gid): (u32, u32)) {
        if let Some(shadow) = &mut self.shadow {
            shadow.push([name, "*", "", "0", "99999", "7", "", "", ""].map(str::to_owned).to_vec());
        }
        let line = vec![name.to_owned(), "x".to_owned(), uid.to_string(), gid.to_string(), String::new()];
        self.passwd.push([line, vec![format!("/home/{name}"), "/bin/bash".to_owned()]].concat());
    }

    /// Adds a group without members.
    pub(crate) fn add_group(&mut self, name: &str, gid: u32) {
        self.group.push([name, "x", &gid.to_string(), ""].map(str::to_owned).to_vec());
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.push([name, "!", "", ""].map(str::to_owned).to_vec());
        }
    }

    /// Makes the user a member of a group that exists.
    pub(crate) fn join(&mut self, user: &str, group: &str) -> Result<(), RootError> {
        let missing = || {
            let text = format!("group {group} of user {user} does not exist in the image");
            RootError::from(
                StepFailure::recipe(Statement::User(user.to_owned()), text)
                    .help(format!("add `group \"{group}\" {{ }}` to the image")),
            )
        };
        add_member(self.group.named_mut(group).ok_or_else(missing)?, user);
        if let Some(line) = self.gshadow.as_mut().and_then(|table| table.named_mut(group)) {
            add_member(line, user);
        }
        Ok(())
    }

    /// Sets a password hash.
    pub(crate) fn set_hash(&mut self, user: &str, hash: &str) -> Result<(), RootError> {
        if hash.contains([':', '\n']) {
            return Err(RootError::from(StepFailure::recipe(
                Statement::User(user.to_owned()),
                format!("the password hash of user {user} contains a `:` or a line break"),
            )));
        }
        match self.shadow.as_mut().and_then(|table| table.named_mut(user)) {
            Some(line) => line[1] = hash.to_owned(),
            None => return Err(RootError::from(StepFailure::input(format!("user {user} is missing in /etc/shadow")))),
        }
        Ok(())
    }

    /// Puts new numbers in the place of old ones.
    pub(crate) fn renumber(&mut self, users: &BTreeMap<u32, u32>, groups: &BTreeMap<u32, u32>) {
        let change = |field: &mut String, moves: &BTreeMap<u32, u32>| {
            if let Some(new) = field.parse().ok().and_then(|old: u32| moves.get(&old)) {
                *field = new.to_string();
            }
        };
        self.passwd.change(|lines| {
            for line in lines {
                change(&mut line[2], users);
                change(&mut line[3], groups);
            }
        });
        self.group.change(|lines| lines.iter_mut().for_each(|line| change(&mut line[2], groups)));
    }

    /// Puts the lines into their canonical order, and the day of every password's last change to `day`.
    pub(crate) fn normalise(&mut self, day: i64) {
        let number = |line: &Vec<String>| (line[2].parse::<u64>().unwrap_or(u64::MAX), line[0].clone());
        self.passwd.change(|lines| lines.sort_by_cached_key(number));
        self.group.change(|lines| lines.sort_by_cached_key(number));
        let order = |lines: &mut Vec<Vec<String>>, of: &AccountTable| {
            lines.sort_by_cached_key(|line| (of.places().get(&line[0]), line[0].clone()));
        };
        if let Some(shadow) = &mut self.shadow {
            shadow.change(|lines| {
                order(lines, &self.passwd);
                lines.iter_mut().for_each(|line| line[2] = day.to_string());
            });
        }
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.change(|lines| order(lines, &self.group));
            gshadow.change(|lines| lines.iter_mut().for_each(|line| sort_members(line)));
        }
        self.group.change(|lines| lines.iter_mut().for_each(|line| sort_members(line)));
    }
}

fn sort_members(line: &mut [String]) {
    let mut members: Vec<&str> = line[3].split(',').collect();
    members.sort_unstable();
    line[3] = members.join(",");
}

fn add_member(line: &mut [String], user: &str) {
    let members = &mut line[3];
    if members.split(',').any(|member| member == user) {
        return;
    }
    if !members.is_empty() {
        members.push(',');
    }
    members.push_str(user);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::within_cpu_seconds;

    fn table(lines: &[&str]) -> AccountTable {
        AccountTable::new(lines.iter().map(|line| line.split(':').map(str::to_owned).collect()).collect())
    }

    fn accounts() -> Accounts {
        Accounts {
            passwd: table(&["b:x:999:999::/:/bin/sh", "root:x:0:0:root:/root:/bin/sh"]),
            group: table(&["b:x:999:", "root:x:0:", "adm:x:4:b"]),
            shadow: Some(table(&["b:!:20000::::::", "root:*:1:0:99999:7:::"])),
            gshadow: Some(table(&["b:!::", "root:*::", "adm:*::b"])),
        }
    }

    #[test]
    fn a_new_user_stands_in_all_four_files() {
        let mut accounts = accounts();
        accounts.add_group("a", 1000);
        accounts.add_user("a", (1000, 1000));
        accounts.join("a", "adm").unwrap();
        accounts.set_hash("a", "$y$hash").unwrap();
        accounts.normalise(7);
        let lines = |table: &AccountTable| table.lines().iter().map(|line| line.join(":")).collect::<Vec<_>>();
        assert_eq!(lines(&accounts.passwd)[2], "a:x:1000:1000::/home/a:/bin/bash");
        assert_eq!(lines(&accounts.group), ["root:x:0:", "adm:x:4:a,b", "b:x:999:", "a:x:1000:"]);
        let shadow = accounts.shadow.unwrap();
        assert_eq!(lines(&shadow), ["root:*:7:0:99999:7:::", "b:!:7::::::", "a:$y$hash:7:0:99999:7:::"]);
        assert_eq!(lines(&accounts.gshadow.unwrap()), ["root:*::", "adm:*::a,b", "b:!::", "a:!::"]);
    }

    #[test]
    fn numbers_change_for_users_and_their_groups_alike() {
        let mut accounts = accounts();
        accounts.renumber(&BTreeMap::from([(999, 4)]), &BTreeMap::from([(999, 4), (4, 5)]));
        assert_eq!(accounts.passwd.lines()[0].join(":"), "b:x:4:4::/:/bin/sh");
        assert_eq!((accounts.gid("b"), accounts.gid("adm"), accounts.gid("root")), (Some(4), Some(5), Some(0)));
    }

    #[test]
    fn a_huge_passwd_is_handled_line_by_line() {
        within_cpu_seconds(60, "exec::tree::accounts::tests::a_huge_passwd_is_handled_line_by_line", || {
            let numbers = 0..200_000_u32;
            let lines = |line: &dyn Fn(u32) -> String| numbers.clone().rev().map(line).collect::<Vec<_>>();
            let table = |lines: Vec<String>| table(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let mut accounts = Accounts {
                passwd: table(lines(&|id| format!("u{id}:x:{id}:{id}::/home/u{id}:/bin/sh"))),
                group: table(lines(&|id| format!("u{id}:x:{id}:"))),
                shadow: Some(table(lines(&|id| format!("u{id}:*:1:0:99999:7:::")))),
                gshadow: Some(table(lines(&|id| format!("u{id}:!::")))),
            };
            accounts.normalise(7);
            for id in numbers {
                let name = format!("u{id}");
                assert_eq!((accounts.user(&name), accounts.gid(&name)), (Some((id, id)), Some(id)));
                accounts.join("u0", &name).unwrap();
                accounts.set_hash(&name, "x").unwrap();
            }
            accounts.renumber(&BTreeMap::from([(0, 300_000)]), &BTreeMap::new());
            assert_eq!(accounts.passwd.numbered(300_000), Some("u0"));
            assert_eq!(accounts.shadow.unwrap().lines()[199_999].join(":"), "u199999:x:7:0:99999:7:::");
        });
    }

    #[test]
    fn groups_that_are_missing_and_odd_hashes_are_errors() {
        let mut accounts = accounts();
        assert!(accounts.join("b", "docker").is_err());
        assert!(accounts.set_hash("b", "x:y").is_err());
        assert_eq!(accounts.user("b"), Some((999, 999)));
    }
}

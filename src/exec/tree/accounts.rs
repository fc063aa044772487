//! `/etc/passwd`, `group`, `shadow` and `gshadow` as data, changed together.

use std::collections::BTreeMap;

use super::{RootError, Tree};
use crate::exec::failure::StepFailure;
use crate::plan::Statement;
use crate::plan::root::RootIds;

/// The four files, each line as its fields.
pub(crate) struct Accounts {
    pub(crate) passwd: Vec<Vec<String>>,
    pub(crate) group: Vec<Vec<String>>,
    shadow: Option<Vec<Vec<String>>>,
    gshadow: Option<Vec<Vec<String>>>,
}

impl Accounts {
    /// Reads those of a tree.
    pub(crate) fn read(tree: &Tree) -> Result<Accounts, RootError> {
        let table = |name: &str, fields: usize| -> Result<Option<Vec<Vec<String>>>, RootError> {
            let Some(text) = tree.text(format!("etc/{name}"))? else { return Ok(None) };
            let mut lines = Vec::new();
            for line in text.lines().filter(|line| !line.is_empty()) {
                let parts: Vec<String> = line.split(':').map(str::to_owned).collect();
                if parts.len() != fields {
                    return Err(RootError::from(StepFailure::input(format!(
                        "/etc/{name}: line `{line}` has not {fields} fields"
                    ))));
                }
                lines.push(parts);
            }
            Ok(Some(lines))
        };
        Ok(Accounts {
            passwd: table("passwd", 7)?.unwrap_or_default(),
            group: table("group", 4)?.unwrap_or_default(),
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
        put("passwd", &self.passwd)?;
        put("group", &self.group)?;
        put("shadow", self.shadow.as_deref().unwrap_or_default())?;
        put("gshadow", self.gshadow.as_deref().unwrap_or_default())
    }

    /// uid and gid of a user.
    pub(crate) fn user(&self, name: &str) -> Option<(u32, u32)> {
        let line = self.passwd.iter().find(|line| line[0] == name)?;
        Some((line[2].parse().ok()?, line[3].parse().ok()?))
    }

    /// gid of a group.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        self.group.iter().find(|line| line[0] == name)?[2].parse().ok()
    }

    /// Every user and group with its number.
    pub(crate) fn ids(&self) -> Result<RootIds, RootError> {
        let numbers = |lines: &[Vec<String>]| -> Result<BTreeMap<String, u32>, RootError> {
            let number = |line: &Vec<String>| {
                let odd = |_| RootError::from(StepFailure::input(format!("{} has the number `{}`", line[0], line[2])));
                Ok((line[0].clone(), line[2].parse().map_err(odd)?))
            };
            lines.iter().map(number).collect()
        };
        Ok(RootIds { users: numbers(&self.passwd)?, groups: numbers(&self.group)? })
    }

    /// The line of a user that is there.
    pub(crate) fn line(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.passwd.iter_mut().find(|line| line[0] == name)
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
                    .help(format!("`group \"{group}\" {{ }}` in the image makes it")),
            )
        };
        add_member(self.group.iter_mut().find(|line| line[0] == group).ok_or_else(missing)?, user);
        if let Some(line) = self.gshadow.iter_mut().flatten().find(|line| line[0] == group) {
            add_member(line, user);
        }
        Ok(())
    }

    /// Sets a password hash.
    pub(crate) fn set_hash(&mut self, user: &str, hash: &str) -> Result<(), RootError> {
        if hash.contains([':', '\n']) {
            return Err(RootError::from(StepFailure::recipe(
                Statement::User(user.to_owned()),
                format!("the password hash of user {user} has a `:` or a line break"),
            )));
        }
        match self.shadow.iter_mut().flatten().find(|line| line[0] == user) {
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
        for line in &mut self.passwd {
            change(&mut line[2], users);
            change(&mut line[3], groups);
        }
        self.group.iter_mut().for_each(|line| change(&mut line[2], groups));
    }

    /// Puts the lines into their canonical order, and the day of every password's last change to `day`.
    pub(crate) fn normalise(&mut self, day: i64) {
        let number = |line: &Vec<String>| (line[2].parse::<u64>().unwrap_or(u64::MAX), line[0].clone());
        self.passwd.sort_by_key(number);
        self.group.sort_by_key(number);
        let position = |table: &[Vec<String>], name: &str| table.iter().position(|line| line[0] == name);
        if let Some(shadow) = &mut self.shadow {
            shadow.sort_by_key(|line| (position(&self.passwd, &line[0]), line[0].clone()));
            for line in shadow.iter_mut() {
                line[2] = day.to_string();
            }
        }
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.sort_by_key(|line| (position(&self.group, &line[0]), line[0].clone()));
        }
        for line in self.group.iter_mut().chain(self.gshadow.iter_mut().flatten()) {
            let mut members: Vec<&str> = line[3].split(',').collect();
            members.sort_unstable();
            line[3] = members.join(",");
        }
    }
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

    fn table(lines: &[&str]) -> Vec<Vec<String>> {
        lines.iter().map(|line| line.split(':').map(str::to_owned).collect()).collect()
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
        let lines = |table: &[Vec<String>]| table.iter().map(|line| line.join(":")).collect::<Vec<_>>();
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
        assert_eq!(accounts.passwd[0].join(":"), "b:x:4:4::/:/bin/sh");
        assert_eq!((accounts.gid("b"), accounts.gid("adm"), accounts.gid("root")), (Some(4), Some(5), Some(0)));
    }

    #[test]
    fn groups_that_are_missing_and_odd_hashes_are_errors() {
        let mut accounts = accounts();
        assert!(accounts.join("b", "docker").is_err());
        assert!(accounts.set_hash("b", "x:y").is_err());
        assert_eq!(accounts.user("b"), Some((999, 999)));
    }
}

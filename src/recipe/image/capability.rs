//! `capabilities = "cap_net_bind_service=ep"`: what a program may do without being root (capabilities(7)).
//!
//! Input: the text form that setcap(8) takes (cap_from_text(3)). Output: [`FileCapabilities`], and the bytes in which Linux keeps them.

use serde::{Deserialize, Serialize};

/// By number (`include/uapi/linux/capability.h`).
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];
const ALL: u64 = (1 << NAMES.len()) - 1;

/// `VFS_CAP_REVISION_2` and `VFS_CAP_FLAGS_EFFECTIVE`.
const REVISION: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

/// The capabilities of a file, a bit for each number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileCapabilities {
    /// What the program may use.
    pub permitted: u64,
    /// What it keeps of its caller's inheritable ones.
    pub inheritable: u64,
    /// Whether it has them from its start, without asking.
    pub effective: bool,
}

/// Why a text is no set of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCapabilities {
    /// A name that Linux does not have.
    #[error("`{0}` is not the name of a capability")]
    Name(String),
    /// Neither `=`, `+`, `-` nor `e`, `i`, `p` where one is expected.
    #[error("`{0}` lacks an operator and flags: `=ep`")]
    Clause(String),
    /// Some of the capabilities would be effective and others not, which a file cannot say.
    #[error("a file has all of its capabilities effective, or none")]
    Effective,
    /// Nothing is left.
    #[error("no capability is left")]
    Empty,
}

/// While a text is read.
#[derive(Default)]
struct Sets {
    effective: u64,
    inheritable: u64,
    permitted: u64,
}

impl FileCapabilities {
    /// Reads clauses such as `cap_net_raw,cap_net_admin=ep`, separated by spaces; later ones change what earlier ones made.
    pub fn parse(text: &str) -> Result<FileCapabilities, NotCapabilities> {
        let mut sets = Sets::default();
        text.split_ascii_whitespace().try_for_each(|clause| sets.apply(clause))?;
        let Sets { effective, inheritable, permitted } = sets;
        let all = permitted | inheritable;
        if all == 0 {
            return Err(NotCapabilities::Empty);
        }
        if effective != 0 && effective != all {
            return Err(NotCapabilities::Effective);
        }
        Ok(FileCapabilities { permitted, inheritable, effective: effective != 0 })
    }

    /// The value of the attribute `security.capability` (`struct vfs_cap_data`, revision 2).
    pub fn attribute(&self) -> Vec<u8> {
        let flags = if self.effective { EFFECTIVE } else { 0 };
        let halves = |set: u64| [set as u32, (set >> 32) as u32];
        let ([permitted, high_permitted], [inheritable, high_inheritable]) =
            (halves(self.permitted), halves(self.inheritable));
        let words = [REVISION | flags, permitted, inheritable, high_permitted, high_inheritable];
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

impl Sets {
    fn apply(&mut self, clause: &str) -> Result<(), NotCapabilities> {
        let wrong = || NotCapabilities::Clause(clause.to_owned());
        let at = clause.find(['=', '+', '-']).ok_or_else(wrong)?;
        let (names, mut actions) = clause.split_at(at);
        let capabilities = capabilities(names)?;
        // Without names only `=` means all of them.
        if names.is_empty() && !actions.starts_with('=') {
            return Err(wrong());
        }
        let mut first = true;
        while let Some(operator) = actions.chars().next() {
            // `=` stands in front of everything else.
            if operator == '=' && !std::mem::take(&mut first) {
                return Err(wrong());
            }
            first = false;
            let rest = &actions[1..];
            let end = rest.find(['=', '+', '-']).unwrap_or(rest.len());
            let (flags, next) = rest.split_at(end);
            if !flags.chars().all(|flag| "eip".contains(flag)) || (flags.is_empty() && operator != '=') {
                return Err(wrong());
            }
            for (flag, set) in [('e', &mut self.effective), ('i', &mut self.inheritable), ('p', &mut self.permitted)] {
                match (operator, flags.contains(flag)) {
                    ('=' | '+', true) => *set |= capabilities,
                    ('-', true) | ('=', false) => *set &= !capabilities,
                    _ => {}
                }
            }
            actions = next;
        }
        Ok(())
    }
}

fn capabilities(names: &str) -> Result<u64, NotCapabilities> {
    if names.is_empty() || names.eq_ignore_ascii_case("all") {
        return Ok(ALL);
    }
    names.split(',').try_fold(0, |set, name| {
        let number = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        Ok(set | 1 << number.ok_or_else(|| NotCapabilities::Name(name.to_owned()))?)
    })
}

/// The known name that is nearest to one that is not known.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let short = NAMES.into_iter().find(|known| known.strip_prefix("cap_") == Some(&lower));
    short.or_else(|| crate::recipe::nearest::nearest(&lower, NAMES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        let bytes = FileCapabilities::parse(text).unwrap().attribute();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What setcap of libcap 2.66 writes, as `getfattr -e hex` shows it.
    #[test]
    fn the_attribute_is_the_one_that_setcap_writes() {
        assert_eq!(hex("cap_net_bind_service=ep"), "0100000200040000000000000000000000000000");
        assert_eq!(hex("cap_net_raw,cap_net_admin+p"), "0000000200300000000000000000000000000000");
        assert_eq!(hex("CAP_SYS_ADMIN=i"), "0000000200000000000020000000000000000000");
        assert_eq!(hex("cap_bpf=eip"), "0100000200000000000000008000000080000000");
        assert_eq!(hex("=ep cap_sys_admin-ep"), "01000002ffffdfff00000000ff01000000000000");
        assert_eq!(hex("cap_chown=p cap_chown+e"), hex("cap_chown=ep"));
    }

    #[test]
    fn what_no_file_can_have_and_what_gives_it_nothing_is_an_error() {
        for (text, error) in [
            ("", NotCapabilities::Empty),
            ("cap_chown=", NotCapabilities::Empty),
            ("cap_chown=e", NotCapabilities::Empty),
            ("cap_chown=ep cap_kill=p", NotCapabilities::Effective),
            ("cap_chown", NotCapabilities::Clause("cap_chown".to_owned())),
            ("cap_chown=x", NotCapabilities::Clause("cap_chown=x".to_owned())),
            ("cap_chown+", NotCapabilities::Clause("cap_chown+".to_owned())),
            ("cap_chown=ep=p", NotCapabilities::Clause("cap_chown=ep=p".to_owned())),
            ("+ep", NotCapabilities::Clause("+ep".to_owned())),
            ("net_raw=ep", NotCapabilities::Name("net_raw".to_owned())),
            ("cap_chown,=ep", NotCapabilities::Name(String::new())),
        ] {
            assert_eq!(FileCapabilities::parse(text), Err(error), "{text}");
        }
        assert_eq!(nearest("net_raw"), Some("cap_net_raw"));
        assert_eq!(nearest("cap_net_bind_servise"), Some("cap_net_bind_service"));
    }
}

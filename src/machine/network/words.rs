//! The words on the kernel's command line that tell a guest its name, its addresses and its neighbours.
//!
//! Nothing of that stands in the image, so machines share one. systemd takes credentials from the command line
//! (`systemd.set_credential_binary=`, kernel-command-line(7)): `network.network.*` become files of systemd-networkd through
//! systemd-network-generator(8), from systemd 256 on, and `tmpfiles.extra` has lines for systemd-tmpfiles(8).

use std::fmt::Write;

use super::{Member, Networks};
use crate::base::base64;

impl Networks {
    /// What a machine's kernel is told; nothing for a machine on no private network.
    pub fn kernel_words(&self, machine: &str) -> Vec<String> {
        let mut words: Vec<String> = self.of(machine).map(|(name, member)| interface(name, member)).collect();
        if !words.is_empty() {
            words.insert(0, format!("systemd.hostname={machine}"));
            words.push(credential("tmpfiles.extra", &self.file_lines(machine)));
        }
        words
    }

    /// Lines of tmpfiles.d(5) that make a machine's neighbours known; nothing for a machine on no private network.
    pub fn file_lines(&self, machine: &str) -> String {
        if self.of(machine).next().is_none() { String::new() } else { hosts_file(&self.hosts(machine)) }
    }
}

/// The card is known by its address: names of interfaces depend on slots. Sorts before the image's own files, which give
/// every card an address by DHCP.
fn interface(network: &str, member: &Member) -> String {
    let Member { mac, address, prefix, .. } = member;
    let text = format!("[Match]\nMACAddress={mac}\n[Network]\nAddress={address}/{prefix}\n");
    credential(&format!("network.network.10-kiln-{network}"), &text)
}

/// A line of tmpfiles.d(5) that writes all of `/etc/hosts` anew at every boot.
fn hosts_file(hosts: &str) -> String {
    let mut line = "f+ /etc/hosts 0644 root root - ".to_owned();
    for entry in ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"].into_iter().chain(hosts.lines()) {
        write!(line, "{entry}\\n").expect("a String takes every text");
    }
    line + "\n"
}

fn credential(name: &str, text: &str) -> String {
    format!("systemd.set_credential_binary={name}:{}", base64::encode(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_is_one_line_for_systemd_tmpfiles() {
        let line = hosts_file("10.0.0.5 a\n10.0.0.6 b\n");
        assert!(line.starts_with("f+ /etc/hosts 0644 root root - 127.0.0.1 localhost\\n::1 "));
        assert!(line.ends_with("\\n10.0.0.5 a\\n10.0.0.6 b\\n\n") && line.lines().count() == 1);
    }
}

//! What a start hands to the guest's systemd: credentials, as systemd.system-credentials(7) names them.
//!
//! They come through firmware, where there is room for long ones: the kernel's command line has 2047 bytes. systemd reads
//! OEM strings of SMBIOS since version 252 (`io.systemd.credential.binary:`); a board without SMBIOS tables has fw_cfg.

use super::{LaunchOptions, QemuOption};
use crate::base::base64;
use crate::recipe::machine::{Chipset, Machine};

/// One credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What systemd's units look for: `ssh.authorized_keys.root`.
    pub name: &'static str,
    pub text: String,
}

/// The options that hand them over. GRUB reads the last OEM string, so these stand before the loader's.
pub(super) fn options(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    let option = |Credential { name, text }: &Credential| match machine.chipset.value {
        Chipset::Q35 | Chipset::I440fx => {
            let encoded = base64::encode(text.as_bytes());
            QemuOption::kind("-smbios", "type=11")
                .with("value", format!("io.systemd.credential.binary:{name}={encoded}"))
        }
        Chipset::Virt => {
            let file = QemuOption::keyed("-fw_cfg").with("name", format!("opt/io.systemd.credentials/{name}"));
            file.with("string", text.as_str())
        }
    };
    launch.credentials.iter().map(option).collect()
}

//! A session keyring of its own for every sandbox: keys of the caller are searched for, and had, through the session
//! keyring that a process inherits (`session-keyring(7)`), and no namespace changes that.
//!
//! Input: nothing. Output: the calling process has a fresh, anonymous keyring, and so has whatever it starts.

use std::io::Error;

use super::SandboxError;

/// `KEYCTL_JOIN_SESSION_KEYRING` of Linux `include/uapi/linux/keyctl.h`.
const JOIN_SESSION: libc::c_long = 1;

/// Leaves the caller's session keyring. It is the first thing that a sandbox does.
pub(super) fn leave() -> Result<(), SandboxError> {
    // SAFETY: without a name the call reads no memory; it changes the credentials of this process, which has one thread.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION, std::ptr::null::<libc::c_char>()) };
    if joined >= 0 {
        return Ok(());
    }
    let error = Error::last_os_error();
    match error.raw_os_error() {
        // A kernel without keys has none to hide; a container engine that refuses the call refuses to read keys, too,
        // and its refusal is inherited like the keyring.
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        Some(libc::EDQUOT) => Err(SandboxError::setup(
            "leave the session keyring",
            format!("{error}: this user has all the keys it may have; raise `kernel.keys.maxkeys`"),
        )),
        _ => Err(SandboxError::setup("leave the session keyring", error)),
    }
}

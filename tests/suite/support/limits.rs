//! The resource limits of a process, changed from outside while it runs (`prlimit(2)`).

use std::io;

use nix::libc;
use nix::unistd::Pid;

/// What is limited.
#[derive(Debug, Clone, Copy)]
pub enum Resource {
    /// The number of the first descriptor that is not given out.
    Descriptors,
    /// The size of a file, in bytes: a write beyond it ends the process.
    FileSize,
}

/// Sets the soft limit of that process (0: the calling one), and returns what it was.
#[track_caller]
pub fn limit(process: Pid, resource: Resource, amount: u64) -> u64 {
    let resource = match resource {
        Resource::Descriptors => libc::RLIMIT_NOFILE,
        Resource::FileSize => libc::RLIMIT_FSIZE,
    };
    let mut usual = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a system call that writes the limits to a place of our own.
    let read =
        unsafe { libc::prlimit(process.as_raw(), resource, std::ptr::null(), &raw mut usual) };
    let wanted = libc::rlimit {
        rlim_cur: amount,
        ..usual
    };
    // SAFETY: a system call that reads the limits from a place of our own.
    let set = unsafe {
        libc::prlimit(
            process.as_raw(),
            resource,
            &raw const wanted,
            std::ptr::null_mut(),
        )
    };
    assert_eq!((read, set), (0, 0), "{}", io::Error::last_os_error());
    usual.rlim_cur
}

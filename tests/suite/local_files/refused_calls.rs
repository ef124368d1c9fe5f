//! File systems that cannot do what the local store needs, played by the kernel: a seccomp filter lets one system
//! call fail.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use super::record;
use crate::support::process::Invocation;
use crate::support::workspace::Workspace;

#[test]
fn a_file_system_that_cannot_lock_files_is_refused() {
    let workspace = Workspace::new();
    let refused = failing(
        workspace.tflock(["exec", "--", "true"]),
        libc::SYS_flock,
        Errno::EOPNOTSUPP,
    );
    let refused = refused.within(Duration::from_secs(20)).run();
    let refused = refused
        .ended_with(78)
        .with_stderr("cannot lock files")
        .with_stderr("hint: set TFLOCK_LOCAL_DIR to a writable directory that supports file locks");
    assert_eq!(refused.stdout, "");
    assert_eq!(record(&workspace), None);
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_lock() {
    let workspace = Workspace::new();
    let refused = failing(
        workspace.tflock(["exec", "--", "true"]),
        libc::SYS_fsync,
        Errno::ENOSPC,
    );
    refused
        .run()
        .ended_with(78)
        .with_stderr("No space left on device");
    assert_eq!(record(&workspace), None);
}

/// The same run, to which one system call fails with that error.
pub fn failing(mut run: Invocation, call: libc::c_long, error: Errno) -> Invocation {
    use std::os::unix::process::CommandExt;
    let number = u32::try_from(call).expect("a system call's number");
    let answer = libc::SECCOMP_RET_ERRNO | u32::try_from(error as i32).expect("an error number");
    let install = move || {
        let statement = |code: u32, k: u32| libc::sock_filter {
            code: u16::try_from(code).unwrap_or_default(),
            jt: 0,
            jf: 0,
            k,
        };
        let mut program = [
            // The number of the call is the first field of `seccomp_data`.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
            libc::sock_filter {
                jf: 1,
                ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number)
            },
            statement(libc::BPF_RET | libc::BPF_K, answer),
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog {
            len: 4,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: two system calls that read the filter, which outlives them.
        let set = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const filter,
                ) == 0
        };
        if set {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec it makes two system calls and allocates nothing.
    unsafe { run.command().pre_exec(install) };
    run
}

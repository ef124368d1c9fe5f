//! The output of a child whose tflock was killed: from then on the witness passes it on.
//!
//! Otherwise nobody would read those pipes any more, and terraform, asked to stop, would die of SIGPIPE at its next word:
//! possibly while it writes the state file, which it truncates first.
//!
//! This runs in the forked witness. It must make system calls only: nothing that allocates or locks.

use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::libc;

use super::output::{Relay, deliver};

/// stdout and stderr.
const STREAMS: usize = 2;

/// poll(2) passes over entries with this descriptor.
const CLOSED: libc::c_int = -1;

/// Passes on what comes until everybody who could write has ended. What nobody wants to read any more is dropped.
pub(super) fn pass_on(relays: &[Relay]) {
    let mut watched = [libc::pollfd {
        fd: CLOSED,
        events: libc::POLLIN,
        revents: 0,
    }; STREAMS];
    for (watched, relay) in watched.iter_mut().zip(relays) {
        watched.fd = relay.source.as_raw_fd();
    }
    let mut is_wanted = [true; STREAMS];
    let mut chunk = [0; 16 * 1024];
    let nobody_asks = AtomicU64::new(0);

    while watched.iter().any(|one| one.fd != CLOSED) {
        // SAFETY: the pointer is to an array of that many entries, and the descriptors are open.
        if unsafe { libc::poll(watched.as_mut_ptr(), STREAMS as libc::nfds_t, -1) } == -1 {
            if Errno::last() == Errno::EINTR {
                continue;
            }
            return;
        }
        for ((watched, relay), is_wanted) in watched.iter_mut().zip(relays).zip(&mut is_wanted) {
            if watched.revents == 0 {
                continue;
            }
            match relay.source.as_ref().read(&mut chunk) {
                Ok(0) => watched.fd = CLOSED,
                Ok(count) => {
                    *is_wanted &= deliver(&relay.target, &chunk[..count], &nobody_asks).is_ok();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => watched.fd = CLOSED,
            }
        }
    }
}

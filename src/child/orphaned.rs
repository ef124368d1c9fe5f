//! The output of a child whose tflock was killed: the witness passes it on from then on.
//!
//! Otherwise nothing would read those pipes, and a terraform that is stopping would die of SIGPIPE at its next output:
//! possibly while it writes the state file, which it truncates first.
//!
//! This runs in the forked witness. It must make only system calls: no allocation, no locks.

use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::libc;

use super::output::{Relay, deliver};

const STREAMS: usize = 2;

/// poll(2) ignores entries with this descriptor.
const CLOSED: libc::c_int = -1;

/// Passes on output until every writer has ended. Output without a reader is dropped.
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

//! What the forked witness does until it ends.
//!
//! It must make system calls only: nothing that allocates or locks.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal as Number, killpg, sigaction,
};
use nix::unistd::{Pid, dup2_stdin, read, setpgid, write};

use super::{Duty, REPORT, TELL_ALL};
use crate::child::output::Relay;
use crate::child::title::{TitleArea, rename};
use crate::child::{inherited, orphaned};

/// A name of its own, so that `pkill tflock` and `pkill -f 'tflock apply'` mean tflock alone. If the witness were hit as
/// well that would look as if terraform had got the signal.
const NAME: &CStr = c"lock-witness";

/// Whether the group was asked to stop: by anybody, tflock included.
static ASKED: AtomicBool = AtomicBool::new(false);

/// The witness's whole life.
pub(super) fn keep_watch(
    socket: &OwnedFd,
    duty: Duty,
    relays: &[Relay],
    kept: Option<BorrowedFd<'_>>,
    title: Option<TitleArea>,
) -> ! {
    // Both sides do it, so that neither has to wait for the other. On failure tflock ends us.
    let _ = setpgid(Pid::from_raw(0), duty.group);
    let ready = dup2_stdin(socket.as_fd()).is_ok() && install(duty).is_ok();
    if ready {
        close_all_but_stdin_and(relays, kept);
        rename(NAME, title);
        let _ = SigSet::empty().thread_set_mask();
        outlast_tflock(duty);
        ask(duty);
        orphaned::pass_on(relays);
    }
    // SAFETY: ends the process without running anything that tflock has registered for its own exit.
    unsafe { libc::_exit(0) }
}

fn install(duty: Duty) -> nix::Result<()> {
    // Whole reports only: no handler interrupts another.
    let note = SigAction::new(
        SigHandler::SigAction(report),
        SaFlags::SA_RESTART,
        SigSet::all(),
    );
    for signal in [Number::SIGINT, Number::SIGTERM] {
        // SAFETY: `report` is async-signal-safe.
        unsafe { sigaction(signal, &note) }?;
    }
    // It must neither stop nor die with its group; the leader's death by SIGQUIT is seen elsewhere.
    for signal in [
        Number::SIGHUP,
        Number::SIGQUIT,
        Number::SIGTSTP,
        Number::SIGTTIN,
        Number::SIGTTOU,
        Number::SIGPIPE,
    ] {
        inherited::set(signal, SigHandler::SigIgn)?;
    }
    for signal in [Number::SIGCHLD, Number::SIGCONT] {
        inherited::set(signal, SigHandler::SigDfl)?;
    }
    if duty.hang_up_counts {
        // SAFETY: as above.
        unsafe { sigaction(Number::SIGHUP, &note) }?;
    }
    Ok(())
}

extern "C" fn report(number: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    if number == libc::SIGINT || number == libc::SIGTERM {
        ASKED.store(true, Ordering::SeqCst);
    }
    // SAFETY: the kernel passes a valid pointer, and both fields are set for signals sent by processes and terminals.
    let (code, sender) = unsafe { ((*info).si_code, (*info).si_pid()) };
    let fields = [number, code, sender];
    // SAFETY: `write` is async-signal-safe; the array is REPORT bytes long. If it fails tflock is gone, which is noticed
    // elsewhere.
    unsafe {
        let before = *errno_location();
        libc::write(libc::STDIN_FILENO, fields.as_ptr().cast(), REPORT);
        *errno_location() = before;
    }
}

#[cfg(target_os = "linux")]
use libc::__errno_location as errno_location;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno_location;

/// Returns when tflock has ended, and the socket with it. Until then asks if a limit passes.
fn outlast_tflock(duty: Duty) {
    // SAFETY: the socket was put there, and stays open until this process ends.
    let socket = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
    let mut limit = None::<Instant>;
    loop {
        let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            ask(duty);
            limit = None;
            continue;
        }
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            // Rounded up, or it would not have passed.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let mut milliseconds = [0; 4];
        match read(socket, &mut milliseconds) {
            Ok(0) => return,
            Ok(_) if i32::from_ne_bytes(milliseconds) == TELL_ALL => {
                // Whatever signal was waiting has been reported: its handler has run by now.
                let _ = write(socket, &[0; REPORT]);
            }
            Ok(_) => {
                let milliseconds = u64::try_from(i32::from_ne_bytes(milliseconds));
                limit = milliseconds
                    .ok()
                    .map(|left| Instant::now() + Duration::from_millis(left));
            }
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Asks the group to stop, unless somebody has.
fn ask(duty: Duty) {
    if !ASKED.load(Ordering::SeqCst) {
        let _ = killpg(duty.group, duty.stop);
    }
}

/// Locked files, connections and other pipes of tflock's must not stay open because of the witness.
fn close_all_but_stdin_and(relays: &[Relay], kept: Option<BorrowedFd<'_>>) {
    let ends = |relay: &Relay| [relay.source.as_raw_fd(), relay.target.as_raw_fd()];
    let mut first: RawFd = 1;
    // There are five at the most: looking for the next one costs less than a sorted list, which would have to live
    // somewhere.
    while let Some(kept) = relays
        .iter()
        .flat_map(ends)
        .chain(kept.map(|kept| kept.as_raw_fd()))
        .filter(|&one| one >= first)
        .min()
    {
        close_range(first, kept - 1);
        first = kept + 1;
    }
    close_range(first, RawFd::MAX);
}

/// Closes these descriptors, both ends included, and all between them.
fn close_range(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: a system call that takes numbers; nothing in this process uses the descriptors any more.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // SAFETY: as above.
    unsafe {
        let limit = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 65_536);
        let limit = libc::c_int::try_from(limit).unwrap_or(65_536);
        for descriptor in first..=last.min(limit) {
            libc::close(descriptor);
        }
    }
}

//! The life of the forked witness.
//!
//! It must make only system calls: no allocation, no locks.

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

use super::{CHILD_ENDED, Duty, Estate, NAME, REPORT, REPORT_ALL};
use crate::child::bequest::{Child, Ready};
use crate::child::output::Relay;
use crate::child::title::rename;
use crate::child::{inherited, orphaned};

/// Whether anyone, including tflock, has asked the group to stop.
static ASKED: AtomicBool = AtomicBool::new(false);

pub(super) fn keep_watch(socket: &OwnedFd, duty: Duty, estate: &Estate<'_>) -> ! {
    // Both sides call it, so that neither has to wait. On failure tflock ends us.
    let _ = setpgid(Pid::from_raw(0), duty.group);
    let ready = dup2_stdin(socket.as_fd()).is_ok() && install(duty).is_ok();
    if ready {
        close_all_but_stdin_and(estate);
        rename(NAME, estate.title);
        let _ = SigSet::empty().thread_set_mask();
        let child = outlast_tflock(duty);
        if child == Child::Living {
            ask(duty);
        }
        take_over(estate, child);
    }
    // SAFETY: ends the process without running anything that tflock has registered for its own exit.
    unsafe { libc::_exit(0) }
}

fn install(duty: Duty) -> nix::Result<()> {
    // No handler interrupts another, so reports stay whole.
    let note = SigAction::new(
        SigHandler::SigAction(report),
        SaFlags::SA_RESTART,
        SigSet::all(),
    );
    for signal in [Number::SIGINT, Number::SIGTERM] {
        // SAFETY: `report` is async-signal-safe.
        unsafe { sigaction(signal, &note) }?;
    }
    // It must neither stop nor die with its group; a leader that dies of SIGQUIT is noticed elsewhere.
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

/// Does what tflock would do next: relays the output and releases the lock. Each in a process of its own, because a
/// reader or a daemon may block the output forever.
fn take_over(estate: &Estate<'_>, child: Child) {
    let Some(bequest) = &estate.bequest else {
        return orphaned::pass_on(estate.relays);
    };
    if !estate.relays.is_empty() {
        // SAFETY: this process has one thread, and both go on making system calls only.
        match unsafe { libc::fork() } {
            0 => {}
            id => {
                if id > 0 {
                    release_place(estate);
                }
                orphaned::pass_on(estate.relays);
                if id > 0 {
                    return;
                }
            }
        }
    }
    bequest.carry_out(child);
}

/// The process that releases the lock keeps the place, and looks who else has one.
fn release_place(estate: &Estate<'_>) {
    if let Some(kept) = &estate.kept {
        // SAFETY: a system call that takes a number; nothing in this process uses it any more.
        unsafe { libc::close(kept.as_raw_fd()) };
    }
}

/// Returns when tflock has ended, which closes the socket. Until then asks the group to stop if a limit passes.
fn outlast_tflock(duty: Duty) -> Child {
    // SAFETY: the socket was put there, and stays open until this process ends.
    let socket = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
    let mut limit = None::<Instant>;
    let mut child = Child::Living;
    loop {
        let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            ask(duty);
            limit = None;
            continue;
        }
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            // Rounded up: the limit must have passed by then.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return child,
        }
        let mut milliseconds = [0; 4];
        match read(socket, &mut milliseconds) {
            Ok(0) => return child,
            Ok(_) if i32::from_ne_bytes(milliseconds) == CHILD_ENDED => {
                (child, limit) = (Child::Ended, None);
            }
            Ok(_) if i32::from_ne_bytes(milliseconds) == REPORT_ALL => {
                // Every pending signal has been reported: its handler has run by now.
                let _ = write(socket, &[0; REPORT]);
            }
            Ok(_) => {
                let milliseconds = u64::try_from(i32::from_ne_bytes(milliseconds));
                limit = milliseconds
                    .ok()
                    .map(|left| Instant::now() + Duration::from_millis(left));
            }
            Err(Errno::EINTR) => {}
            Err(_) => return child,
        }
    }
}

/// Asks the group to stop, unless it was asked already.
fn ask(duty: Duty) {
    if !ASKED.load(Ordering::SeqCst) {
        let _ = killpg(duty.group, duty.stop);
    }
}

/// The witness must not keep tflock's locked files, connections and other pipes open.
fn close_all_but_stdin_and(estate: &Estate<'_>) {
    let ends = |relay: &Relay| [relay.source.as_raw_fd(), relay.target.as_raw_fd()];
    let mut first: RawFd = 1;
    // There are at most eight: searching for the next one costs less than a sorted list, which would need memory.
    while let Some(kept) = estate
        .relays
        .iter()
        .flat_map(ends)
        .chain(estate.kept.map(|kept| kept.as_raw_fd()))
        // For the messages of the process that releases the lock.
        .chain(estate.bequest.iter().map(|_| libc::STDERR_FILENO))
        .chain(estate.bequest.iter().flat_map(Ready::descriptors))
        .filter(|&one| one >= first)
        .min()
    {
        close_range(first, kept - 1);
        first = kept + 1;
    }
    close_range(first, RawFd::MAX);
}

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

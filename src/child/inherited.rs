//! What this process was given by its parent: the signals it was told to ignore, those held back by its mask, and the
//! standard streams that are closed.
//!
//! It is read before the first handler is installed, and given on to the child, which must not notice that tflock
//! stands in between. Nothing here may allocate or lock once the child is forked.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Every signal whose disposition tflock changes for itself, and so has to set right again in the child.
const TOUCHED: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Dispositions and signal mask as they were when tflock was started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    ignored: [bool; TOUCHED.len()],
    mask: SigSet,
}

impl Inherited {
    /// Reads them. Call it before any handler is installed.
    pub(super) fn read() -> nix::Result<Self> {
        Ok(Self {
            ignored: TOUCHED.map(|signal| is_ignored(signal as i32)),
            mask: SigSet::thread_get_mask()?,
        })
    }

    /// Whether tflock was started with this signal ignored, as by nohup, or by a shell that puts a job behind.
    pub(super) fn ignores(&self, signal: Signal) -> bool {
        TOUCHED
            .iter()
            .zip(self.ignored)
            .any(|(touched, ignored)| *touched == signal && ignored)
    }

    /// Puts everything back, but for SIGHUP: the child never learns of a hang-up, because tflock turns it into a graceful
    /// stop. Go programs keep SIGHUP ignored if they were started so, and give that on to their own children.
    ///
    /// For the forked child, right before it becomes terraform: it makes system calls only.
    pub(super) fn restore(&self) -> nix::Result<()> {
        for (signal, ignored) in TOUCHED.into_iter().zip(self.ignored) {
            let ignore = ignored || signal == Signal::SIGHUP;
            set(
                signal,
                if ignore {
                    SigHandler::SigIgn
                } else {
                    SigHandler::SigDfl
                },
            )?;
        }
        restore_broken_pipe()?;
        // Last, because a signal that waited behind the mask strikes now: after its handler, which belongs to tflock, is
        // gone.
        self.mask.thread_set_mask()
    }
}

/// Puts back SIGPIPE alone: what has to be done by a process that installed no handler, because Rust's runtime ignores
/// SIGPIPE before `main`, and its `Command` resets it to the default.
pub(super) fn restore_broken_pipe() -> nix::Result<()> {
    let ignored = BROKEN_PIPE_AT_START.load(Ordering::Relaxed) == IGNORED;
    set(
        Signal::SIGPIPE,
        if ignored {
            SigHandler::SigIgn
        } else {
            SigHandler::SigDfl
        },
    )
}

/// Closes the standard streams that were closed at the start, where Rust's runtime put `/dev/null` before `main`.
pub(super) fn restore_closed_streams() {
    let closed = CLOSED_AT_START.load(Ordering::Relaxed);
    for stream in STREAMS
        .into_iter()
        .filter(|stream| closed & (1 << stream) != 0)
    {
        // SAFETY: it is the `/dev/null` of the runtime, which nobody else counts on once the process is replaced.
        unsafe { libc::close(stream) };
    }
}

/// Sets a disposition that is not a handler.
pub(super) fn set(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    // SAFETY: only called with `SigIgn` and `SigDfl`, which run no code of ours.
    unsafe {
        sigaction(
            signal,
            &SigAction::new(handler, SaFlags::empty(), SigSet::empty()),
        )
    }
    .map(drop)
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeroes is a valid `sigaction`, and a null new action only asks for the present one.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut present) == 0
            && present.sa_sigaction == libc::SIG_IGN
    }
}

const IGNORED: u8 = 1;
const NOT_IGNORED: u8 = 2;

/// 0 where the platform gave no chance to look.
static BROKEN_PIPE_AT_START: AtomicU8 = AtomicU8::new(0);

const STREAMS: [c_int; 3] = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];

/// One bit for each of the standard streams that was closed.
static CLOSED_AT_START: AtomicU8 = AtomicU8::new(0);

/// Run by the C runtime before Rust's own start sets SIGPIPE to ignored and opens what is closed, which is the only
/// moment to see what was inherited.
extern "C" fn note_inherited() {
    let broken_pipe = if is_ignored(libc::SIGPIPE) {
        IGNORED
    } else {
        NOT_IGNORED
    };
    BROKEN_PIPE_AT_START.store(broken_pipe, Ordering::Relaxed);
    for stream in STREAMS {
        // SAFETY: it only asks, and a descriptor that is closed is an error like any other.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } == -1 {
            CLOSED_AT_START.fetch_or(1 << stream, Ordering::Relaxed);
        }
    }
}

#[used]
// SAFETY: an entry of this section is a pointer to a function that the C runtime calls once; it gets arguments that a C
// function may leave unread, and this one calls nothing but sigaction and fcntl.
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
static BEFORE_RUNTIME: extern "C" fn() = note_inherited;

//! What this process inherited from its parent: ignored signals, the signal mask, and closed standard streams.
//!
//! It is read before the first handler is installed, and restored in the child, which must not notice tflock. Nothing
//! here may allocate or lock after the fork.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The signals whose disposition tflock changes, and must restore in the child.
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

/// Dispositions and signal mask at the start of tflock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    ignored: [bool; TOUCHED.len()],
    mask: SigSet,
}

impl Inherited {
    /// Reads them. Call it before installing any handler.
    pub(super) fn read() -> nix::Result<Self> {
        Ok(Self {
            ignored: TOUCHED.map(|signal| is_ignored(signal as i32)),
            mask: SigSet::thread_get_mask()?,
        })
    }

    /// Whether this signal was ignored at the start, as by nohup, or by a shell for a background job.
    pub(super) fn ignores(&self, signal: Signal) -> bool {
        TOUCHED
            .iter()
            .zip(self.ignored)
            .any(|(touched, ignored)| *touched == signal && ignored)
    }

    /// Restores everything except SIGHUP: the child must never see a hang-up, because tflock turns it into a graceful
    /// stop. Go programs keep an inherited ignored SIGHUP, and pass it on to their children.
    ///
    /// For the forked child, right before its exec: makes only system calls.
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
        // Last: a pending signal arrives now, after tflock's handler is gone.
        self.mask.thread_set_mask()
    }
}

/// Restores only SIGPIPE, for a process without handlers: Rust's runtime ignores SIGPIPE before `main`, and its
/// `Command` resets it to the default.
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

/// Closes the standard streams that were closed at the start, and which Rust's runtime opened to `/dev/null` before
/// `main`.
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

/// 0 if the platform offers no way to look.
static BROKEN_PIPE_AT_START: AtomicU8 = AtomicU8::new(0);

const STREAMS: [c_int; 3] = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];

/// One bit for each standard stream that was closed.
static CLOSED_AT_START: AtomicU8 = AtomicU8::new(0);

/// Run by the C runtime before Rust's start-up ignores SIGPIPE and opens closed streams: the only moment to see what
/// was inherited.
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    /// What a program that is started with what was inherited blocks and ignores of the signals that tflock touches.
    fn masks(inherited: Inherited) -> [u64; 2] {
        let mut program = Command::new("grep");
        program.args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
        // SAFETY: system calls only.
        unsafe { program.pre_exec(move || Ok(inherited.restore()?)) };
        let output = program.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let masks = text.lines().map(|line| line.split('\t').nth(1).unwrap());
        let touched = TOUCHED.map(bit).iter().sum::<u64>() | bit(Signal::SIGPIPE);
        let masks: Vec<u64> = masks
            .map(|mask| u64::from_str_radix(mask, 16).unwrap() & touched)
            .collect();
        masks.try_into().expect("two lines")
    }

    fn bit(signal: Signal) -> u64 {
        1 << (signal as i32 - 1)
    }

    #[test]
    fn a_child_inherits_what_tflock_did_and_never_sees_a_hang_up() {
        let nothing = Inherited {
            ignored: [false; TOUCHED.len()],
            mask: SigSet::empty(),
        };
        // Whether SIGPIPE is ignored is how this test was started.
        let pipe = masks(nothing)[1] & bit(Signal::SIGPIPE);
        for signal in TOUCHED {
            let ignoring = Inherited {
                ignored: TOUCHED.map(|touched| touched == signal),
                ..nothing
            };
            assert!(ignoring.ignores(signal) && !nothing.ignores(signal));
            let ignored = bit(Signal::SIGHUP) | bit(signal) | pipe;
            assert_eq!(masks(ignoring), [0, ignored], "{signal}");
            let blocking = Inherited {
                mask: SigSet::from_iter([signal]),
                ..nothing
            };
            let ignored = bit(Signal::SIGHUP) | pipe;
            assert_eq!(masks(blocking), [bit(signal), ignored], "{signal}");
        }
    }
}

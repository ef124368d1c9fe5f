//! How a child ended, and how to end in the same way.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, raise, sigaction};
use nix::unistd::Pid;

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(u8),
    /// It died of this signal.
    Signalled(SignalNumber),
}

impl Ending {
    /// The ending in a wait status; `None` if the process only stopped or continued.
    pub(super) fn of(status: ExitStatus) -> Option<Self> {
        if let Some(signal) = status.signal() {
            return Some(Self::Signalled(SignalNumber(signal)));
        }
        // The kernel keeps eight bits of an exit code.
        let code = status.code()?;
        Some(Self::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
    }
}

/// A signal number. nix's enum lacks realtime signals, and a program may die of those too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalNumber(pub i32);

impl SignalNumber {
    /// The exit code with which shells report a death by this signal: 128 plus its number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        u8::try_from(128_i32.saturating_add(self.0)).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for SignalNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(signal) => formatter.write_str(signal.as_str()),
            Err(_) => write!(formatter, "signal {}", self.0),
        }
    }
}

/// Ends this process by `signal`, so that the shell, make or CI system above sees what it would have seen from
/// terraform. Call it last, from `main`: nothing is unwound or flushed.
///
/// Writes no second core file. If the signal has no effect (the first process of a container is immune to signals
/// without a handler), exits with [`SignalNumber::exit_code`].
pub fn die_of(signal: SignalNumber) -> ! {
    #[cfg(target_os = "linux")]
    // Not the size limit: it does not stop a core that is piped to a crash reporter (core(5)).
    let _ = nix::sys::prctl::set_dumpable(false);

    if let Ok(known) = nix::sys::signal::Signal::try_from(signal.0) {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code of ours. SIGKILL and SIGSTOP refuse the call and need none.
        let _ = unsafe { sigaction(known, &default) };
        let mut only = SigSet::empty();
        only.add(known);
        let _ = only.thread_swap_mask(SigmaskHow::SIG_UNBLOCK);
        let _ = raise(known);
    }
    #[expect(clippy::exit, reason = "the process should be dead by now")]
    std::process::exit(i32::from(signal.exit_code()))
}

/// The status change of `child` since the last call, without waiting. nix's function loses endings by realtime signals.
pub(super) fn wait_for(child: Pid) -> Option<ExitStatus> {
    let mut status = 0;
    // SAFETY: the pointer is to a local integer.
    let found = unsafe {
        libc::waitpid(
            child.as_raw(),
            &raw mut status,
            libc::WNOHANG | libc::WUNTRACED,
        )
    };
    (found == child.as_raw()).then(|| ExitStatus::from_raw(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_classified() {
        assert_eq!(Ending::of(ExitStatus::from_raw(0)), Some(Ending::Exited(0)));
        assert_eq!(
            Ending::of(ExitStatus::from_raw(255 << 8)),
            Some(Ending::Exited(255))
        );
        assert_eq!(
            Ending::of(ExitStatus::from_raw(9)),
            Some(Ending::Signalled(SignalNumber(9)))
        );
        let dumped_core = 0x8b;
        assert_eq!(
            Ending::of(ExitStatus::from_raw(dumped_core)),
            Some(Ending::Signalled(SignalNumber(11)))
        );
        let stopped = 0x147f;
        assert_eq!(Ending::of(ExitStatus::from_raw(stopped)), None);
    }

    #[test]
    fn dying_of_the_childs_signal_writes_no_second_core_file() {
        use std::os::unix::process::CommandExt as _;
        use std::process::Command;

        let directory = tempfile::tempdir().unwrap();
        let mut program = Command::new("false");
        program.current_dir(directory.path());
        let end = || {
            let unlimited = libc::rlimit {
                rlim_cur: libc::RLIM_INFINITY,
                rlim_max: libc::RLIM_INFINITY,
            };
            // SAFETY: a system call on a local structure. Where it fails no core file is written in any case.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const unlimited) };
            die_of(SignalNumber(libc::SIGABRT))
        };
        // SAFETY: system calls only.
        unsafe { program.pre_exec(end) };
        let status = program.status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGABRT));
        assert!(!status.core_dumped());
    }

    #[test]
    fn signals_have_names_and_the_shells_exit_codes() {
        assert_eq!(SignalNumber(15).to_string(), "SIGTERM");
        assert_eq!(SignalNumber(40).to_string(), "signal 40");
        assert_eq!(SignalNumber(9).exit_code(), 137);
    }
}

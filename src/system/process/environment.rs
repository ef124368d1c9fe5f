//! Whether a process carries a text in its environment.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use nix::errno::Errno;

use super::Stat;

/// Whether a process carries a text in its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Unknown: its environment is unreadable, or it is in the middle of an exec.
    Hidden,
}

/// When to look again at a process in the middle of an exec or of its end: both take microseconds, on a busy machine tens of
/// milliseconds, because such a process has to wait for its turn like any other.
const PAUSES: RangeInclusive<Duration> = Duration::from_micros(250)..=Duration::from_millis(16);
/// For how long, all pauses taken together.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether `text` is in the environment of a process that has not ended.
#[must_use]
pub fn carries(pid: u32, text: &[u8]) -> Carries {
    let (mut paused, mut pause) = (Duration::ZERO, *PAUSES.start());
    loop {
        match try_carries(pid, text) {
            Some(carries) => return carries,
            None if paused >= PATIENCE => return Carries::Hidden,
            None => std::thread::sleep(pause),
        }
        paused += pause;
        pause = (2 * pause).min(*PAUSES.end());
    }
}

/// `None` in the middle of an exec, or of its end.
fn try_carries(pid: u32, text: &[u8]) -> Option<Carries> {
    Some(match std::fs::read(format!("/proc/{pid}/environ")) {
        // Look again: it may have exec'd in between.
        Ok(environment) if environment.is_empty() => match Stat::read(pid) {
            Ok(now) if !now.has_no_environment() && !now.has_ended() => return None,
            _ => Carries::No,
        },
        Ok(environment) if environment.windows(text.len()).any(|part| part == text) => Carries::Yes,
        Err(error) if is_failed_look(&error) => Carries::Hidden,
        Ok(_) | Err(_) => Carries::No,
    })
}

/// Whether the look itself failed, rather than the process being gone.
fn is_failed_look(error: &io::Error) -> bool {
    !matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENOENT | Errno::ESRCH)
    )
}

//! Processes as `/proc` shows them: the only place that reads it.
//!
//! A failed look is an error, never an absence: a proof that a process has ended depends on the difference.

mod environment;
mod stat;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

pub use self::environment::{Carries, carries};
pub use self::stat::Stat;

/// A process, distinct from any later one with the same ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessIdentity {
    /// Process ID in its PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The running process with that ID; `None` if there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid).ok()?;
        (!stat.has_ended()).then_some(Self {
            pid,
            start_time: stat.start_time,
        })
    }

    /// Whether it still exists.
    #[must_use]
    pub fn existence(self) -> Existence {
        match Stat::read(self.pid) {
            Ok(stat) if stat.start_time == self.start_time && !stat.has_ended() => {
                Existence::Exists
            }
            Ok(_) => Existence::Absent,
            Err(_) => unseen(self.pid),
        }
    }
}

/// Whether a process exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It does.
    Exists,
    /// It does not.
    Absent,
    /// There is a process with that ID, but we may not look at it (`hidepid`).
    Hidden,
}

/// Whether any process has that ID.
#[must_use]
pub fn existence_of(pid: u32) -> Existence {
    match Stat::read(pid) {
        Ok(stat) if !stat.has_ended() => Existence::Exists,
        Ok(_) => Existence::Absent,
        Err(_) => unseen(pid),
    }
}

fn unseen(pid: u32) -> Existence {
    match nix::sys::signal::kill(pid_of(pid), None) {
        Err(Errno::ESRCH) => Existence::Absent,
        _ => Existence::Hidden,
    }
}

/// The IDs of all visible processes.
///
/// # Errors
/// There is no `/proc`, or no descriptor left to read it with.
pub fn all() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// Whether processes are hidden from us: if we cannot see process 1, others may be hidden too.
#[must_use]
pub fn are_hidden() -> bool {
    Stat::read(1).is_err()
}

/// A process as shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its ID.
    pub pid: u32,
    /// Its name as the kernel knows it: at most 15 bytes.
    pub name: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.pid, self.name)
    }
}

/// The other processes that have `file` open, as far as we can see.
#[must_use]
pub fn users_of(file: &File) -> Vec<Named> {
    let place = |status: std::fs::Metadata| (status.dev(), status.ino());
    let Ok(wanted) = file.metadata().map(place) else {
        return Vec::new();
    };
    let has_it = |pid: u32| {
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        let mut files = descriptors.filter_map(|one| std::fs::metadata(one.ok()?.path()).ok());
        files.any(|status| place(status) == wanted)
    };
    let others = all().unwrap_or_default().into_iter();
    others
        .filter(|pid| *pid != std::process::id() && has_it(*pid))
        .filter_map(|pid| {
            let name = Stat::read(pid).ok()?.name;
            Some(Named { pid, name })
        })
        .collect()
}

/// Who owns a process.
///
/// # Errors
/// It has ended, or we may not look at it.
pub fn owner(pid: u32) -> io::Result<u32> {
    Ok(std::fs::metadata(format!("/proc/{pid}"))?.uid())
}

/// The command line of a process, program first; empty for kernel threads and ended processes.
///
/// # Errors
/// It has ended, or we may not look at it.
pub fn command_line(pid: u32) -> io::Result<Vec<OsString>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    if words.is_empty() {
        return Ok(Vec::new());
    }
    Ok(words
        .split(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect())
}

/// The environment that a process was started with, in order; empty in the middle of an exec.
///
/// # Errors
/// It is gone, or hides its environment.
pub fn environment(pid: u32) -> io::Result<Vec<(OsString, OsString)>> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ"))?;
    let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(&pair[..at]), text(&pair[at + 1..])))
    });
    Ok(pairs.collect())
}

/// The working directory of a process.
///
/// # Errors
/// It has ended, or we may not look at it.
pub fn directory(pid: u32) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd"))
}

/// Whether a process runs the same program file as this one.
#[must_use]
pub fn is_same_program(pid: u32) -> bool {
    let program = |pid: &str| {
        let status = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
        Some((status.dev(), status.ino()))
    };
    let own = program("self");
    own.is_some() && own == program(&pid.to_string())
}

/// Whether a command line has exactly these arguments after the program.
#[must_use]
pub fn has_arguments(command_line: &[OsString], arguments: &[OsString]) -> bool {
    command_line
        .split_first()
        .is_some_and(|(_, own)| own == arguments)
}

/// Whether a command line is an interpreter running the script `program` with exactly these arguments.
#[must_use]
pub fn interprets(command_line: &[OsString], program: &OsStr, arguments: &[OsString]) -> bool {
    let Some(before) = command_line.len().checked_sub(arguments.len()) else {
        return false;
    };
    let (interpreter, own) = command_line.split_at(before);
    // The interpreter, at most one option of its own, and the script (execve(2)).
    own == arguments
        && (2..=3).contains(&interpreter.len())
        && interpreter.last().is_some_and(|script| {
            script == program
                || script
                    .as_bytes()
                    .ends_with(&[b"/", program.as_bytes()].concat())
        })
}

/// The time since boot as [`Stat::start_time`] counts it.
#[must_use]
pub fn ticks_since_boot() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    let since = clock.now().map_or(Duration::ZERO, Duration::from);
    // `/proc` counts in hundredths on every architecture that Rust's standard library runs on.
    u64::try_from(since.as_millis() / 10).unwrap_or(u64::MAX)
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests;

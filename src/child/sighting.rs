//! Whether the program that works under the lock is a process of this machine.
//!
//! What was started may be a client of something else: a script that calls `docker run`, say, whose end tells nothing of
//! terraform's. The program counts as seen once a process has exactly the arguments that it was to get, whatever its name: a
//! version manager becomes it sooner or later. A script counts as the program itself, as long as nothing else works for it.
//! What was just started has these arguments, be it the program or a script: later looks tell what came of it.

use std::ffi::OsString;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::Instant;

use super::spawn::{Command, WaitFor};
use crate::system::process::{self, Stat};
use crate::system::run_file::Sighting;

/// When it is looked for after the start. Then every so often, until it has been seen.
const LOOKS: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// How often it is looked for after that.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long a program must have been at work for a script to count as more than a step of it, in clock ticks.
const STEP: u64 = 25;

/// The watch for the program.
#[derive(Debug)]
pub(super) struct Watch {
    child: Pid,
    program: OsString,
    arguments: Vec<OsString>,
    started: Instant,
    looks: usize,
    next: Option<Instant>,
    current: Sighting,
}

impl Watch {
    /// The watch over a child that has just been started.
    pub(super) fn new(command: &Command, child: Pid) -> Self {
        let started = Instant::now();
        let mut watch = Self {
            child,
            program: command.program.clone(),
            arguments: command.arguments.clone(),
            started,
            looks: 0,
            next: Some(started),
            current: Sighting::Seen,
        };
        if command.wait_for == WaitFor::All {
            // Any program, which is itself what works under the lock.
            watch.next = None;
        }
        watch
    }

    /// What is known now, after a look if it is time for one.
    pub(super) fn current(&mut self) -> Sighting {
        self.look(Instant::now());
        self.current
    }

    /// When to look again; `None` once it has been seen for sure.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Looks, if it is time; returns what has changed.
    pub(super) fn look(&mut self, now: Instant) -> Option<Sighting> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        let pause = LOOKS.get(self.looks).map(|after| self.started + *after);
        self.looks += 1;
        self.next = Some(pause.unwrap_or(now + LOOK_EVERY));
        let before = self.current;
        match self.who_works() {
            Worker::Program => {
                self.next = None;
                self.current = Sighting::Seen;
            }
            Worker::Script => self.current = Sighting::Seen,
            Worker::Unknown => self.current = Sighting::Unseen,
            Worker::Ended => {}
        }
        (self.current != before).then_some(self.current)
    }

    fn who_works(&self) -> Worker {
        let is_program = |pid: u32| {
            process::command_line(pid)
                .is_ok_and(|words| process::has_arguments(&words, &self.arguments))
        };
        let child = self.child.as_raw().unsigned_abs();
        if is_program(child) {
            return Worker::Program;
        }
        // Its subshells look like it.
        let is_script = |pid: u32| {
            process::command_line(pid)
                .is_ok_and(|words| process::interprets(&words, &self.program, &self.arguments))
        };
        let Ok(pids) = process::all() else {
            return Worker::Unknown;
        };
        let now = ticks_since_boot();
        let group = pids
            .into_iter()
            .filter(|&pid| pid != child)
            .filter_map(|pid| Stat::read(pid).ok())
            .filter(|stat| stat.group == self.child.as_raw() && !stat.has_ended());
        let mut others = false;
        for stat in group {
            if is_program(stat.pid) {
                return Worker::Program;
            }
            let is_step = now <= stat.start_time + STEP;
            others |= !(is_step || process::is_same_program(stat.pid) || is_script(stat.pid));
        }
        if !others && Stat::read(child).is_ok_and(|stat| stat.has_ended()) {
            Worker::Ended
        } else if !others && is_script(child) {
            Worker::Script
        } else {
            Worker::Unknown
        }
    }
}

/// Who works under the lock.
enum Worker {
    /// A process with exactly our arguments.
    Program,
    /// A script of that name, by itself.
    Script,
    /// Nobody who can be told.
    Unknown,
    /// Nobody any more.
    Ended,
}

fn ticks_since_boot() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    let since = clock.now().map_or(Duration::ZERO, Duration::from);
    // `/proc` counts in hundredths on every architecture that Rust's standard library runs on.
    u64::try_from(since.as_millis() / 10).unwrap_or(u64::MAX)
}

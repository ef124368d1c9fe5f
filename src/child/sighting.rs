//! Whether the program that works under the lock is a process of this machine.
//!
//! The child may be a client of something else, such as a script that calls `docker run`, whose end says nothing about
//! terraform's. The program counts as seen once a process has exactly the arguments that we passed, whatever its name: a
//! version manager execs it sooner or later. A script counts as the program itself as long as nothing else works for it. The
//! child has these arguments at first, whether it is the program or a script: later looks tell which.
//!
//! As soon as the program is there, its view is compared with ours. That happens during the run, never before its start.

mod look;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::Instant;

pub use self::look::Worker;
use self::look::{Depth, Found};
use super::group::Process;
use super::spawn::{Command, WaitFor};
use super::view::{Difference, Expected};
use crate::system::process;
use crate::system::run_file::Sighting;

/// When to look for it after the start. Then at intervals, until it has been seen.
const LOOKS: [Duration; 12] = [
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_secs(1),
    Duration::from_millis(1_500),
    Duration::from_secs(2),
    Duration::from_millis(2_500),
    Duration::from_secs(3),
];

/// How often to look for it after that: if its view has to be compared, and if not.
const COMPARE_EVERY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The child may look like the program and start the real one: when to check whether it did.
const LOOKS_BEHIND_IT: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// Watches for the program.
#[derive(Debug)]
pub(super) struct Watch {
    child: Pid,
    program: OsString,
    arguments: Vec<OsString>,
    expected: Option<Expected>,
    started: Instant,
    looks: usize,
    looks_behind: usize,
    next: Option<Instant>,
    current: Sighting,
    has_met_program: bool,
    /// Programs that have left the child's group, as `setsid` makes them.
    outside: BTreeSet<u32>,
}

/// What a look has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Sighted(Sighting),
    /// The program's view differs from ours.
    Differs(Difference),
}

impl Watch {
    /// Watches a child that has just been started.
    pub(super) fn new(command: &Command, child: Pid) -> Self {
        let started = Instant::now();
        let mut watch = Self {
            child,
            program: command.program.clone(),
            arguments: command.arguments.clone(),
            expected: Expected::of(command),
            started,
            looks: 0,
            looks_behind: 0,
            next: Some(started),
            current: Sighting::Seen,
            has_met_program: false,
            outside: BTreeSet::new(),
        };
        if command.wait_for == WaitFor::All {
            // Any program, which itself works under the lock.
            watch.next = None;
        }
        watch
    }

    /// What is known now.
    pub(super) fn current(&self) -> Sighting {
        self.current
    }

    /// When to look again; `None` once it has been seen for sure.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Looks if that is due; returns what is new.
    pub(super) fn look(&mut self, now: Instant) -> Vec<News> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let depth = if self.looks_behind == 0 {
            Depth::First
        } else {
            Depth::Behind
        };
        let found = self.find(depth);
        self.next = self.next_look(&found, now);
        self.take_in(&found)
    }

    /// Looks at once, because the program may be there; returns the worker, and what is new.
    pub(super) fn look_now(&mut self) -> (Worker, Vec<News>) {
        let found = self.find(Depth::First);
        let news = self.take_in(&found);
        (found.worker, news)
    }

    /// The programs with exactly our arguments that are not in the child's group, and so miss its signals.
    pub(super) fn outside(&self) -> impl Iterator<Item = Pid> {
        let pids = self.outside.iter().filter(|&&pid| self.is_program(pid));
        pids.filter_map(|&pid| Some(Pid::from_raw(i32::try_from(pid).ok()?)))
    }

    /// It has read everything that decides. From now on, a process that looks like it is one that it has started itself.
    pub(super) fn compare_no_more(&mut self) {
        self.expected = None;
    }

    fn next_look(&mut self, found: &Found, now: Instant) -> Option<Instant> {
        let is_settled = found.worker == Worker::Program && !found.is_undecided;
        if is_settled {
            self.expected.as_ref()?;
            let after = LOOKS_BEHIND_IT.get(self.looks_behind)?;
            self.looks_behind += 1;
            return Some((self.started + *after).max(now + LOOKS[0]));
        }
        let pause = LOOKS.get(self.looks).map(|after| self.started + *after);
        self.looks += 1;
        let every = match self.expected {
            Some(_) => COMPARE_EVERY,
            None => LOOK_EVERY,
        };
        Some(pause.unwrap_or(now + every))
    }

    fn take_in(&mut self, found: &Found) -> Vec<News> {
        self.outside.extend(&found.outside);
        let before = self.current;
        match found.worker {
            Worker::Program | Worker::Script => self.current = Sighting::Seen,
            // Whichever process it is, the program has been there.
            Worker::Unknown if self.has_met_program => {}
            Worker::Unknown => self.current = Sighting::Unseen,
            Worker::Ended => {}
        }
        self.has_met_program |= found.worker == Worker::Program;
        let mut news = Vec::new();
        if self.current != before {
            news.push(News::Sighted(self.current));
        }
        if let Some(difference) = &found.difference {
            // Once is enough.
            self.expected = None;
            news.push(News::Differs(difference.clone()));
        }
        news
    }

    /// Whether it has exactly our arguments, whatever its name. For a program of `exec`, only the first one counts.
    pub(super) fn is_the_program(&self, process: &Process) -> bool {
        process.has_arguments(&self.arguments)
    }

    /// Whether that process has exactly our arguments.
    fn is_program(&self, pid: u32) -> bool {
        process::command_line(pid)
            .is_ok_and(|words| process::has_arguments(&words, &self.arguments))
    }
}

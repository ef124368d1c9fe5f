//! One look at the processes of the child: which of them works under the lock, and what it sees.

use std::collections::BTreeSet;

use nix::unistd::Pid;

use super::super::view::{Compared, Difference, Expected};
use super::Watch;
use crate::system::process::{self, Stat};

/// How long a program must have been running to be more than one step of a script, in clock ticks.
const STEP: u64 = 25;

impl Watch {
    /// Looks for the program among the processes of the child.
    pub(super) fn find(&self, depth: Depth) -> Found {
        let mut found = Found {
            worker: Worker::Unknown,
            difference: None,
            is_undecided: false,
            outside: Vec::new(),
        };
        let child = self.child.as_raw().unsigned_abs();
        let child_is_program = self.is_program(child);
        if child_is_program {
            found.take_program(self.expected.as_ref(), child);
            if self.expected.is_none() || found.difference.is_some() || depth == Depth::First {
                return found;
            }
        }
        // Its subshells look the same.
        let is_script = |pid: u32| {
            process::command_line(pid)
                .is_ok_and(|words| process::interprets(&words, &self.program, &self.arguments))
        };
        let Ok(mut pids) = process::all() else {
            return found;
        };
        if child_is_program {
            // The processes that it has started are younger; the others need not be read.
            pids.retain(|&pid| pid > child);
        }
        let now = process::ticks_since_boot();
        let of_child = OfChild::among(pids, self.child);
        let mut others = false;
        for stat in of_child.living() {
            if self.is_program(stat.pid) {
                found.take_program(self.expected.as_ref(), stat.pid);
                if stat.group != self.child.as_raw() {
                    found.outside.push(stat.pid);
                }
                continue;
            }
            let is_step = now <= stat.start_time + STEP;
            others |= stat.group == self.child.as_raw()
                && !(is_step || process::is_same_program(stat.pid) || is_script(stat.pid));
        }
        if found.worker == Worker::Program {
            return found;
        }
        found.worker = if !others && Stat::read(child).is_ok_and(|stat| stat.has_ended()) {
            Worker::Ended
        } else if !others && is_script(child) {
            Worker::Script
        } else {
            Worker::Unknown
        };
        found
    }
}

/// How far to look if the child itself looks like the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// It is the first of them.
    First,
    /// It may have started the real one.
    Behind,
}

/// The result of one look.
pub(super) struct Found {
    pub(super) worker: Worker,
    pub(super) difference: Option<Difference>,
    /// Whether a process has to be compared again.
    pub(super) is_undecided: bool,
    pub(super) outside: Vec<u32>,
}

impl Found {
    fn take_program(&mut self, expected: Option<&Expected>, pid: u32) {
        self.worker = Worker::Program;
        match expected.map(|expected| expected.compare(pid)) {
            Some(Compared::Different(difference)) => {
                self.difference.get_or_insert(difference);
            }
            Some(Compared::NotYet) => self.is_undecided = true,
            Some(Compared::Same) | None => {}
        }
    }
}

/// The child's group and all its descendants, in whatever group, without the child itself.
struct OfChild(Vec<Stat>);

impl OfChild {
    fn among(pids: Vec<u32>, child: Pid) -> Self {
        let all = pids.into_iter().filter_map(|pid| Stat::read(pid).ok());
        let all: Vec<Stat> = all.collect();
        let child_pid = child.as_raw().unsigned_abs();
        let mut family = BTreeSet::from([child_pid]);
        loop {
            let before = family.len();
            let descendants = all.iter().filter(|stat| family.contains(&stat.parent));
            let descendants: Vec<u32> = descendants.map(|stat| stat.pid).collect();
            family.extend(descendants);
            if family.len() == before {
                break;
            }
        }
        let is_of_child = |stat: &Stat| {
            stat.pid != child_pid && (stat.group == child.as_raw() || family.contains(&stat.pid))
        };
        Self(all.into_iter().filter(is_of_child).collect())
    }

    fn living(&self) -> impl Iterator<Item = &Stat> {
        self.0.iter().filter(|stat| !stat.has_ended())
    }
}

/// The process that works under the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// A process with exactly our arguments.
    Program,
    /// A script of that name, by itself.
    Script,
    /// None that we can identify.
    Unknown,
    /// None any more.
    Ended,
}

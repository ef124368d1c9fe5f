//! Waiting for the child of a tflock that was killed, by a process that is not its parent: how it ended is not known.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::sleep;

use super::group::{Left, holds_place};
use super::spawn::WaitFor;
use super::witness::NAME;
use crate::system::process::{self, Stat};

/// How often the group is looked through.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Returns when the child that leads `group`, and whoever else in it still holds its place, has ended.
///
/// # Errors
/// A look that failed: then nothing is known.
pub async fn outlast(group: Pid, wait_for: WaitFor) -> io::Result<()> {
    let mut watch = Watch::new(group, wait_for);
    while watch.finds_somebody(&look(group)?) {
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn look(group: Pid) -> io::Result<Vec<Stat>> {
    if process::are_hidden() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut found = Vec::new();
    for pid in process::all()? {
        match Stat::read(pid) {
            Ok(stat) => found.push(stat),
            Err(_) if process::existence_of(pid) == process::Existence::Absent => {}
            Err(error) => return Err(error),
        }
    }
    found.retain(|stat| {
        stat.group == group.as_raw()
            && stat.pid != std::process::id()
            && stat.name.as_bytes() != NAME.to_bytes()
            && !stat.has_ended()
    });
    Ok(found)
}

/// What is known of the group so far.
struct Watch {
    leader: u32,
    wait_for: WaitFor,
    /// Whom the child was waiting for when it was last seen; `None` if it never was. If they live when it has ended it was
    /// killed, and they may still be at work. Whoever else lives is a daemon, left behind on purpose.
    at_work: Option<BTreeSet<u32>>,
    is_second_look: bool,
}

impl Watch {
    fn new(group: Pid, wait_for: WaitFor) -> Self {
        Self {
            leader: group.as_raw().unsigned_abs(),
            wait_for,
            at_work: None,
            is_second_look: false,
        }
    }

    /// Whether anybody among the `living` has to be waited for.
    fn finds_somebody(&mut self, living: &[Stat]) -> bool {
        if living.iter().any(|stat| stat.pid == self.leader) {
            self.at_work = Some(descendants(living, BTreeSet::from([self.leader])));
            return true;
        }
        if living.is_empty() {
            return false;
        }
        if let Some(at_work) = &mut self.at_work {
            *at_work = descendants(living, std::mem::take(at_work));
        }
        // What was forked a moment ago may be about to become something else.
        let is_first = !std::mem::replace(&mut self.is_second_look, true);
        is_first || living.iter().any(|stat| self.waits_for(stat))
    }

    fn waits_for(&self, stat: &Stat) -> bool {
        let was_at_work = self
            .at_work
            .as_ref()
            .is_none_or(|at_work| at_work.contains(&stat.pid));
        let left = match (self.wait_for, was_at_work) {
            (WaitFor::All, _) => Left::Relying,
            (WaitFor::Terraform, true) => Left::Killed,
            (WaitFor::Terraform, false) => Left::Orderly,
        };
        holds_place(&stat.name, left)
    }
}

/// These and all that descend from them.
fn descendants(living: &[Stat], mut these: BTreeSet<u32>) -> BTreeSet<u32> {
    loop {
        let before = these.len();
        let children = living.iter().filter(|stat| these.contains(&stat.parent));
        let children: Vec<u32> = children.map(|stat| stat.pid).collect();
        these.extend(children);
        if these.len() == before {
            return these;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: u32 = 10;

    fn process(pid: u32, parent: u32, name: &str) -> Stat {
        let own = Stat::read(std::process::id()).expect("our own line of /proc");
        Stat {
            pid,
            parent,
            name: name.to_owned(),
            ..own
        }
    }

    fn watch(wait_for: WaitFor) -> Watch {
        Watch::new(Pid::from_raw(10), wait_for)
    }

    #[test]
    fn the_child_is_waited_for_and_then_nobody() {
        let mut watch = watch(WaitFor::Terraform);
        assert!(watch.finds_somebody(&[process(LEADER, 1, "terraform")]));
        assert!(!watch.finds_somebody(&[]));
    }

    #[test]
    fn a_daemon_that_a_provisioner_left_is_not_waited_for() {
        let mut watch = watch(WaitFor::Terraform);
        let daemon = || process(12, 1, "nginx");
        assert!(watch.finds_somebody(&[process(LEADER, 1, "terraform"), daemon()]));
        assert!(watch.finds_somebody(&[daemon()]));
        assert!(!watch.finds_somebody(&[daemon()]));
    }

    #[test]
    fn whatever_a_killed_terraform_was_waiting_for_is_waited_for_with_all_that_it_starts() {
        let mut watch = watch(WaitFor::Terraform);
        let shell = |parent| process(11, parent, "sh");
        assert!(watch.finds_somebody(&[process(LEADER, 1, "terraform"), shell(LEADER)]));
        for _ in 0..3 {
            assert!(watch.finds_somebody(&[shell(1), process(12, 11, "sleep")]));
        }
        assert!(watch.finds_somebody(&[process(12, 1, "sleep")]));
        assert!(!watch.finds_somebody(&[]));
    }

    #[test]
    fn a_terraform_below_a_wrapper_that_ended_is_waited_for() {
        let mut watch = watch(WaitFor::Terraform);
        assert!(watch.finds_somebody(&[process(LEADER, 1, "sh")]));
        for _ in 0..3 {
            assert!(watch.finds_somebody(&[process(12, 1, "terraform")]));
        }
    }

    #[test]
    fn everybody_is_waited_for_who_was_left_by_a_child_that_was_never_seen_or_by_an_exec() {
        let mut never_seen = watch(WaitFor::Terraform);
        let mut exec = watch(WaitFor::All);
        assert!(exec.finds_somebody(&[process(LEADER, 1, "make")]));
        for _ in 0..3 {
            assert!(never_seen.finds_somebody(&[process(12, 1, "sleep")]));
            assert!(exec.finds_somebody(&[process(12, 1, "sleep")]));
        }
    }

    #[test]
    fn our_own_process_is_not_looked_at() {
        let found = look(nix::unistd::getpgrp()).expect("a look");
        assert!(found.iter().all(|stat| stat.pid != std::process::id()));
    }
}

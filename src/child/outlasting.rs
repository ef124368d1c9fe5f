//! Waits for the child of a killed tflock, in a process that is not its parent, so that its ending is unknown.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::sleep;

use super::group::{Left, Process, holds_place, living};
use super::spawn::WaitFor;

/// How often to look through the group.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Returns when the child that leads `group` has ended, and every other process in the group that holds its place. A process
/// with exactly these `arguments` always does.
///
/// # Errors
/// Not all processes could be looked at: then nothing is known.
pub async fn outlast(group: Pid, wait_for: WaitFor, arguments: &[OsString]) -> io::Result<()> {
    let mut watch = Watch::new(group, wait_for);
    let is_program = |process: &Process| process.has_arguments(arguments);
    while watch.finds_leftovers(&living(group, &[])?, is_program) {
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// What is known about the group so far.
struct Watch {
    leader: i32,
    wait_for: WaitFor,
    /// The processes that the child was waiting for when it was last seen; `None` if it never was. If they are alive when it
    /// has ended, it was killed, and they may still be working. Any other process is a daemon, left behind on purpose.
    at_work: Option<BTreeSet<i32>>,
    is_second_look: bool,
}

impl Watch {
    fn new(group: Pid, wait_for: WaitFor) -> Self {
        Self {
            leader: group.as_raw(),
            wait_for,
            at_work: None,
            is_second_look: false,
        }
    }

    /// Whether any of the `living` has to be waited for.
    fn finds_leftovers(
        &mut self,
        living: &[Process],
        is_program: impl Fn(&Process) -> bool,
    ) -> bool {
        if living.iter().any(|process| process.id == self.leader) {
            self.at_work = Some(descendants(living, BTreeSet::from([self.leader])));
            return true;
        }
        if living.is_empty() {
            return false;
        }
        if let Some(at_work) = &mut self.at_work {
            *at_work = descendants(living, std::mem::take(at_work));
        }
        // A process that was forked a moment ago may be about to exec.
        let is_first = !std::mem::replace(&mut self.is_second_look, true);
        is_first
            || living
                .iter()
                .any(|process| self.waits_for(process) || is_program(process))
    }

    fn waits_for(&self, process: &Process) -> bool {
        let was_at_work = self
            .at_work
            .as_ref()
            .is_none_or(|at_work| at_work.contains(&process.id));
        let left = match (self.wait_for, was_at_work) {
            (WaitFor::All, _) => Left::Relying,
            (WaitFor::Terraform, true) => Left::Killed,
            (WaitFor::Terraform, false) => Left::Orderly,
        };
        holds_place(&process.name, left)
    }
}

/// These and all that descend from them.
fn descendants(living: &[Process], mut these: BTreeSet<i32>) -> BTreeSet<i32> {
    loop {
        let before = these.len();
        let is_child = |process: &&Process| {
            i32::try_from(process.parent).is_ok_and(|parent| these.contains(&parent))
        };
        let children: Vec<i32> = living.iter().filter(is_child).map(|one| one.id).collect();
        these.extend(children);
        if these.len() == before {
            return these;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: i32 = 10;

    fn process(id: i32, parent: u32, name: &str) -> Process {
        Process {
            id,
            parent,
            name: name.to_owned(),
        }
    }

    fn watch(wait_for: WaitFor) -> Watch {
        Watch::new(Pid::from_raw(10), wait_for)
    }

    fn finds(watch: &mut Watch, living: &[Process]) -> bool {
        watch.finds_leftovers(living, |_| false)
    }

    #[test]
    fn the_child_is_waited_for_and_no_other_process() {
        let mut watch = watch(WaitFor::Terraform);
        assert!(finds(&mut watch, &[process(LEADER, 1, "terraform")]));
        assert!(!finds(&mut watch, &[]));
    }

    #[test]
    fn a_daemon_that_a_provisioner_left_is_not_waited_for() {
        let mut watch = watch(WaitFor::Terraform);
        let daemon = || process(12, 1, "nginx");
        assert!(finds(
            &mut watch,
            &[process(LEADER, 1, "terraform"), daemon()]
        ));
        assert!(finds(&mut watch, &[daemon()]));
        assert!(!finds(&mut watch, &[daemon()]));
    }

    #[test]
    fn whatever_a_killed_terraform_was_waiting_for_is_waited_for_with_all_that_it_starts() {
        let mut watch = watch(WaitFor::Terraform);
        let shell = |parent| process(11, parent, "sh");
        assert!(finds(
            &mut watch,
            &[process(LEADER, 1, "terraform"), shell(10)]
        ));
        for _ in 0..3 {
            assert!(finds(&mut watch, &[shell(1), process(12, 11, "sleep")]));
        }
        assert!(finds(&mut watch, &[process(12, 1, "sleep")]));
        assert!(!finds(&mut watch, &[]));
    }

    #[test]
    fn a_terraform_below_a_wrapper_that_ended_is_waited_for() {
        let mut watch = watch(WaitFor::Terraform);
        assert!(finds(&mut watch, &[process(LEADER, 1, "sh")]));
        for _ in 0..3 {
            assert!(finds(&mut watch, &[process(12, 1, "terraform")]));
        }
    }

    #[test]
    fn all_processes_are_waited_for_that_an_exec_or_a_child_that_was_never_seen_has_left() {
        let mut never_seen = watch(WaitFor::Terraform);
        let mut exec = watch(WaitFor::All);
        assert!(finds(&mut exec, &[process(LEADER, 1, "make")]));
        for _ in 0..3 {
            assert!(finds(&mut never_seen, &[process(12, 1, "sleep")]));
            assert!(finds(&mut exec, &[process(12, 1, "sleep")]));
        }
    }

    #[test]
    fn a_process_with_the_child_s_arguments_is_waited_for_under_any_name() {
        let mut watch = watch(WaitFor::Terraform);
        let wrapped = || [process(12, 1, ".terraform-wrap")];
        assert!(finds(&mut watch, &[process(LEADER, 1, "sh")]));
        assert!(finds(&mut watch, &wrapped()));
        for _ in 0..3 {
            assert!(watch.finds_leftovers(&wrapped(), |_| true));
        }
        assert!(!finds(&mut watch, &wrapped()));
    }
}

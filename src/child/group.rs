//! The processes that are left in the child's group when the child itself has ended.

use std::ffi::OsString;
use std::io;

use nix::unistd::Pid;

use super::witness::NAME;

use crate::system::process::{self, Stat};

/// A process that still holds the child's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its ID.
    pub id: i32,
    /// Its name as the kernel knows it: at most 15 bytes.
    pub name: String,
    /// The process that waits for it.
    pub(super) parent: u32,
}

/// How the child left its group behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It exited: the processes that it left running, it left on purpose.
    Orderly,
    /// It exited, but processes that it left running may still start something that relies on the lock.
    Relying,
    /// It died of a signal: the processes that it was waiting for may still be working.
    Killed,
}

/// The living processes in `group`, without the witnesses, and those of the `others` that are alive, wherever they are.
///
/// # Errors
/// Not all processes could be looked at: then nothing is known.
pub(super) fn living(group: Pid, others: &[Pid]) -> io::Result<Vec<Process>> {
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
    let is_one = |stat: &Stat| {
        stat.group == group.as_raw() || others.iter().any(|other| stat.pid == id_of(*other))
    };
    let is_ours =
        |stat: &Stat| stat.pid == std::process::id() || stat.name.as_bytes() == NAME.to_bytes();
    found.retain(|stat| is_one(stat) && !is_ours(stat) && !stat.has_ended());
    Ok(found
        .into_iter()
        .filter_map(|stat| {
            Some(Process {
                id: i32::try_from(stat.pid).ok()?,
                name: stat.name,
                parent: stat.parent,
            })
        })
        .collect())
}

fn id_of(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
}

impl Process {
    /// Whether it has exactly these arguments: then it is the program itself, whatever its name.
    pub(super) fn has_arguments(&self, arguments: &[OsString]) -> bool {
        process::command_line(self.id.unsigned_abs())
            .is_ok_and(|words| process::has_arguments(&words, arguments))
    }
}

/// The processes that must end before the lock is released: terraform itself, under a wrapper that ended first, or, if the
/// child was killed, any process. Not an ordinary daemon that a `local-exec` left behind; and not a provider, because a
/// provider that has lost its terraform writes no state, does not notice, and never ends (terraform-plugin-sdk issue 257).
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    looked: bool,
    told: Option<Vec<Process>>,
}

/// The result of a look through the group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No process has to be waited for.
    Nothing,
    /// Look again in a moment.
    Leftovers {
        /// The processes, if they are not the same as last time.
        news: Option<Vec<Process>>,
    },
}

impl Leftovers {
    /// Evaluates a look at the `living`. `is_program` tells which of them has exactly the program's arguments. After a look
    /// that failed, there may be leftovers.
    pub(super) fn look(
        &mut self,
        living: io::Result<Vec<Process>>,
        left: Left,
        is_program: impl Fn(&Process) -> bool,
    ) -> Found {
        let first = !std::mem::replace(&mut self.looked, true);
        let holders = match living {
            Ok(living) if living.is_empty() => return Found::Nothing,
            // A process that was forked a moment ago may be about to exec: terraform, or something that need not be waited for.
            _ if first => return Found::Leftovers { news: None },
            Ok(mut living) => {
                living.retain(|process| holds_place(&process.name, left) || is_program(process));
                if living.is_empty() {
                    return Found::Nothing;
                }
                living
            }
            Err(_) => Vec::new(),
        };
        let is_new = self.told.as_ref() != Some(&holders);
        if is_new {
            self.told = Some(holders.clone());
        }
        Found::Leftovers {
            news: is_new.then_some(holders),
        }
    }
}

pub(super) fn holds_place(name: &str, left: Left) -> bool {
    // What 15 bytes hold of `terraform-provider-…`.
    if name.starts_with("terraform-provi") {
        return false;
    }
    // Version switchers call it `terraform_1.11.4` and the like.
    let is_terraform = ["terraform", "tofu"]
        .iter()
        .any(|start| name.starts_with(start));
    left != Left::Orderly || is_terraform || matches!(name, "terragrunt" | "tflock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(leftovers: &mut Leftovers, living: Vec<Process>) -> Found {
        leftovers.look(Ok(living), Left::Orderly, |_| false)
    }

    #[test]
    fn a_process_with_the_arguments_is_a_leftover_and_so_is_any_if_a_look_fails() {
        let process = Process {
            id: 7,
            name: ".terraform-wrap".to_owned(),
            parent: 1,
        };
        let mut leftovers = Leftovers::default();
        for news in [None, Some(vec![process.clone()])] {
            let found = leftovers.look(Ok(vec![process.clone()]), Left::Orderly, |_| true);
            assert_eq!(found, Found::Leftovers { news });
        }
        let failed = || Err(io::Error::from(io::ErrorKind::NotFound));
        let found = leftovers.look(failed(), Left::Orderly, |_| false);
        assert_eq!(
            found,
            Found::Leftovers {
                news: Some(Vec::new())
            }
        );
    }

    #[test]
    fn terraform_holds_its_place_and_daemons_do_not() {
        for name in ["terraform", "tofu", "terraform_1.11."] {
            assert!(holds_place(name, Left::Orderly), "{name}");
        }
        for name in ["sleep", "sh", "nginx"] {
            assert!(!holds_place(name, Left::Orderly), "{name}");
            assert!(holds_place(name, Left::Killed), "{name}");
        }
        assert!(!holds_place("terraform-provi", Left::Killed));
    }

    #[test]
    fn a_fork_that_becomes_terraform_after_the_first_look_is_waited_for_and_told_once() {
        let named = |name: &str| {
            vec![Process {
                id: 7,
                name: name.to_owned(),
                parent: 1,
            }]
        };
        let mut leftovers = Leftovers::default();
        assert_eq!(
            look(&mut leftovers, named("sh")),
            Found::Leftovers { news: None }
        );
        assert_eq!(
            look(&mut leftovers, named("terraform")),
            Found::Leftovers {
                news: Some(named("terraform"))
            }
        );
        assert_eq!(
            look(&mut leftovers, named("terraform")),
            Found::Leftovers { news: None }
        );
        assert_eq!(look(&mut leftovers, Vec::new()), Found::Nothing);
    }

    #[test]
    fn a_daemon_is_looked_at_twice_and_not_waited_for() {
        let daemon = vec![Process {
            id: 7,
            name: "nginx".to_owned(),
            parent: 1,
        }];
        let mut leftovers = Leftovers::default();
        assert_eq!(
            look(&mut leftovers, daemon.clone()),
            Found::Leftovers { news: None }
        );
        assert_eq!(look(&mut leftovers, daemon), Found::Nothing);
    }

    #[test]
    fn all_living_processes_of_a_group_are_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        // Our own process is left out, and what it starts is not.
        let mut sleep = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let found = living(nix::unistd::getpgrp(), &[]).unwrap();
        let started = i32::try_from(sleep.id()).unwrap();
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert!(
            found.iter().any(|process| process.id == started),
            "{found:?}"
        );
        assert!(found.iter().all(|process| process.id != own), "{found:?}");
    }
}

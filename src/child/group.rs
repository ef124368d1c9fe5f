//! Who is left in the child's process group when the child itself has ended.

use nix::unistd::Pid;

use crate::system::process::{self, Stat};

/// A process that still holds the child's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its ID.
    pub id: i32,
    /// Its name as the kernel knows it: at most 15 bytes.
    pub name: String,
}

/// How the child left its group behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It exited: what it left running, it left on purpose.
    Orderly,
    /// It exited, and what it left running may still start something that relies on the lock.
    Relying,
    /// It died of a signal: whatever it was waiting for may still be at work.
    Killed,
}

/// The living processes in `group`, without the witness. None where there is no /proc.
pub(super) fn living(group: Pid, witness: Option<Pid>) -> Vec<Process> {
    let pids = process::all().unwrap_or_default();
    pids.into_iter()
        .filter_map(|pid| Stat::read(pid).ok())
        .filter(|stat| stat.group == group.as_raw() && !stat.has_ended())
        .filter_map(|stat| {
            let id = i32::try_from(stat.pid).ok()?;
            (Some(Pid::from_raw(id)) != witness).then_some(Process {
                id,
                name: stat.name,
            })
        })
        .collect()
}

/// Those that have to be waited for before the lock may go: terraform itself, under a wrapper that ended first, or, if
/// the child was killed, anything at all. Not the ordinary daemon that a `local-exec` left behind; and not a provider,
/// because one that has lost its terraform writes no state, does not notice, and never ends (terraform-plugin-sdk issue
/// 257).
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    looked: bool,
    told: Vec<Process>,
}

/// Who was found at a look through the group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nobody to wait for.
    Nobody,
    /// Look again in a moment.
    Somebody {
        /// Who they are, if others than last time.
        news: Option<Vec<Process>>,
    },
}

impl Leftovers {
    pub(super) fn look(&mut self, mut living: Vec<Process>, left: Left) -> Found {
        let first = !std::mem::replace(&mut self.looked, true);
        if first && !living.is_empty() {
            // What was forked a moment ago may be about to become something else: terraform, or nothing to wait for.
            return Found::Somebody { news: None };
        }
        living.retain(|process| holds_place(&process.name, left));
        if living.is_empty() {
            return Found::Nobody;
        }
        let is_new = living != self.told;
        if is_new {
            self.told.clone_from(&living);
        }
        Found::Somebody {
            news: is_new.then_some(living),
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
            }]
        };
        let mut leftovers = Leftovers::default();
        assert_eq!(
            leftovers.look(named("sh"), Left::Orderly),
            Found::Somebody { news: None }
        );
        assert_eq!(
            leftovers.look(named("terraform"), Left::Orderly),
            Found::Somebody {
                news: Some(named("terraform"))
            }
        );
        assert_eq!(
            leftovers.look(named("terraform"), Left::Orderly),
            Found::Somebody { news: None }
        );
        assert_eq!(leftovers.look(Vec::new(), Left::Orderly), Found::Nobody);
    }

    #[test]
    fn a_daemon_is_looked_at_twice_and_not_waited_for() {
        let daemon = vec![Process {
            id: 7,
            name: "nginx".to_owned(),
        }];
        let mut leftovers = Leftovers::default();
        assert_eq!(
            leftovers.look(daemon.clone(), Left::Orderly),
            Found::Somebody { news: None }
        );
        assert_eq!(leftovers.look(daemon, Left::Orderly), Found::Nobody);
    }

    #[test]
    fn our_own_process_is_found_alive_in_its_group() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = living(nix::unistd::getpgrp(), None);
        assert!(found.iter().any(|process| process.id == own), "{found:?}");
    }
}

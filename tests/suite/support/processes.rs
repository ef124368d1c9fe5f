//! Processes as the kernel shows them: parents, stopped processes, processes that have ended.

use std::fs;

use nix::unistd::Pid;

use crate::support::waiting::wait_until;

/// What `proc_pid_stat(5)` says about a process.
struct Stat {
    state: char,
    parent: Pid,
    group: Pid,
}

fn stat(pid: Pid) -> Option<Stat> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || Some(Pid::from_raw(fields.next()?.parse().ok()?));
    Some(Stat {
        state,
        parent: number()?,
        group: number()?,
    })
}

/// The parent of a process that exists.
#[track_caller]
pub fn parent_of(pid: Pid) -> Pid {
    stat(pid).expect("a living process").parent
}

/// The process group of a process that exists.
#[track_caller]
pub fn group_of(pid: Pid) -> Pid {
    stat(pid).expect("a living process").group
}

/// Whether a process is stopped, as Ctrl-Z does.
pub fn is_stopped(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| stat.state == 'T')
}

/// Waits until a process has ended. A zombie has.
#[track_caller]
pub fn wait_for_end(pid: Pid) {
    wait_until(&format!("the end of process {pid}"), || {
        stat(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
    });
}

/// The living children of a process.
pub fn children_of(parent: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|&pid| {
            stat(pid).is_some_and(|stat| stat.parent == parent && !matches!(stat.state, 'Z' | 'X'))
        })
        .collect()
}

/// The living processes of a group.
pub fn living_in(group: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|&pid| {
            stat(pid).is_some_and(|stat| stat.group == group && !matches!(stat.state, 'Z' | 'X'))
        })
        .collect()
}

/// The witness of a child, which is in its group.
#[track_caller]
pub fn witness_of(child: Pid) -> Pid {
    let mut witness = None;
    wait_until("a witness", || {
        witness = witnesses_in(child).first().copied();
        witness.is_some()
    });
    witness.expect("a witness")
}

/// The processes in the group of a child that look after its lock.
pub fn witnesses_in(group: Pid) -> Vec<Pid> {
    let is_in_group = |pid: &Pid| stat(*pid).is_some_and(|stat| stat.group == group);
    let witnesses = witnesses().into_iter();
    witnesses.filter(is_in_group).collect()
}

/// Waits until that tflock has a witness.
#[track_caller]
pub fn wait_for_witness(tflock: Pid) {
    wait_until("a witness", || {
        let mut witnesses = witnesses().into_iter();
        witnesses.any(|pid| stat(pid).is_some_and(|stat| stat.parent == tflock))
    });
}

fn witnesses() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let lives = stat(*pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'));
            name == "lock-witness\n" && lives
        })
        .collect()
}

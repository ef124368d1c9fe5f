//! Mount namespaces of their own for programs.

use std::process::Command;

use super::passed_over::say_not_tested;
use super::process::Invocation;
use super::workspace::Workspace;

/// As root, and as an ordinary user where the kernel allows user namespaces.
const WAYS: [&str; 2] = [
    "unshare --mount",
    "unshare --user --map-current-user --keep-caps --mount",
];

/// The words that start a program in a mount namespace of its own, as the same user. `None` where that is not allowed, which
/// is said.
pub fn own_mounts() -> Option<&'static str> {
    let works = |way: &&str| {
        let mut trial = Command::new("sh");
        trial.args(["-c", &format!("exec {way} mount -t tmpfs none /tmp")]);
        trial.output().is_ok_and(|output| output.status.success())
    };
    let way = WAYS.into_iter().find(works);
    if way.is_none() {
        say_not_tested("only root can have a mount namespace here (`sudo -E cargo test`)");
    }
    way
}

/// A shell script that runs in a mount namespace of its own, if that is allowed.
pub fn with_own_mounts(workspace: &Workspace, script: &str) -> Option<Invocation> {
    let run = workspace.invocation("sh");
    let way = format!("exec {} sh -c \"$0\" \"$@\"", own_mounts()?);
    Some(run.args(["-c", &way, script]))
}

//! Several users of one machine: locks that a group shares, and private directories.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

use crate::support::mid_run::look_during;
use crate::support::passed_over::say_not_tested;
use crate::support::process::Invocation;
use crate::support::workspace::Workspace;

const GROUP: u32 = 47_100;
const ANA: User = User(47_001);
const BEN: User = User(47_002);

/// A user other than the one who runs the tests, and a member of [`GROUP`] only.
#[derive(Clone, Copy, Debug)]
pub struct User(u32);

impl User {
    /// `None` where the tests do not run as root, who alone can be somebody else.
    pub fn another() -> Option<Self> {
        if geteuid().is_root() {
            return Some(ANA);
        }
        say_not_tested("only root can start a program as another user (`sudo -E cargo test`)");
        None
    }

    /// The same run, of this user.
    pub fn runs(self, mut run: Invocation) -> Invocation {
        run.command().uid(self.0).gid(GROUP);
        run
    }

    /// The words that name this user and its group.
    pub fn ids(self) -> [String; 2] {
        [self.0.to_string(), GROUP.to_string()]
    }

    /// Whether a process of this user works in that directory.
    pub fn runs_anything_in(self, directory: &Path) -> bool {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.map(|entry| entry.path()).any(|process| {
            let is_owner = process.metadata().is_ok_and(|found| found.uid() == self.0);
            is_owner && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == directory)
        })
    }

    /// Makes that file or directory this user's.
    pub fn owns(self, path: &Path, mode: u32) {
        chown(path, Some(self.0), Some(GROUP)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Makes all of a workspace that user's.
pub fn give(workspace: &Workspace, user: User) {
    fn all(path: &Path, user: User) {
        let found = path.symlink_metadata().unwrap();
        chown(path, Some(user.0), Some(GROUP)).unwrap();
        if found.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                all(&entry.unwrap().path(), user);
            }
        }
    }
    all(workspace.path().parent().unwrap(), user);
}

/// The same run, started with that umask.
fn with_umask(mut run: Invocation, mask: u32) -> Invocation {
    let set = move || {
        umask(Mode::from_bits_truncate(mask));
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe { run.command().pre_exec(set) };
    run
}

fn mode_of(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

#[test]
fn members_of_a_group_share_locks_in_a_directory_of_their_group() {
    if User::another().is_none() {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    chown(shared.path(), Some(0), Some(GROUP)).unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    let homes = [ANA, BEN].map(|user| {
        let workspace = Workspace::new().env("TFLOCK_LOCAL_DIR", shared.path().to_str().unwrap());
        give(&workspace, user);
        (user, workspace)
    });
    let tflock = |index: usize, line: &str| {
        let (user, workspace) = &homes[index];
        let run = workspace
            .tflock(["--lock-id", "shared"])
            .args(line.split(' '));
        with_umask(user.runs(run), 0o077)
    };
    let slow = "touch started; while [ ! -e go ]; do sleep 0.02; done";
    // Twice, so that each finds what the other has left.
    for holder in [0, 1, 0] {
        let other = 1 - holder;
        let run = tflock(holder, "--reason rotating-keys exec -- sh -c").arg(slow);
        let (waited, ended) = look_during(&homes[holder].1, run, |_| {
            let status = tflock(other, "status --exit-code").run();
            status.ended_with(75).with_stdout("rotating-keys");
            let refused = tflock(other, "--wait 0 exec -- true").run();
            refused.ended_with(75).with_stderr("rotating-keys");
            for entry in fs::read_dir(shared.path()).unwrap() {
                let file = entry.unwrap().path();
                let group = file.metadata().unwrap().gid();
                assert_eq!(
                    (mode_of(&file), group),
                    (0o660, GROUP),
                    "{}",
                    file.display()
                );
            }
            let mut waiting = tflock(other, "exec -- true").start();
            waiting.wait_for_output("rotating-keys");
            waiting
        });
        ended.succeeded();
        waited.wait().succeeded();
    }
}

#[test]
fn what_is_made_for_one_user_is_for_that_user_alone_whatever_the_umask() {
    for mask in [0, 0o077, 0o777] {
        let workspace = Workspace::new();
        let look = "stat -c '%a %n' .local .local/state .local/state/tflock .local/state/tflock/*";
        let script = format!("umask 022; cd \"$HOME\" && {look}");
        let run = workspace.tflock(["exec", "--", "sh", "-c", &script]);
        let run = with_umask(run.without_env("XDG_STATE_HOME"), mask);
        for line in run.run().succeeded().stdout.lines() {
            let mode = line.split(' ').next();
            assert!(
                matches!(mode, Some("700" | "600")),
                "umask {mask:o}: {line}"
            );
        }
    }
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_by_name() {
    for mode in [0o777, 0o1777, 0o2777, 0o770] {
        let workspace = Workspace::new();
        let directory = workspace.file("locks");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        for command in [&["status"][..], &["plan"], &["exec", "--", "true"]] {
            let run = workspace.tflock([]).args(command);
            let refused = run.env("TFLOCK_LOCAL_DIR", &directory).run().ended_with(78);
            refused
                .with_stderr(&format!("`{}` is writable by ", directory.display()))
                .with_stderr("hint: set TFLOCK_LOCAL_DIR to a directory of your own (mode 700)");
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}

#[test]
fn a_directory_that_is_another_users_is_refused_by_name() {
    let Some(user) = User::another() else { return };
    let workspace = Workspace::new();
    let directory = workspace.file("locks");
    fs::create_dir(&directory).unwrap();
    user.owns(&directory, 0o755);
    let run = workspace.tflock(["exec", "--", "true"]);
    let refused = run.env("TFLOCK_LOCAL_DIR", &directory).run().ended_with(78);
    refused.with_stderr(&format!(
        "`{}` belongs to another user",
        directory.display()
    ));
}

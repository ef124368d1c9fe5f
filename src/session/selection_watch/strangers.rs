//! Other terraforms that are about to select something else in the same directory: what they read must not be taken for what
//! our child reads.

use std::path::Path;

use crate::system::process::{self, Stat};
use crate::terraform::program::known_name;

/// The commands that change the selection.
const SELECTING: [&str; 2] = ["workspace", "init"];

/// More ancestors than any process has.
const MOST_ANCESTORS: usize = 64;

/// Whether a terraform is selecting something in `directory` that the process `ours` did not start, directly or not.
pub(super) fn are_selecting(directory: &Path, ours: u32) -> bool {
    let Ok(directory) = directory.canonicalize() else {
        return false;
    };
    let processes = process::all().unwrap_or_default();
    processes
        .into_iter()
        .any(|pid| is_selecting(pid, &directory) && !is_below(pid, ours))
}

fn is_selecting(pid: u32, directory: &Path) -> bool {
    let Ok(words) = process::command_line(pid) else {
        return false;
    };
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    known_name(Path::new(program)).is_some()
        && arguments
            .iter()
            .any(|word| SELECTING.iter().any(|command| word == command))
        && process::directory(pid).is_ok_and(|its| its == directory)
}

fn is_below(pid: u32, ancestor: u32) -> bool {
    let parents = std::iter::successors(Some(pid), |pid| {
        Stat::read(*pid).ok().map(|stat| stat.parent)
    });
    parents.take(MOST_ANCESTORS).any(|one| one == ancestor)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use super::*;

    const NOBODY: u32 = u32::MAX;

    struct Running(Child);

    impl Running {
        /// A process that looks like that command of terraform.
        fn terraform(directory: &Path, command: &str) -> Self {
            let mut sleep = Command::new("sh");
            sleep.arg0("terraform").args(["-c", "read line", command]);
            sleep.stdin(std::process::Stdio::piped());
            let running = Self(sleep.current_dir(directory).spawn().unwrap());
            // It has no command line yet in the middle of its exec.
            while process::command_line(running.0.id()).is_ok_and(|words| words.is_empty()) {
                std::thread::yield_now();
            }
            running
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_terraform_that_selects_in_the_directory_is_seen_unless_we_have_started_it() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(!are_selecting(here.path(), NOBODY));
        for (command, selects) in [("workspace", true), ("init", true), ("console", false)] {
            let _running = Running::terraform(here.path(), command);
            assert_eq!(are_selecting(here.path(), NOBODY), selects, "{command}");
            assert!(!are_selecting(here.path(), std::process::id()));
            assert!(!are_selecting(elsewhere.path(), NOBODY));
        }
        assert!(!are_selecting(&here.path().join("gone"), NOBODY));
    }
}

//! Compares the view that the lock was resolved from with that of the program that really runs: a version manager or a
//! script in between may have set a variable or changed the directory.
//!
//! Only a difference that was seen counts: nothing is claimed about a process whose environment is unreadable (another
//! user's, by `sudo`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::spawn::Command;
use crate::system::process::{self, Stat};

/// How long a program may take to change to its directory, which terraform does first, in clock ticks.
const UNDER_WAY: u64 = 500;

/// What decides on the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The directory that the program works in: terraform changes to that of `-chdir` by itself. Absolute.
    pub directory: PathBuf,
    /// The variables that the lock was resolved from. An empty one counts as unset.
    pub variables: Vec<String>,
}

/// How a program's view differs. Never contains a value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It works in this directory.
    Directory(PathBuf),
    /// The variable of that name.
    Variable(String),
}

/// The view of a command that was started.
#[derive(Debug)]
pub(super) struct Expected {
    started_in: Option<FileId>,
    works_in: Option<FileId>,
    variables: Vec<(String, OsString)>,
}

/// A directory, by whatever path it is reached.
type FileId = (u64, u64);

/// The result of comparing a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    /// It has not changed to its directory yet, or its view is unreadable.
    NotYet,
    Different(Difference),
}

impl Expected {
    pub(super) fn of(command: &Command) -> Option<Self> {
        let view = command.view.as_ref()?;
        let given = command.whole_environment();
        let variables = view.variables.iter().map(|name| {
            let value = value_of(&given, name);
            (name.clone(), value.unwrap_or_default().to_owned())
        });
        let started_in = command.directory.as_deref().unwrap_or(Path::new("."));
        Some(Self {
            started_in: file_id(started_in),
            works_in: file_id(&view.directory),
            variables: variables.collect(),
        })
    }

    /// Compares the view of a process of this machine.
    pub(super) fn compare(&self, pid: u32) -> Compared {
        let environment = match process::environment(pid) {
            Ok(environment) => environment,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Compared::Same,
            Err(_) => return Compared::NotYet,
        };
        if environment.is_empty() && !Stat::read(pid).is_ok_and(|stat| stat.has_no_environment()) {
            return Compared::NotYet;
        }
        for (name, expected) in &self.variables {
            if value_of(&environment, name).unwrap_or_default() != expected {
                return Compared::Different(Difference::Variable(name.clone()));
            }
        }
        let there = file_id(Path::new(&format!("/proc/{pid}/cwd")));
        if there.is_none() || self.works_in.is_none() || there == self.works_in {
            return Compared::Same;
        }
        if there == self.started_in && is_young(pid) {
            return Compared::NotYet;
        }
        match process::directory(pid) {
            Ok(directory) => Compared::Different(Difference::Directory(directory)),
            Err(_) => Compared::NotYet,
        }
    }
}

/// Whether a program may not have changed to its directory yet.
fn is_young(pid: u32) -> bool {
    Stat::read(pid).is_ok_and(|stat| process::ticks_since_boot() < stat.start_time + UNDER_WAY)
}

/// If a variable occurs twice, the first one counts, as in Go.
fn value_of<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    let found = environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_os_str())
}

fn file_id(path: &Path) -> Option<FileId> {
    let status = path.metadata().ok()?;
    Some((status.dev(), status.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(directory: &Path, variables: &[&str]) -> Command {
        let mut command = Command::new("sleep");
        command.view = Some(View {
            directory: directory.to_owned(),
            variables: variables.iter().map(|&name| name.to_owned()).collect(),
        });
        command
    }

    fn compared(command: &Command, program: &mut std::process::Command) -> Compared {
        let expected = Expected::of(command).unwrap();
        let mut started = program.arg("60").spawn().unwrap();
        while process::environment(started.id()).is_ok_and(|environment| environment.is_empty()) {
            std::thread::yield_now();
        }
        let compared = expected.compare(started.id());
        started.kill().unwrap();
        started.wait().unwrap();
        compared
    }

    #[test]
    fn what_decides_is_compared_and_told_by_its_name() {
        let here = std::env::current_dir().unwrap();
        let command = command(&here, &["TF_WORKSPACE", "TF_DATA_DIR"]);
        let sleep = || std::process::Command::new("sleep");
        assert_eq!(compared(&command, &mut sleep()), Compared::Same);
        assert_eq!(
            compared(&command, sleep().env("TF_WORKSPACE", "").env("TF_X", "y")),
            Compared::Same
        );
        for name in ["TF_WORKSPACE", "TF_DATA_DIR"] {
            let difference = Difference::Variable(name.to_owned());
            assert_eq!(
                compared(&command, sleep().env(name, "secret")),
                Compared::Different(difference)
            );
        }
        let moved = compared(&command, sleep().current_dir("/"));
        assert_eq!(
            moved,
            Compared::Different(Difference::Directory("/".into()))
        );
    }

    #[test]
    fn a_program_that_goes_to_its_directory_by_itself_is_given_time() {
        let here = std::env::current_dir().unwrap();
        let sleep = || std::process::Command::new("sleep");
        let chdir = command(Path::new("/usr"), &[]);
        assert_eq!(
            compared(&chdir, sleep().current_dir(&here)),
            Compared::NotYet
        );
        assert_eq!(
            compared(&chdir, sleep().current_dir("/usr")),
            Compared::Same
        );
        assert!(matches!(
            compared(&chdir, sleep().current_dir("/")),
            Compared::Different(_)
        ));
    }

    #[test]
    fn what_a_variable_of_ours_is_set_to_is_what_the_program_has_to_see() {
        let here = std::env::current_dir().unwrap();
        let mut command = command(&here, &["TF_CLI_ARGS"]);
        command
            .environment
            .push(("TF_CLI_ARGS".into(), "-no-color".into()));
        let sleep = || std::process::Command::new("sleep");
        assert_eq!(
            compared(&command, sleep().env("TF_CLI_ARGS", "-no-color")),
            Compared::Same
        );
        assert!(matches!(
            compared(&command, &mut sleep()),
            Compared::Different(_)
        ));
    }

    #[test]
    fn of_two_values_the_first_counts() {
        let twice = [("A".into(), "1".into()), ("A".into(), "2".into())];
        assert_eq!(value_of(&twice, "A"), Some(OsStr::new("1")));
    }
}

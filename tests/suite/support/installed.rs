//! Programs for tests: those that may not be installed, and those that a test creates.

use std::env;
use std::path::Path;
use std::process::Command;

use super::passed_over::say_not_tested;

/// Whether `name` is installed, which not every machine has. CI installs it and fails without it; elsewhere its test is
/// skipped, and says so.
#[track_caller]
pub fn is_installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|directory| directory.join(name).is_file()) {
        return true;
    }
    assert!(
        env::var_os("CI").is_none(),
        "this test needs {name}: `apt-get install {name}`, or let `.ci/run` do it"
    );
    say_not_tested(&format!("{name} is missing: `apt-get install {name}`"));
    false
}

/// Copies a file to where it can be run. By another process: a file that this one ever had open for writing can be refused by
/// exec ("text file busy"), because a process that another test starts inherits the descriptor for a moment.
#[track_caller]
pub fn install_program(from: &Path, to: &Path) {
    let mut install = Command::new("install");
    let status = install.args(["-m", "755"]).arg(from).arg(to).status();
    let status = status.expect("`install` is there");
    assert!(
        status.success(),
        "cannot install {}: {status}",
        to.display()
    );
}

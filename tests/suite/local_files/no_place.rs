//! Where this machine has no place for a local lock: terraform locks for itself, and the run goes on.

use std::fs;

use nix::unistd::geteuid;

use super::users::{User, give};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::Invocation;
use crate::support::workspace::Workspace;

struct Bench {
    workspace: Workspace,
    fake: FakeTerraform,
}

impl Bench {
    fn new() -> Self {
        let workspace = Workspace::new();
        let fake = Script::new().exit(0).install(workspace.home().join("fake"));
        Self { workspace, fake }
    }

    fn tflock(&self, line: &str) -> Invocation {
        let run = self.workspace.tflock([]).args(line.split(' '));
        run.first_on_path(self.fake.directory())
    }

    /// A run goes on with one warning; a lock that was asked for is refused with that code.
    #[track_caller]
    fn warns(
        &self,
        prepare: impl Fn(Invocation) -> Invocation,
        refusal: i32,
        (of_exec, hint): (i32, &str),
    ) {
        let run = prepare(self.tflock("plan")).run().succeeded();
        let warnings = run.stderr.matches("warning: ").count();
        assert_eq!((warnings, run.stderr.lines().count()), (1, 1), "{run}");
        assert_eq!(self.fake.calls().len(), 1);
        let lock = "hint: set TFLOCK_LOCAL_DIR";
        for (line, code, hint) in [
            ("--store local plan", refusal, lock),
            ("--lock-id mine plan", refusal, lock),
            ("exec -- terraform plan", of_exec, hint),
        ] {
            let refused = prepare(self.tflock(line)).run().ended_with(code);
            refused.with_stderr(hint);
        }
        assert_eq!(self.fake.calls().len(), 1);
    }
}

/// What `exec` prints if there is no place for its shim either.
const NO_SHIM: (i32, &str) = (78, "hint: set XDG_STATE_HOME");

/// In `/sys` not even root makes a directory.
#[test]
fn a_home_that_cannot_be_written_costs_a_warning() {
    let homeless = |run: Invocation| run.without_env("XDG_STATE_HOME").env("HOME", "/sys");
    Bench::new().warns(homeless, 77, NO_SHIM);
}

#[test]
fn no_home_at_all_costs_a_warning() {
    let homeless = |run: Invocation| run.without_env("XDG_STATE_HOME").without_env("HOME");
    Bench::new().warns(homeless, 78, NO_SHIM);
}

#[test]
fn a_home_that_is_the_root_directory_costs_a_warning() {
    let Some(user) = User::another() else { return };
    let bench = Bench::new();
    give(&bench.workspace, user);
    let homeless = |run: Invocation| {
        let run = run.without_env("XDG_STATE_HOME").env("HOME", "/");
        user.runs(run)
    };
    bench.warns(homeless, 77, NO_SHIM);
}

#[test]
fn a_directory_of_another_user_costs_a_warning_that_names_it() {
    let Some(user) = User::another() else { return };
    assert!(geteuid().is_root());
    let bench = Bench::new();
    let directory = bench.workspace.state_home().join("tflock");
    fs::create_dir(&directory).unwrap();
    user.owns(&directory, 0o700);
    bench.warns(|run| run, 78, (78, "hint: set TFLOCK_LOCAL_DIR"));
    let run = bench.tflock("plan").run();
    run.with_stderr(&format!(
        "`{}` belongs to another user",
        directory.display()
    ));
}

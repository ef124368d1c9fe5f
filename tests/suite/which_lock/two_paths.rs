//! One local state that is reached by two paths, a hard link or a bind mount. tflock's lock is named by its path, so there are
//! two; terraform's own is on the file itself, and whoever has it is waited for.

use std::fs;

use crate::support::configuration::{Configuration, GO, STARTED};
use crate::support::fake_terraform::Script;
use crate::support::namespaces::{own_mounts, with_own_mounts};
use crate::support::process::Invocation;
use crate::support::waiting::wait_for_file;
use crate::support::workspace::{Workspace, terraform_program};

const APPLY: [&str; 2] = ["apply", "-auto-approve"];

/// How the second directory reaches the first one's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    HardLink,
    /// In a mount namespace of the second run.
    BindMount,
}

/// A state that is there, and a second directory with the same configuration below the first.
fn two_directories(by: By) -> Workspace {
    let configuration = Configuration::without_backend().resource("one", "1");
    let workspace = Workspace::with(&configuration);
    workspace.terraform(APPLY).run().succeeded();
    let configuration = configuration.waiting_resource("slow");
    workspace.configure(&configuration);
    workspace.write("second/main.tf", &configuration.hcl());
    if by == By::HardLink {
        let state = workspace.file("terraform.tfstate");
        fs::hard_link(state, workspace.file("second/terraform.tfstate")).expect("a hard link");
    }
    workspace
}

/// The same user's tflock in the second directory.
fn in_second<const N: usize>(workspace: &Workspace, by: By, arguments: [&str; N]) -> Invocation {
    let tflock = env!("CARGO_BIN_EXE_tflock");
    let run = match by {
        By::HardLink => workspace.invocation(tflock),
        By::BindMount => {
            let script = "mount --bind . second && cd second && exec \"$0\" \"$@\"";
            let run = with_own_mounts(workspace, script).expect("it was allowed a moment ago");
            return run.arg(tflock).args(arguments);
        }
    };
    run.in_directory(workspace.file("second")).args(arguments)
}

/// The same file in the directory of the second run.
fn of_second(by: By, name: &str) -> String {
    match by {
        By::HardLink => format!("second/{name}"),
        By::BindMount => name.to_owned(),
    }
}

fn ways() -> Vec<By> {
    match own_mounts() {
        Some(_) => vec![By::HardLink, By::BindMount],
        None => vec![By::HardLink],
    }
}

#[test]
fn a_run_by_another_path_waits_for_the_terraform_that_has_the_state() {
    for by in ways() {
        let workspace = two_directories(by);
        let first = workspace.tflock(APPLY).start();
        workspace.wait_until_started();
        in_second(&workspace, by, ["status", "--exit-code"])
            .run()
            .ended_with(75)
            .with_stdout("terraform.tfstate");
        let mut second = in_second(&workspace, by, APPLY).start();
        second.wait_for_output("is locked, waiting for it");
        workspace.let_go();
        first.wait().succeeded().with_stdout("1 added");
        second.wait().succeeded().with_stdout("0 added");
    }
}

/// The first run's terraform is started when nobody had the state, and asks for it when somebody does.
#[test]
fn a_terraform_that_another_path_was_faster_than_never_works_beside_it() {
    for by in ways() {
        let workspace = two_directories(by);
        let slow_to_start = Script::new()
            .touch("asked")
            .wait_for("begin")
            .step(&format!("exec {} \"$@\"", terraform_program().display()))
            .install(workspace.home().join("slow"));
        let first = workspace.tflock(APPLY);
        let mut first = first.first_on_path(slow_to_start.directory()).start();
        wait_for_file(workspace.file("asked"));
        let second = in_second(&workspace, by, APPLY).start();
        wait_for_file(workspace.file(of_second(by, STARTED)));
        workspace.write("begin", "");
        if by == By::HardLink {
            // terraform looks for the description beside its own path, and gives up where there is none.
            let first = first.wait().ended_with(1);
            first.with_stderr("Error acquiring the state lock");
            workspace.write(&of_second(by, GO), "");
            second.wait().succeeded().with_stdout("1 added");
            continue;
        }
        first.wait_for_output("Acquiring state lock");
        workspace.write(&of_second(by, GO), "");
        second.wait().succeeded().with_stdout("1 added");
        first.wait().succeeded().with_stdout("0 added");
    }
}

//! A `terraform` on PATH that is a script or a version manager: it may set what decides on the lock before it runs the real
//! one.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::{Configuration, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::{Finished, Invocation};
use crate::support::workspace::{Workspace, terraform_program};

/// A script on PATH that does `first` and then runs the real terraform in that way.
fn wrapper(workspace: &Workspace, first: &str, runs: &str) -> FakeTerraform {
    let real = terraform_program();
    Script::new()
        .step(first)
        .step(&format!("{runs} {} \"$@\"", real.display()))
        .step("exit $?")
        .install(workspace.home().join("wrapper"))
}

/// A local state whose apply waits until it is let go, or asked to stop.
fn waiting() -> Workspace {
    let workspace = Workspace::with(&Configuration::without_backend().waiting_resource("slow"));
    workspace.init();
    workspace
}

/// An apply of the real terraform below that script.
fn apply(workspace: &Workspace, first: &str, runs: &str) -> Invocation {
    let wrapper = wrapper(workspace, first, runs);
    let run = workspace.tflock(["apply", "-auto-approve"]);
    run.first_on_path(wrapper.directory())
}

/// The same inside of an `exec`, whose lock it borrows.
fn apply_inside(workspace: &Workspace, first: &str, runs: &str) -> Invocation {
    let wrapper = wrapper(workspace, first, runs);
    let run = workspace.tflock(["exec", "--", "terraform", "apply", "-auto-approve"]);
    run.first_on_path(wrapper.directory())
}

/// Checks that tflock noticed the script: terraform is stopped once, gracefully, and the lock is free.
#[track_caller]
fn found_out(workspace: &Workspace, finished: Finished, what: &str) {
    let finished = finished.ended_with(78).with_stderr(what);
    let stops = finished.stderr.matches("stopping `terraform` gracefully");
    assert_eq!(stops.count(), 1, "{finished}");
    let status = workspace.tflock(["status", "--exit-code"]).run();
    status.ended_with(0).with_stdout("free");
}

#[test]
fn a_script_that_selects_another_workspace_is_found_out() {
    let workspace = waiting();
    let new = workspace.terraform(["workspace", "new", "other"]);
    new.run().succeeded();
    let default = workspace.terraform(["workspace", "select", "default"]);
    default.run().succeeded();
    for apply in [apply, apply_inside] {
        for runs in ["exec", ""] {
            let finished = apply(&workspace, "export TF_WORKSPACE=other", runs).run();
            found_out(&workspace, finished, "sets `TF_WORKSPACE`");
        }
    }
}

#[test]
fn one_that_names_another_data_directory_or_adds_arguments_is_found_out() {
    let workspace = waiting();
    for variable in ["TF_DATA_DIR", "TF_CLI_ARGS", "TF_CLI_ARGS_apply"] {
        let sets = format!("export {variable}=-parallelism=3");
        let finished = apply(&workspace, &sets, "").run();
        found_out(&workspace, finished, &format!("sets `{variable}`"));
    }
}

#[test]
fn one_that_works_in_another_directory_is_found_out() {
    let workspace = waiting();
    let other = Configuration::without_backend().waiting_resource("slow");
    workspace.write("other/main.tf", &other.hcl());
    for apply in [apply, apply_inside] {
        for runs in ["exec", "setsid -w"] {
            let finished = apply(&workspace, "cd other", runs).run();
            found_out(&workspace, finished, "changes the directory");
        }
    }
}

#[test]
fn one_that_takes_other_credentials_is_found_out_and_their_value_is_not_said() {
    let remote = Remote::start();
    let backend = remote.backend(LockMode::DynamodbTable);
    let configuration = Configuration::with_backend(&backend).waiting_resource("slow");
    let workspace = Workspace::with(&configuration);
    workspace.init();
    for variable in ["AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"] {
        let sets = format!("export {variable}=hunter2");
        let finished = apply(&workspace, &sets, "exec").run();
        assert!(!finished.stderr.contains("hunter2"), "{finished}");
        found_out(&workspace, finished, &format!("sets `{variable}`"));
    }
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn a_version_manager_that_sets_nothing_that_decides_goes_on_as_before() {
    let workspace = waiting();
    workspace.let_go();
    let sets = "export TENV_ROOT=/x AWS_PROFILE=providers TF_CLI_ARGS_plan=-refresh=false TF_WORKSPACE= TF_LOG=";
    for apply in [apply, apply_inside] {
        for runs in ["exec", ""] {
            let finished = apply(&workspace, sets, runs).run().succeeded();
            assert_eq!(finished.stderr, "", "{finished}");
        }
    }
}

#[test]
fn a_directory_of_chdir_is_the_same_for_both() {
    let workspace = Workspace::new();
    let inner = Configuration::without_backend().resource("one", "1");
    workspace.write("inner/main.tf", &inner.hcl());
    let wrapper = wrapper(&workspace, ":", "");
    let run = workspace.tflock(["-chdir=inner", "apply", "-auto-approve"]);
    let run = run.first_on_path(wrapper.directory()).run().succeeded();
    assert_eq!(run.stderr, "", "{run}");
    assert!(workspace.file("inner/terraform.tfstate").exists());
}

#[test]
fn a_provisioner_that_runs_the_same_command_elsewhere_is_not_taken_for_it() {
    let workspace = Workspace::new();
    let inner = Configuration::without_backend().waiting_resource("slow");
    workspace.write("inner/main.tf", &inner.hcl());
    let real = terraform_program().display().to_string();
    let runs = format!(
        "resource \"terraform_data\" \"outer\" {{\n  provisioner \"local-exec\" {{\n    command = \"cd inner && exec \
         {real} apply -auto-approve -lock-timeout=900s\"\n  }}\n}}"
    );
    workspace.configure(&Configuration::without_backend().block(&runs));
    let mut run = workspace.tflock(["apply", "-auto-approve"]).start();
    crate::support::waiting::wait_for_file(workspace.file("inner").join(STARTED));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(run.is_running(), "{run}");
    workspace.write("inner/go", "");
    let finished = run.wait().succeeded();
    assert_eq!(finished.stderr, "", "{finished}");
}

#[test]
fn of_a_variable_that_stands_twice_the_first_counts_for_both() {
    let workspace = Workspace::with(&Configuration::without_backend().resource("one", "1"));
    for name in ["one", "two"] {
        let new = workspace.terraform(["workspace", "new", name]);
        new.run().succeeded();
    }
    let mut run = workspace.tflock(["apply", "-auto-approve"]);
    let command = run.command();
    let text = |words: &[&OsStr]| CString::new(words.join(OsStr::new("=")).into_vec()).unwrap();
    let mut environment = ["one", "two"]
        .map(|name| text(&["TF_WORKSPACE".as_ref(), name.as_ref()]))
        .to_vec();
    for (name, value) in command.get_envs() {
        environment.push(text(&[name, value.unwrap_or_default()]));
    }
    let program = text(&[command.get_program()]);
    let arguments = std::iter::once(command.get_program()).chain(command.get_args());
    let arguments: Vec<CString> = arguments.map(|word| text(&[word])).collect();
    // SAFETY: a system call on what was prepared before.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::execve(&program, &arguments, &environment)?;
            Ok(())
        });
    }
    let finished = run.run().succeeded();
    assert_eq!(finished.stderr, "", "{finished}");
    assert!(
        workspace
            .file("terraform.tfstate.d/one/terraform.tfstate")
            .exists()
    );
    assert!(
        !workspace
            .file("terraform.tfstate.d/two/terraform.tfstate")
            .exists()
    );
}

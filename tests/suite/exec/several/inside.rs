//! What runs inside: each terraform under the lock of its own state.

use super::{DIRECTORIES, STOPS, Team, item};
use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::workspace::Workspace;

#[test]
fn all_are_held_and_renewed_as_one_run_s_and_given_back() {
    for (mode, expected) in [
        (
            LockMode::DynamodbTable,
            &["states/app.tfstate", "states/network.tfstate"][..],
        ),
        (
            LockMode::Lockfile,
            &["app.tfstate.tflock", "network.tfstate.tflock"],
        ),
        (
            LockMode::Both,
            &[
                "app.tfstate.tflock",
                "network.tfstate.tflock",
                "states/app.tfstate",
                "states/network.tfstate",
            ],
        ),
    ] {
        let team = Team::new(mode);
        let run = team.exec(&["network", "app"], STOPS);
        let (locks, finished) = look_during(&team.workspace, run, |_| team.locks());
        assert_eq!(finished.succeeded().stderr, "", "{mode:?}");
        assert_eq!(locks, expected);
        assert_eq!(team.locks(), Vec::<String>::new());
        let runs = team.workspace.state_home().join("tflock/runs");
        assert_eq!(std::fs::read_dir(runs).unwrap().count(), 0);
    }
}

#[test]
fn each_directory_s_status_shows_the_run() {
    let team = Team::new(LockMode::DynamodbTable);
    let run = team.exec(&["network", "app"], STOPS);
    let (seen, finished) = look_during(&team.workspace, run, |_| {
        DIRECTORIES.map(|name| {
            let status = team.workspace.tflock(["status", "--exit-code"]);
            status.in_directory(team.workspace.file(name)).run()
        })
    });
    finished.succeeded();
    let [app, dns, network] = seen;
    for held in [app, network] {
        held.ended_with(75)
            .with_stdout("exec sh")
            .with_stdout("alive");
    }
    dns.ended_with(0);
}

#[test]
fn each_terraform_runs_under_its_own_lock_one_at_a_time_and_others_take_theirs() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile, LockMode::Both] {
        let team = Team::new(mode);
        let script = "terraform -chdir=network apply && (cd app && terraform apply) && terraform -chdir=dns apply";
        let run = team.exec(&["network", "app"], script).run().succeeded();
        assert_eq!(run.stderr, "", "{mode:?}");
        let calls = team.fake.calls();
        let [network, app, dns] = calls.as_slice() else {
            panic!("{calls:?}")
        };
        for (call, chdir) in [
            (network, Some("-chdir=network")),
            (app, None),
            (dns, Some("-chdir=dns")),
        ] {
            let expected: Vec<&str> = chdir.into_iter().chain(["apply", "-lock=false"]).collect();
            assert_eq!(call.arguments, expected, "{mode:?}");
        }
        let dns_lock = format!(
            "\"key\":\"{}\"",
            if mode == LockMode::Lockfile {
                "states/dns.tfstate.tflock"
            } else {
                "states/dns.tfstate"
            }
        );
        assert!(!app.environment["TFLOCK_HELD"].contains("dns"), "{mode:?}");
        assert!(
            dns.environment["TFLOCK_HELD"].contains(&dns_lock),
            "{}",
            dns.environment["TFLOCK_HELD"]
        );
    }
}

#[test]
fn two_terraforms_at_once_are_refused_on_one_of_the_states_and_not_on_two() {
    let team = Team::new(LockMode::DynamodbTable);
    // The first of them stops in its middle.
    let stopping = crate::support::mid_run::stopping_script();
    let fake = stopping.install(team.workspace.home().join("stopping"));
    let script = "terraform -chdir=network apply & while [ ! -e started ]; do sleep 0.02; done; \
                  terraform -chdir=network plan 2>error; echo $?; : >go; terraform -chdir=app plan; echo $?; wait $!";
    let run = team.exec(&["network", "app"], script);
    let run = run.first_on_path(fake.directory()).run().succeeded();
    run.with_stdout("75\n0\n");
    let error = team.workspace.read("error");
    assert!(
        error.contains("lends its lock to one terraform at a time"),
        "{error}"
    );
    assert_eq!(fake.calls().len(), 2);
}

#[test]
fn an_exec_inside_takes_what_it_lacks_and_borrows_the_rest() {
    let team = Team::new(LockMode::DynamodbTable);
    let tflock = env!("CARGO_BIN_EXE_tflock");
    let script = format!(
        "exec {tflock} exec --dir network --dir app -- sh -c 'terraform -chdir=network plan && terraform -chdir=app plan && {STOPS}'"
    );
    let run = team
        .exec(&["dns", "network"], &script)
        .env("TFLOCK_WAIT", "0");
    let (locks, finished) = look_during(&team.workspace, run, |_| team.locks());
    assert_eq!(finished.succeeded().stderr, "");
    assert_eq!(locks, DIRECTORIES.map(item));
    assert_eq!(team.locks(), Vec::<String>::new());
    let calls = team.fake.calls();
    assert!(
        calls
            .iter()
            .all(|call| call.arguments.contains(&"-lock=false".to_owned()))
    );
}

#[test]
fn real_applies_of_several_states_run_while_plain_terraform_is_kept_out() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile] {
        let team = Team::new(mode);
        let script = format!(
            "terraform -chdir=network apply -auto-approve && {STOPS} && terraform -chdir=app apply -auto-approve && \
             terraform -chdir=dns apply -auto-approve"
        );
        let run = team.workspace.tflock([
            "exec", "--dir", "network", "--dir", "app", "--", "sh", "-c", &script,
        ]);
        let (refused, finished) = look_during(&team.workspace, run, |_| {
            team.workspace
                .terraform(["-chdir=app", "plan", "-input=false"])
                .run()
        });
        refused.ended_with(1).with_stderr("Operation: exec");
        let finished = finished.succeeded();
        assert_eq!(
            finished.stdout.matches("1 added, 0 changed").count(),
            3,
            "{finished}"
        );
        assert_eq!(team.locks(), Vec::<String>::new());
    }
}

#[test]
fn local_states_are_locked_together_too() {
    let workspace = Workspace::new();
    for name in ["network", "app"] {
        let configuration = Configuration::without_backend().resource(name, "1");
        workspace.write(&format!("{name}/main.tf"), &configuration.hcl());
    }
    let apply = |name: &str| format!("terraform -chdir={name} apply -auto-approve");
    let script = format!("{} && {STOPS} && {}", apply("network"), apply("app"));
    let run = workspace.tflock([
        "exec", "--dir", "network", "--dir", "app", "--", "sh", "-c", &script,
    ]);
    let (refused, finished) = look_during(&workspace, run, |_| {
        ["network", "app"].map(|name| {
            let chdir = format!("-chdir={name}");
            workspace.tflock([&chdir, "--wait", "0", "plan"]).run()
        })
    });
    for refused in refused {
        refused.ended_with(75).with_stderr("exec sh");
    }
    assert_eq!(finished.succeeded().stdout.matches("1 added").count(), 2);
}

#[test]
fn a_state_that_is_local_and_one_that_is_remote_are_locked_together() {
    let (remote, workspace) = (Remote::start(), Workspace::new());
    workspace.configure(&Configuration::with_backend(
        &remote.backend(LockMode::DynamodbTable),
    ));
    workspace.init();
    workspace.write("local/main.tf", &Configuration::without_backend().hcl());
    let run = workspace.tflock([
        "exec", "--dir", ".", "--dir", "local", "--", "sh", "-c", STOPS,
    ]);
    let (locks, finished) = look_during(&workspace, run, |_| {
        (
            remote.locks().len(),
            crate::support::scene::local_locks(&workspace).len(),
        )
    });
    assert_eq!(finished.succeeded().stderr, "");
    assert_eq!(locks, (1, 1));
}

#[test]
fn workspaces_that_do_not_exist_yet_are_created_by_the_terraforms_inside() {
    let team = Team::new(LockMode::Both);
    let apply = |name: &str| format!("terraform -chdir={name} apply -auto-approve");
    let script = format!("{} && {}", apply("network"), apply("app"));
    let run = [
        "exec", "--dir", "network", "--dir", "app", "--", "sh", "-c", &script,
    ];
    let run = team.workspace.tflock(run).env("TF_WORKSPACE", "ghost");
    let finished = run.run().succeeded();
    assert_eq!(finished.stdout.matches("1 added").count(), 2, "{finished}");
    assert_eq!(
        finished
            .stderr
            .matches("terraform must lock this workspace itself")
            .count(),
        1
    );
    assert_eq!(team.locks(), Vec::<String>::new());
}

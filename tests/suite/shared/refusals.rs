//! Where a plan without a lock is refused.

use crate::support::backend::LockMode;
use crate::support::configuration::Configuration;
use crate::support::http_state::HttpState;
use crate::support::process::Finished;
use crate::support::scene::Scene;
use crate::support::workspace::Workspace;

#[test]
fn any_other_command_is_a_mistake() {
    let scene = Scene::new(LockMode::DynamodbTable);
    for command in [
        &["apply"][..],
        &["destroy"],
        &["refresh"],
        &["state", "rm", "plan"],
        &["fmt"],
        &["status"],
        &["exec", "--", "terraform", "plan"],
        &["force-unlock"],
    ] {
        let run = scene.tflock(["--shared"]).args(command).run();
        assert_eq!(
            run,
            Finished {
                stderr: "error: `--shared` is for `plan` alone: all other commands take the lock\n\
                         hint: leave out `--shared`; see `tflock --help`\n"
                    .to_owned(),
                ..Finished::silent(64)
            },
            "{command:?}"
        );
    }
    let misplaced = scene.tflock(["plan", "--shared", "-out=p"]).run();
    misplaced
        .ended_with(64)
        .with_stderr("hint: type `tflock --shared plan -out=p`");
    assert_eq!(scene.fake.calls().len(), 0);
}

#[test]
fn a_state_that_cannot_be_compared_is_not_planned() {
    let server = HttpState::start();
    let workspace = Workspace::with(&Configuration::with_backend_block(&server.backend()));
    workspace.init();
    let plan = workspace.tflock(["--shared", "plan"]).run().ended_with(78);
    assert_eq!(
        plan.stderr,
        "error: `--shared` cannot tell whether the state of this backend (`http`) has changed\n\
         hint: leave out `--shared`: it works with S3 backends and local states\n"
    );
}

#[test]
fn a_lock_that_is_not_terraforms_is_not_enough() {
    for options in [["--store", "local"], ["--lock-id", "another"]] {
        let scene = Scene::new(LockMode::DynamodbTable);
        let plan = scene.tflock(["--shared"]).args(options).arg("plan");
        let plan = plan.run().ended_with(78);
        plan.with_stderr("`--shared` needs the lock that terraform takes");
        assert_eq!(scene.fake.calls().len(), 0);
    }
}

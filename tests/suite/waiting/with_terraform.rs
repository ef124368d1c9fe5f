//! tflock and plain terraform keep each other out, and wait for each other.

use crate::support::backend::{LOCK_ID, LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::proxy::Proxy;
use crate::support::words::without_changing_parts;
use crate::support::workspace::Workspace;

/// Two checkouts of one configuration; the second one's DynamoDB is behind a proxy.
fn ana_and_ben(remote: &Remote, proxy: &Proxy) -> (Workspace, Workspace) {
    let backend = remote.backend(LockMode::DynamodbTable);
    let direct = Configuration::with_backend(&backend).waiting_resource("slow");
    let ana = Workspace::with(&direct);
    ana.init();
    let behind = backend.dynamodb_url(proxy.url());
    let ben = Workspace::with(&Configuration::with_backend(&behind).waiting_resource("slow"));
    ben.init();
    (ana, ben)
}

#[test]
fn a_run_waits_for_plain_terraform_and_goes_on_when_that_has_ended() {
    let remote = Remote::start();
    let proxy = Proxy::before(remote.dynamodb.url());
    let (ana, ben) = ana_and_ben(&remote, &proxy);
    let apply = ana.terraform(["apply", "-auto-approve"]);
    let (waiting, applied) = look_during(&ana, apply, |_| {
        let mut waiting = ben.tflock(["plan", "-detailed-exitcode"]).start();
        waiting.wait_for_output("is locked, waiting for it");
        waiting
    });
    applied.succeeded();
    let planned = waiting.wait().succeeded().with_stdout("No changes");
    let expected = "tflock: `states/prod/app.tfstate` is locked, waiting for it\n\
                    \x20 held by  <who> (terraform apply, since <time>)\n\
                    \x20 holder   unknown: this lock gives no heartbeat\n\
                    \x20 lock ID  <ID>\n\
                    tflock: the lock is free, going on\n";
    assert_eq!(without_changing_parts(&planned.stderr), expected);
    assert_eq!(remote.locks(), Vec::<String>::new());
}

#[test]
fn plain_terraform_says_who_holds_our_lock_and_why_and_waits_for_it() {
    let remote = Remote::start();
    let proxy = Proxy::before(remote.dynamodb.url());
    let (ana, ben) = ana_and_ben(&remote, &proxy);
    let apply = ana.tflock([
        "--reason",
        "rotating the password",
        "apply",
        "-auto-approve",
    ]);
    let plan = ["plan", "-lock-timeout=20s"];
    let (waiting, applied) = look_during(&ana, apply, |_| {
        let info = remote.table.lock_info(LOCK_ID).expect("a lock");
        let refused = ben.terraform(["plan", "-no-color"]).run().ended_with(1);
        for row in [
            format!("  ID:        {}\n", info["ID"].as_str().expect("an ID")),
            "  Path:      states/prod/app.tfstate\n".to_owned(),
            "  Operation: OperationTypeApply\n".to_owned(),
            format!("  Who:       {}\n", info["Who"].as_str().expect("a holder")),
            "  Info:      rotating the password\n".to_owned(),
        ] {
            let lines = refused.stderr.replace("│ ", "");
            assert!(lines.contains(&row), "no `{row}`: {refused}");
        }
        proxy.clear_log();
        let waiting = ben.terraform(plan).start();
        proxy.wait_for("PutItem", 2);
        waiting
    });
    applied.succeeded();
    let waited = ben.outwait(waiting, plan);
    waited.succeeded().with_stdout("No changes");
    assert_eq!(remote.locks(), Vec::<String>::new());
}

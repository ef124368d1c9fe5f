//! Nothing is held while something is waited for.

use serde_json::json;

use super::{STOPS, Team, item};
use crate::support::backend::LockMode;
use crate::support::mid_run::look_during;
use crate::support::waiting::wait_until;

#[test]
fn while_one_is_held_by_another_none_of_them_is_held() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile, LockMode::Both] {
        for held in ["app", "network"] {
            let team = Team::new(mode);
            let run = team.exec(&[held], STOPS);
            let (mut waiting, first) = look_during(&team.workspace, run, |_| {
                let both = team.exec(&["network", "app"], "terraform -chdir=network plan");
                let mut waiting = both.start();
                waiting.wait_for_output("is locked, waiting for it");
                let locks = team.locks();
                assert!(locks.iter().all(|lock| lock.contains(held)), "{locks:?}");
                // Whoever wants the other one does not wait for them.
                let other = if held == "app" { "network" } else { "app" };
                let run = team.exec(&[other], "true").env("TFLOCK_WAIT", "0");
                run.run().succeeded();
                waiting
            });
            first.succeeded();
            wait_until("the end", || !waiting.is_running());
            waiting.wait().succeeded();
            assert_eq!(team.locks(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_wait_that_is_over_leaves_nothing_and_names_the_one_that_is_held() {
    let team = Team::new(LockMode::DynamodbTable);
    let holder = json!({ "ID": "4db125df", "Who": "ana@laptop" });
    team.remote.table.put_lock(&item("network"), &holder);
    for wait in ["0", "1s"] {
        let run = team
            .exec(&["network", "app"], ": >started")
            .env("TFLOCK_WAIT", wait);
        run.run()
            .ended_with(75)
            .with_stderr("error: the state is locked")
            .with_stderr("Path:      states/network.tfstate\n")
            .with_stderr("Who:       ana@laptop\n")
            .with_stderr("`tflock -chdir=network force-unlock 4db125df`")
            .with_stderr("`tflock --wait 1h exec --dir network --dir app -- sh -c ': >started'`");
        assert_eq!(team.locks(), [item("network")]);
    }
    assert!(!team.workspace.file("started").exists());
}

#[test]
fn those_that_name_the_same_in_another_order_never_stand_in_each_other_s_way() {
    let team = Team::new(LockMode::DynamodbTable);
    let script = "test ! -e busy && : >busy && sleep 0.05 && rm busy";
    let runs: Vec<_> = (0..6)
        .map(|number| {
            let named = [["network", "app", "dns"], ["dns", "app", "network"]][number % 2];
            team.exec(&named, script).start()
        })
        .collect();
    for run in runs {
        run.wait().succeeded();
    }
    assert_eq!(team.locks(), Vec::<String>::new());
}

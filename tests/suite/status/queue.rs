//! The runs that wait for a lock, as others see them.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::lock_table::LockTable;
use crate::support::waiting::wait_until;

#[test]
fn those_who_wait_are_told_in_order_and_are_gone_when_they_give_up() {
    let scene = LockTable::new();
    let holder = scene.hold(["apply"]);
    let queue = || {
        let shown = scene.tflock(["status", "--json"]).run().succeeded();
        let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
        let queue = shown["locks"][0]["queue"].as_array().expect("an array");
        queue.clone()
    };
    let first = scene.tflock(["--reason", "first", "plan"]).start();
    wait_until("the first", || queue().len() == 1);
    let mut second = scene.tflock(["--reason", "second", "apply"]).start();
    second.wait_for_output("queue    2nd in line, after ");
    let told: Vec<_> = queue().iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(told, ["first", "second"]);
    let shown = scene.tflock(["status"]).run().succeeded();
    assert!(shown.stdout.contains("): first"), "{shown}");
    assert!(shown.stdout.contains("): second"), "{shown}");
    scene
        .tflock(["--wait", "0", "apply"])
        .run()
        .ended_with(75)
        .with_stderr("Queue:       2 runs are waiting, first ");

    first.signal(Signal::SIGINT);
    first.wait().died_of(Signal::SIGINT);
    assert_eq!(queue().len(), 1);
    second.signal(Signal::SIGTERM);
    second.wait().died_of(Signal::SIGTERM);
    assert_eq!(queue().len(), 0);
    scene.workspace.let_go();
    holder.wait().succeeded();
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

//! Which locks may be removed without anybody at a terminal.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::lock_table::{LOCK, LockTable, kill_with_terraform};
use crate::support::process::{Finished, Status};
use crate::support::waiting::wait_until;
use crate::support::words::{text_of, without_changing_parts};
use crate::support::workspace::Workspace;

/// Exactly this on stderr, and nothing on stdout.
#[track_caller]
fn says(finished: Finished, code: i32, lines: &[&str]) {
    let expected = Finished {
        stdout: String::new(),
        stderr: text_of(lines),
        status: Status::Code(code),
    };
    let stderr = without_changing_parts(&finished.stderr);
    assert_eq!(Finished { stderr, ..finished }, expected);
}

fn title(scene: &LockTable) -> String {
    format!(
        "tflock: `{LOCK}` is locked in DynamoDB table `{}` in us-east-1",
        scene.table.name()
    )
}

fn look_again(scene: &LockTable) -> String {
    format!(
        "tflock --table {} --lock-id {LOCK} status",
        scene.table.name()
    )
}

#[test]
fn where_nothing_is_locked_it_says_so_and_succeeds() {
    let scene = LockTable::new();
    says(
        scene.tflock(["force-unlock"]).run(),
        0,
        &[&format!(
            "tflock: `{LOCK}` in DynamoDB table `{}` in us-east-1 is not locked: there is nothing to remove",
            scene.table.name()
        )],
    );
}

#[test]
fn an_id_that_no_lock_has_is_not_a_success() {
    let scene = LockTable::new();
    for force in [&["4db125df"][..], &["-no-color", "-force", "4db125df"]] {
        says(
            scene.tflock(["force-unlock"]).args(force).run(),
            77,
            &[
                &format!("error: no lock has the ID `4db125df`: `{LOCK}` is not locked"),
                &format!("hint: look at it with `{}`", look_again(&scene)),
            ],
        );
    }
}

#[test]
fn without_a_terminal_it_shows_the_lock_and_wants_yes_beforehand() {
    let scene = LockTable::new();
    scene.put_silent(TimeDelta::hours(1));
    let lines = [
        &title(&scene),
        "  held by  <who> (apply, since <time>)",
        "  holder   stale, last heartbeat <age> ago",
        "  lock ID  <ID>",
        "error: cannot ask for confirmation: no terminal",
        "hint: run it at a terminal, or confirm with `--yes`",
    ];
    // At once, because each watches the holder for a while.
    let runs = [&["force-unlock"][..], &["-q", "force-unlock"]];
    let runs = runs.map(|arguments| scene.tflock([]).args(arguments).start());
    for run in runs {
        says(run.wait(), 77, &lines);
    }
    assert_eq!(scene.table.locks(), [LOCK]);
}

#[test]
fn yes_removes_a_stale_lock() {
    let [scene, quiet] = [(); 2].map(|()| LockTable::new());
    // At once, because each watches the holder for a while.
    let [run, quiet_run] = [
        (&scene, &["force-unlock", "--yes"][..]),
        (&quiet, &["-q", "force-unlock", "--yes"]),
    ]
    .map(|(scene, arguments)| {
        scene.put_silent(TimeDelta::hours(1));
        scene.tflock([]).args(arguments).start()
    });
    says(
        run.wait(),
        0,
        &[
            &title(&scene),
            "  held by  <who> (apply, since <time>)",
            "  holder   stale, last heartbeat <age> ago",
            "  lock ID  <ID>",
            "tflock: removed the lock of `locks/app`",
        ],
    );
    says(quiet_run.wait(), 0, &[]);
    for scene in [scene, quiet] {
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    }
}

#[test]
fn terraforms_own_spelling_with_the_id_is_understood() {
    let scene = LockTable::new();
    // The second is what terraform-exec sends.
    for flags in [&["-force"][..], &["-no-color", "-force"], &["-force=true"]] {
        let id = scene.put_terraforms();
        let run = scene.tflock(["force-unlock"]).args(flags).arg(id).run();
        run.succeeded();
        assert_eq!(scene.table.locks(), Vec::<String>::new());
    }
    let id = scene.put_terraforms();
    let run = scene.tflock(["force-unlock", "-force=false", id]).run();
    run.ended_with(77)
        .with_stderr("cannot ask for confirmation");
    assert_eq!(scene.table.locks(), [LOCK]);
}

#[test]
fn an_id_that_looks_like_an_option_is_one_behind_two_dashes() {
    let scene = LockTable::new();
    let info = json!({ "ID": "--yes", "Who": "eve@desk", "Operation": "OperationTypePlan" });
    scene.table.put_lock(LOCK, &info);
    scene
        .tflock(["--wait", "0", "plan"])
        .run()
        .ended_with(75)
        .with_stderr("force-unlock -- --yes`");
    scene
        .tflock(["force-unlock", "--", "--yes"])
        .run()
        .ended_with(77)
        .with_stderr("cannot ask for confirmation");
    scene
        .tflock(["force-unlock", "-force", "--", "--yes"])
        .run()
        .succeeded();
}

#[test]
fn in_a_directory_that_is_none_of_terraforms_nothing_is_free() {
    let workspace = Workspace::new();
    for arguments in [&["status"][..], &["force-unlock", "-force", "4db125df"]] {
        workspace
            .tflock([])
            .args(arguments)
            .run()
            .ended_with(78)
            .with_stderr("error: there is neither a configuration nor a state in `")
            .with_stderr("hint: did you mean another directory? put `-chdir=DIR`");
    }
    workspace.write("main.tf", "");
    workspace.tflock(["status"]).run().succeeded();
    workspace
        .tflock(["force-unlock", "-force", "4db125df"])
        .run()
        .ended_with(77);
}

#[test]
fn another_id_than_that_of_the_lock_removes_nothing() {
    let scene = LockTable::new();
    scene.put_terraforms();
    let refused = scene
        .tflock(["force-unlock", "--yes", "--force", "4db125df"])
        .run();
    let lines = [
        &title(&scene),
        "  held by  <who> (terraform apply, since <time>)",
        "  holder   unknown: this lock gives no heartbeat",
        "  lock ID  <ID>",
        "error: the current lock is not `4db125df`; it was left alone",
        &format!("hint: look at it with `{}`", look_again(&scene)),
    ];
    says(refused, 77, &lines);
    assert_eq!(scene.table.locks(), [LOCK]);
}

#[test]
fn the_lock_of_a_living_holder_wants_force() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    let lines = [
        &title(&scene),
        "  held by  <who> (apply, since <time>)",
        "  holder   alive, last heartbeat <age> ago",
        "  lock ID  <ID>",
        "error: the holder is alive: it would go on and write the state without its lock",
        &format!(
            "hint: wait until it has ended (see `{}`), or ask its owner to stop it; `--force` removes the lock \
             anyway",
            look_again(&scene)
        ),
    ];
    says(scene.tflock(["force-unlock", "--yes"]).run(), 77, &lines);
    let id = scene.held_id().expect("a lock");
    scene
        .tflock(["force-unlock", "--yes", "--force", &id])
        .run()
        .succeeded();
    assert_eq!(scene.table.locks(), Vec::<String>::new());
    scene.workspace.let_go();
    run.wait()
        .ended_with(76)
        .with_stderr("is gone: someone removed it while it was ours");
}

#[test]
fn the_lock_of_a_run_that_was_killed_on_this_machine_needs_no_force() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    let id = scene.held_id().expect("a lock");
    kill_with_terraform(run, &scene.fake);
    let unlock = || scene.tflock(["force-unlock", "--yes", &id]).run();
    wait_until("the end of all that it started", || {
        unlock().status == Status::Code(0)
    });
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn an_info_that_is_no_lock_info_can_be_removed() {
    let scene = LockTable::new();
    scene
        .table
        .put(&json!({ "LockID": { "S": LOCK }, "Info": { "S": "by hand" } }));
    says(
        scene.tflock(["force-unlock", "--yes"]).run(),
        0,
        &[
            &title(&scene),
            "  held by  unknown: its `Info` is not a lock info",
            "  Info     by hand",
            "tflock: removed the lock of `locks/app`",
        ],
    );
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn the_digest_of_a_state_is_not_a_lock_and_stays() {
    let scene = LockTable::new();
    let digest = format!("{LOCK}-md5");
    scene.table.put(&serde_json::json!({
        "LockID": { "S": digest },
        "Digest": { "S": "d41d8cd98f00b204e9800998ecf8427e" },
    }));
    let words = ["--lock-id", &digest, "force-unlock", "--yes", "--force"];
    let refused = scene.tflock(words).run().ended_with(77);
    let refused = refused
        .with_stderr("is not a lock: terraform keeps the digest of the state under that name");
    assert!(
        refused
            .stderr
            .contains(&format!("hint: the lock is `{LOCK}`")),
        "{refused}"
    );
    assert!(scene.table.item(&digest).is_some());
}

//! The lock is certainly released, or tflock says loudly that it is not, and what to type.

use std::path::Path;

use super::{Fault, Ground, Lock, once_and_three_times, whatever_took_long};
use crate::support::process::{Finished, Status};
use crate::support::pty::{Size, Terminal};
use crate::support::words::without_escapes;

/// A run whose lock cannot be released, and which ends with that code if its child ends with `code`.
#[track_caller]
fn forbidden(lock: &Lock<'_>, action: &str, code: i32) -> Finished {
    lock.proxy.on(action).every(Fault::AccessDenied);
    lock.let_go();
    let run = lock.run_ending_with(code, []).run();
    assert!(lock.is_held());
    assert_eq!(lock.proxy.count(action), 1, "it would be in vain");
    run
}

/// The command between the backticks of the only hint.
#[track_caller]
fn mending_command(run: &Finished) -> &str {
    let mut hints = run
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("hint: "));
    let hint = hints.next().expect("a hint");
    assert_eq!(hints.next(), None);
    hint.split('`').nth(1).expect("a command")
}

/// Types the command exactly as printed, and confirms it.
#[track_caller]
fn type_and_confirm(lock: &Lock<'_>, command: &str) {
    let shell = lock.tflock([]).into_command();
    let tflock = Path::new(env!("CARGO_BIN_EXE_tflock"));
    let mut typed = lock.ground.workspace.invocation("/bin/sh");
    for (name, value) in shell.get_envs() {
        // The command must name the lock by itself.
        if let Some(value) = value
            && !name.to_string_lossy().starts_with("TFLOCK_")
        {
            typed = typed.env(name, value);
        }
    }
    let typed = typed
        .without_env("TFLOCK_TABLE")
        .first_on_path(tflock.parent().expect("a directory"))
        .args(["-c", command]);
    let mut terminal = Terminal::start(typed, Size::default());
    terminal.wait_for_output("Only `yes` is accepted: ");
    terminal.send(b"yes\r");
    assert_eq!(terminal.wait(), Status::Code(0), "{terminal}");
    let shown = without_escapes(&terminal.output());
    assert!(shown.contains("\ntflock: removed the lock of "), "{shown}");
}

#[test]
fn a_lock_that_must_not_be_deleted_is_an_exit_code_and_a_command_that_mends_it() {
    let ground = Ground::with_table();
    let lock = ground.lock("it's forbidden");
    let run = forbidden(&lock, "DeleteItem", 0).ended_with(73);
    let super::Engine::Table { table, .. } = &ground.engine else {
        unreachable!("a table")
    };
    let info = table.lock_info(&lock.name).expect("a lock");
    let (table, id) = (table.name(), info["ID"].as_str().expect("an ID"));
    let command =
        format!(r"tflock --table {table} --lock-id 'it'\''s forbidden' force-unlock {id}");
    let expected = format!(
        "warning: the lock is NOT released: DeleteItem on DynamoDB table `{table}` in us-east-1 failed: \
         AccessDeniedException: by the proxy\n\
         hint: with credentials that are allowed to: `{command}`\n"
    );
    assert_eq!(run.stderr, expected);
    lock.proxy.heal();
    type_and_confirm(&lock, mending_command(&run));
    assert!(!lock.is_held());
}

#[test]
fn a_lock_object_that_must_not_be_deleted_is_mended_the_same_way() {
    let ground = Ground::with_bucket();
    let lock = ground.lock("forbidden");
    let run = forbidden(&lock, "DELETE *.tflock", 0).ended_with(73);
    lock.proxy.heal();
    type_and_confirm(&lock, mending_command(&run));
    assert!(!lock.is_held());
}

#[test]
fn the_failure_of_the_child_goes_before_that_of_the_release() {
    let ground = Ground::with_table();
    let lock = ground.lock("both");
    let run = forbidden(&lock, "DeleteItem", 3).ended_with(3);
    assert!(run.stderr.contains("the lock is NOT released"), "{run}");
    assert!(mending_command(&run).contains("force-unlock"), "{run}");
}

#[test]
fn trouble_that_lasts_for_seconds_is_one_word_and_then_a_release() {
    let ground = Ground::with_table();
    let trouble = [Fault::Throttled, Fault::InternalError, Fault::Reset];
    std::thread::scope(|scope| {
        for fault in trouble {
            let ground = &ground;
            scope.spawn(move || {
                let lock = ground.lock(&format!("{fault:?}"));
                lock.let_go();
                lock.proxy.on("DeleteItem").times(6, &fault);
                let run = lock.run([]).run().succeeded();
                let words = "warning: the lock is not released yet: DeleteItem on ";
                assert!(run.stderr.starts_with(words), "{run}");
                assert!(
                    run.stderr
                        .ends_with("; retrying for one minute, please leave it running\n"),
                    "{run}"
                );
                assert_eq!(run.stderr.lines().count(), 1, "{run}");
                assert!(!lock.is_held());
            });
        }
    });
}

#[test]
fn a_code_of_the_child_stands_whatever_befalls_the_release() {
    let ground = Ground::with_table();
    once_and_three_times([Fault::DropReply, Fault::Throttled], |fault, times| {
        let lock = ground.lock(&format!("{fault:?}-{times}"));
        lock.let_go();
        lock.proxy.on("DeleteItem").times(times, fault);
        let run = whatever_took_long(lock.run_ending_with(2, []).run());
        assert_eq!(run, Finished::silent(2));
        assert!(!lock.is_held());
    });
}

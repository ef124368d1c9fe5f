//! Requests that get no answer, not even a closed connection: each is abandoned after seven or ten seconds, or
//! sooner if the lock expires earlier, and repeated.

use std::thread;
use std::time::Duration;

use super::{Fault, Ground};
use crate::support::process::{Finished, Status};

/// Longer than any attempt.
const FOR_EVER: Duration = Duration::from_secs(50);

#[test]
fn a_request_without_an_answer_is_given_up_in_time_and_made_again() {
    let ground = Ground::with_table();
    let no_answer = |action: &str, within: &str| {
        let super::Engine::Table { table, .. } = &ground.engine else {
            unreachable!("a table")
        };
        let table = table.name();
        format!("{action} on DynamoDB table `{table}` in us-east-1 failed: no answer {within}")
    };
    let ends_with_a_word = |action: &str, fault: Fault, words: String| {
        let lock = ground.lock(&format!("{action}-{fault:?}"));
        lock.let_go();
        lock.proxy.on(action).next(fault);
        let expected = Finished {
            stdout: String::new(),
            stderr: words,
            status: Status::Code(0),
        };
        assert_eq!(lock.run([]).run(), expected);
        assert_eq!(lock.children(), 1);
        assert!(!lock.is_held());
    };
    let is_renewed_in_time = |fault: Fault| {
        let lock = ground.lock(&format!("renewal-{fault:?}"));
        let mut run = lock.start(lock.run(["--expire-after", "24s"]));
        lock.spoil_renewals(&mut run, 1, &fault);
        lock.let_go();
        assert_eq!(run.wait(), Finished::silent(0), "{:#?}", lock.proxy.log());
        assert!(!lock.is_held());
    };
    thread::scope(|scope| {
        for fault in [Fault::Hang(FOR_EVER), Fault::HangReply(FOR_EVER)] {
            let (put, deletion) = (fault.clone(), fault.clone());
            scope.spawn(|| {
                let words = format!(
                    "tflock: {}; trying again\n",
                    no_answer("the request", "for 7 s")
                );
                ends_with_a_word("PutItem", put, words);
            });
            scope.spawn(|| {
                let error = no_answer("DeleteItem", "within 10 s");
                let words =
                    format!("warning: the lock is not released yet: {error}; retrying for one minute, please leave it running\n");
                ends_with_a_word("DeleteItem", deletion, words);
            });
            scope.spawn(|| is_renewed_in_time(fault));
        }
    });
}

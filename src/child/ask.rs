//! Asks a program for a few lines of output, with no lock held: for completion, while the user waits at a prompt.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::spawn::Command;

/// More than any help text.
const LONGEST_ANSWER: u64 = 256 * 1024;

/// What `command` prints to stdout, if it ends within `patience`. Otherwise it is left alone: its output has no reader any
/// more, and nothing waits for it.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "no state is touched, so that no signals have to be passed on"
)]
pub fn ask(command: &Command, patience: Duration) -> Option<String> {
    let mut asked = command.to_std();
    asked.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = asked.stderr(Stdio::null()).spawn().ok()?;
    let output = child.stdout.take()?;
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.take(LONGEST_ANSWER).read_to_end(&mut text);
        // The receiver is gone if it took too long.
        let _ = answer.send(read.map(|_| text));
    });
    let text = answered.recv_timeout(patience).ok()?.ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arguments = vec!["-c".into(), script.into()];
        command
    }

    #[test]
    fn the_answer_is_what_it_prints_to_stdout() {
        let answer = ask(
            &shell("cat; echo one; echo two >&2"),
            Duration::from_secs(30),
        );
        assert_eq!(answer.as_deref(), Some("one\n"));
    }

    #[test]
    fn what_does_not_answer_in_time_or_cannot_be_started_has_no_answer() {
        let begun = Instant::now();
        assert_eq!(
            ask(&shell("sleep 60 & wait"), Duration::from_millis(50)),
            None
        );
        assert!(begun.elapsed() < Duration::from_secs(30));
        let missing = Command::new("/no/such/program");
        assert_eq!(ask(&missing, Duration::from_secs(30)), None);
    }
}

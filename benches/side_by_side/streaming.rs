//! How fast output passes through tflock where stdout is a pipe.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::sample::Sample;
use super::table::{Row, Verdict};
use super::timing::interleaved;
use crate::support::workspace::Workspace;

const BLOCK: usize = 64 * 1024;
/// 4 GiB.
const BLOCKS: usize = 65_536;
const ROUNDS: usize = 3;

pub fn measure() -> Vec<Row> {
    let workspace = Workspace::new();
    let cat = || workspace.invocation("cat").into_command();
    let tflock = || {
        workspace
            .tflock(["--store", "local", "exec", "--", "cat"])
            .into_command()
    };
    let [alone, twice, through] = interleaved(
        ROUNDS,
        [
            &|| stream(vec![cat()]),
            &|| stream(vec![cat(), cat()]),
            &|| stream(vec![tflock()]),
        ],
    );
    let shown = |sample: &Sample| sample.shown("GB/s");
    vec![
        Row::of("cat").without(shown(&alone)),
        // tflock's pipe is one more, and another `cat` is what one more pipe costs.
        Row::of("cat | cat, tflock exec -- cat")
            .without(shown(&twice))
            .tflock(shown(&through))
            .budget(
                "as fast as one more pipe",
                Verdict::of_at_least(through.median(), twice.median()),
            ),
    ]
}

/// Sends all blocks through programs one behind the other, and says how many GB/s came out.
fn stream(programs: Vec<Command>) -> f64 {
    let started = Instant::now();
    let mut children: Vec<Child> = Vec::new();
    for mut program in programs {
        let previous = children.last_mut().and_then(|child| child.stdout.take());
        program
            .stdin(previous.map_or_else(Stdio::piped, Stdio::from))
            .stdout(Stdio::piped());
        children.push(program.spawn().expect("a program starts"));
    }
    let mut first = children[0].stdin.take().expect("a pipe");
    let last = children.last_mut().expect("at least one program");
    let mut last = last.stdout.take().expect("a pipe");
    let writer = thread::spawn(move || {
        let block = vec![0; BLOCK];
        for _ in 0..BLOCKS {
            first.write_all(&block).expect("everything is read");
        }
    });
    let mut received = 0;
    let mut block = vec![0; BLOCK];
    loop {
        match last.read(&mut block).expect("a pipe can be read") {
            0 => break,
            count => received += count,
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    writer.join().expect("everything is read");
    for mut child in children {
        let status = child.wait().expect("a child has a status");
        assert!(status.success(), "a program of the pipeline: {status}");
    }
    assert_eq!(received, BLOCK * BLOCKS, "bytes that came through");
    #[expect(clippy::cast_precision_loss, reason = "4 GiB is far below 2^53")]
    let gigabytes = received as f64 / 1e9;
    gigabytes / seconds
}

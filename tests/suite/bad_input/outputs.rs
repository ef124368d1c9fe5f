//! A stdout that cannot be written: a full disk is one plain error, and a reader that has gone away ends the program like any
//! other.

use std::fs::OpenOptions;
use std::io;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::Bench;

const PRINTING: [&[&str]; 7] = [
    &["--help"],
    &["--version"],
    &["status", "--help"],
    &["status"],
    &["status", "--json"],
    &["completions", "bash"],
    &[],
];

fn bench() -> Bench {
    let bench = Bench::new();
    bench.workspace.write("main.tf", "");
    bench
}

#[test]
fn a_full_disk_is_told_in_one_line() {
    let bench = bench();
    for arguments in PRINTING {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let full = Stdio::from(full.expect("/dev/full"));
        let run = bench.tflock().args(arguments);
        let finished = run.start_with(full, Stdio::piped()).wait();
        assert_eq!(
            finished.ended_with(78).stderr,
            "error: cannot write to stdout: No space left on device (os error 28)\n\
             hint: free space there, or send the output somewhere else\n",
            "{arguments:?}"
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let bench = bench();
    for arguments in PRINTING {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let run = bench.tflock().args(arguments);
        let finished = run.start_with(writer, Stdio::piped()).wait();
        assert_eq!(
            finished.died_of(Signal::SIGPIPE).stderr,
            "",
            "{arguments:?}"
        );
    }
}

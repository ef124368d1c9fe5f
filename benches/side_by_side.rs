//! tflock and terraform's own locking side by side, in one run on one machine.
//!
//! `cargo bench` runs every part, in about four minutes; `cargo bench -- lock streaming` runs those two. The
//! parts are `lock`, `hand-over`, `pass-through`, `streaming` and `footprint`. Figures are printed and never
//! asserted: what fails the bench is only a run that does not do what it is timed for.
//!
//! # How to read the table
//!
//! The four columns are: without any lock, or without tflock; terraform with its own lock; tflock; and what
//! was promised, with `within` or `OVER` for what was measured.
//!
//! - `412 ms [405 .. 430]` is a median with its quartiles. Contestants take turns within a round, and who
//!   comes first changes from round to round, so that drifts of the machine hit all of them.
//! - A round trip (RT) is what the proxy before each store adds to every request and to every new connection.
//!   A connection by TLS costs at least one more than is shown here.
//! - The cost of a lock is the difference of two medians; its quartiles are those of the differences within
//!   the rounds. In round trips it includes what the programs themselves take, which counts for more the
//!   shorter they are: compare them at 100 ms.
//! - A hand-over lasts from the moment the holder's item or lock file is removed until the waiter is told that its
//!   own was written. Waiters wait in parallel, each for a lock of its own.
//! - Pass-through is what tflock adds to a command that takes no lock.
//! - Memory is the peak of the resident set (`VmHWM`).

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench starts programs, says its figures on stdout and what it is doing on stderr, and ends where it cannot go on"
)]

#[path = "side_by_side/mod.rs"]
mod side_by_side;
#[path = "../tests/suite/support/mod.rs"]
mod support;

use std::env;
use std::process::ExitCode;

use side_by_side::table::Row;
use side_by_side::{footprint, hand_over, lock_cost, pass_through, streaming, table};

/// A part of the bench, and the name it is chosen by.
struct Part {
    name: &'static str,
    title: &'static str,
    measure: fn() -> Vec<Row>,
}

const PARTS: [Part; 5] = [
    Part {
        name: "lock",
        title: "the lock's cost in `plan`, S3 backend",
        measure: lock_cost::measure,
    },
    Part {
        name: "hand-over",
        title: "hand-over to a waiting `plan`",
        measure: hand_over::measure,
    },
    Part {
        name: "pass-through",
        title: "commands that take no lock",
        measure: pass_through::measure,
    },
    Part {
        name: "streaming",
        title: "output through a pipe",
        measure: streaming::measure,
    },
    Part {
        name: "footprint",
        title: "size of tflock itself",
        measure: footprint::measure,
    },
];

fn main() -> ExitCode {
    // cargo adds `--bench` under `cargo bench`, and nothing where tests run all targets.
    let (flags, wanted): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|word| word.starts_with("--"));
    if !flags.iter().any(|flag| flag == "--bench") {
        eprintln!("nothing is measured here: run `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let unknown = |name: &&String| PARTS.iter().all(|part| part.name != **name);
    if let Some(name) = wanted.iter().find(unknown) {
        let names = PARTS.map(|part| part.name).join(", ");
        eprintln!("there is no part `{name}`; the parts are {names}");
        return ExitCode::from(2);
    }
    let mut sections = Vec::new();
    for part in PARTS {
        if wanted.is_empty() || wanted.iter().any(|name| name == part.name) {
            eprintln!("measuring {} …", part.title);
            sections.push((part.title, (part.measure)()));
        }
    }
    print!("{}", table::render(&sections));
    ExitCode::SUCCESS
}

//! The program: parse, run, say what went wrong, exit.

use std::process::ExitCode;

use tflock::session::Outcome;

fn main() -> ExitCode {
    match tflock::run(std::env::args_os()) {
        Outcome::Exit(code) => ExitCode::from(code),
        Outcome::Signal(signal) => tflock::child::die_of(signal),
    }
}

//! Finds the real terraform for all tests that need it; the suite includes this file as well.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::OnceLock;

/// The terraform on `PATH`, where `tests/terraform/with-terraform` puts one if need be. Without a working one the whole test
/// process ends at once with one line, instead of hundreds of tests failing one after the other.
pub fn program() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().unwrap_or_else(|trouble| give_up(&trouble)));
    found.clone()
}

fn find() -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|directory| directory.join("terraform"));
    let program = candidates
        .find(|program| program.is_file())
        .ok_or("there is none")?;
    // Try it as the tests run it: a version switcher that needs a set-up home directory would not work there.
    let trial = Command::new(&program)
        .arg("version")
        .env_clear()
        .env("PATH", &path)
        .env("CHECKPOINT_DISABLE", "1")
        .output();
    let shown = program.display();
    match trial {
        Ok(trial) if trial.status.success() => Ok(program),
        Ok(trial) => Err(format!("`{shown} version` failed ({})", trial.status)),
        Err(error) => Err(format!("`{shown}` cannot be started: {error}")),
    }
}

#[expect(clippy::exit, reason = "nothing can be tested without terraform")]
fn give_up(trouble: &str) -> ! {
    let line = format!(
        "error: the tests need terraform on PATH, and {trouble}: run them by cargo, or install it from \
         https://developer.hashicorp.com/terraform/install (written with 1.11.4)\n"
    );
    // Straight to stderr and in one write, because the harness captures what tests print. A missing reader changes
    // nothing.
    let _ = io::stderr().write_all(line.as_bytes());
    process::exit(1)
}

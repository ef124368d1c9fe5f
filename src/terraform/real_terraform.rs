//! The real terraform, for tests of facts that only it can show. Each run has an environment of its own and no network.

mod on_path;

use std::path::Path;
use std::process::{Command, Output};

pub(crate) use on_path::program;

/// Runs `terraform ARGUMENTS…` in `directory` with only the given variables set.
pub(super) fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let configuration = directory.join("empty.tfrc");
    std::fs::write(&configuration, "").expect("the CLI configuration can be written");
    Command::new(program())
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_CLI_CONFIG_FILE", configuration)
        .envs(variables.iter().copied())
        .output()
        .expect("terraform can be started")
}

/// Like [`run`], for a run that must succeed.
pub(super) fn succeed(directory: &Path, arguments: &[&str]) {
    let output = run(directory, arguments, &[]);
    assert!(
        output.status.success(),
        "terraform {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

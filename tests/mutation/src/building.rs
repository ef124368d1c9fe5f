//! Builds the copy, and takes away what does not compile: types are known to the compiler alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::tree::Tree;

/// A round takes away what the one before has hidden.
const ROUNDS: usize = 30;

/// Builds the library's tests.
pub fn build(tree: &mut Tree) -> Result<PathBuf> {
    let mut messages = Vec::new();
    for round in 1..=ROUNDS {
        tree.write()?;
        messages = cargo(tree, &["test", "--no-run", "--lib"])?;
        if !messages.iter().any(is_error) {
            break;
        }
        let refused = refuse(tree, &messages)?;
        eprintln!("round {round}: the compiler refuses {refused} places");
        ensure!(round < ROUNDS, "it still does not compile");
    }
    let mut programs = messages
        .iter()
        .filter(|message| message["profile"]["test"] == true);
    let program = programs.find_map(|message| message["executable"].as_str());
    Ok(program.context("no tests")?.into())
}

/// Builds tflock itself from the copy, to where the suite expects it, and returns the suite. [`restore`] undoes that.
pub fn build_for_suite(tree: &Tree) -> Result<PathBuf> {
    let suite = in_root(tree, &["test", "--no-run", "--test", "suite"])?;
    let mut programs = suite
        .iter()
        .filter(|message| message["target"]["name"] == "suite");
    let suite = programs
        .find_map(|message| message["executable"].as_str())
        .context("no suite")?;
    cargo(tree, &["build", "--bin", "tflock"])?;
    Ok(suite.into())
}

/// Puts the real tflock back.
pub fn restore(tree: &Tree) -> Result<()> {
    in_root(tree, &["build", "--bin", "tflock"])?;
    Ok(())
}

fn in_root(tree: &Tree, arguments: &[&str]) -> Result<Vec<Value>> {
    run(Command::new("cargo")
        .args(arguments)
        .args(["--locked", "--message-format", "json"])
        .current_dir(&tree.root))
}

fn cargo(tree: &Tree, arguments: &[&str]) -> Result<Vec<Value>> {
    run(Command::new("cargo")
        .args(arguments)
        .args([
            "--offline",
            "--package",
            "tflock",
            "--message-format",
            "json",
        ])
        .current_dir(&tree.workspace)
        .env("CARGO_TARGET_DIR", tree.root.join("target")))
}

fn run(command: &mut Command) -> Result<Vec<Value>> {
    // What cargo has told us of ourselves would make dependencies stale whose build scripts look at it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let output = command.arg("--quiet").stderr(Stdio::inherit()).output()?;
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages: Vec<Value> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    ensure!(
        output.status.success() || messages.iter().any(is_error),
        "cargo failed without saying why"
    );
    Ok(messages)
}

fn is_error(message: &Value) -> bool {
    message["reason"] == "compiler-message" && message["message"]["level"] == "error"
}

fn refuse(tree: &mut Tree, messages: &[Value]) -> Result<usize> {
    let mut places = Vec::new();
    for message in messages.iter().filter(|message| is_error(message)) {
        let spans = message["message"]["spans"].as_array().into_iter().flatten();
        let primary: Vec<_> = spans.filter(|span| span["is_primary"] == true).collect();
        for span in primary {
            let (Some(file), Some(at)) = (span["file_name"].as_str(), span["byte_start"].as_u64())
            else {
                continue;
            };
            // Relative to the package or to the workspace.
            let file = PathBuf::from(file.strip_prefix("tree/").unwrap_or(file));
            places.push((file, usize::try_from(at)?));
        }
    }
    let mut refused = 0;
    let mut left = Vec::new();
    for (file, at) in &places {
        if tree.refuse(file, *at)? {
            refused += 1;
        } else {
            left.push((file, at));
        }
    }
    if refused == 0 {
        // Somewhere a change has an effect that the compiler notices elsewhere.
        let files: BTreeSet<&PathBuf> = left.iter().map(|(file, _)| *file).collect();
        refused = files.into_iter().map(|file| tree.refuse_all(file)).sum();
    }
    ensure!(refused > 0, "errors outside of what was changed: {left:?}");
    Ok(refused)
}

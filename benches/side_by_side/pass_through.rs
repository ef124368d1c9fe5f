//! What tflock adds to commands that take no lock: it becomes terraform, and should hardly be noticed.

use std::env;
use std::path::Path;
use std::process::Command;

use super::sample::{Sample, figure};
use super::table::{Row, Verdict};
use super::timing::{interleaved, timed};
use crate::support::configuration::Configuration;
use crate::support::workspace::Workspace;

/// Rounds with a terraform that does nothing, and with the real one.
const ROUNDS_WITH_NOTHING: usize = 200;
const ROUNDS_WITH_TERRAFORM: usize = 40;
/// In milliseconds.
const BUDGET: f64 = 5.0;

pub fn measure() -> Vec<Row> {
    let workspace = Workspace::with(&Configuration::without_backend().resource("one", "1"));
    workspace
        .terraform(["apply", "-auto-approve"])
        .run()
        .succeeded();
    let nothing = workspace.home();
    install_nothing_as_terraform(&nothing);
    let [without, with] = interleaved(
        ROUNDS_WITH_NOTHING,
        [
            &|| timed(workspace.invocation(nothing.join("terraform")).arg("fmt")),
            &|| timed(workspace.tflock(["fmt"]).first_on_path(&nothing)),
        ],
    );
    let mut rows = Vec::from(compared("a terraform that does nothing", &without, &with));
    for command in ["fmt", "output"] {
        let [without, with] = interleaved(
            ROUNDS_WITH_TERRAFORM,
            [&|| timed(workspace.terraform([command])), &|| {
                timed(workspace.tflock([command]))
            }],
        );
        rows.extend(compared(&format!("terraform {command}"), &without, &with));
    }
    rows
}

fn compared(what: &str, without: &Sample, with: &Sample) -> [Row; 2] {
    let added = with.median() - without.median();
    let spread = with.minus(without).quartiles();
    [
        Row::of(what)
            .without(without.shown("ms"))
            .tflock(with.shown("ms")),
        Row::of("  added")
            .tflock(format!("{} ms {spread}", figure(added)))
            .budget(
                &format!("at most {BUDGET} ms"),
                Verdict::of_at_most(added, BUDGET),
            ),
    ]
}

/// Copied by another program: one that this process ever had open for writing can be refused by exec.
fn install_nothing_as_terraform(directory: &Path) {
    let path = env::var_os("PATH").unwrap_or_default();
    let nothing = env::split_paths(&path)
        .map(|directory| directory.join("true"))
        .find(|program| program.is_file())
        .expect("`true` on PATH");
    let status = Command::new("install")
        .args(["-m", "755"])
        .args([nothing, directory.join("terraform")])
        .status()
        .expect("`install` is there");
    assert!(status.success(), "cannot install `true`: {status}");
}

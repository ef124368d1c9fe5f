//! `tflock man`.

use std::fs;

use crate::support::workspace::Workspace;

#[test]
fn the_manual_is_printed_or_written_as_a_file_for_each_page() {
    let workspace = Workspace::new();
    let printed = workspace.tflock(["man"]).run().succeeded();
    workspace.tflock(["man", "new/man"]).run().succeeded();
    let written = fs::read_to_string(workspace.file("new/man/tflock.1")).expect("a page");
    assert_eq!(printed.stdout, written);
    for page in [
        "tflock-status.1",
        "tflock-exit-codes.7",
        "tflock-environment.7",
    ] {
        let text = fs::read_to_string(workspace.file("new/man").join(page)).expect("a page");
        assert!(text.contains(".SH NAME\n"), "{page}: {text}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let workspace = Workspace::new();
    workspace.write("file", "");
    let failed = workspace.tflock(["man", "file/man"]).run().ended_with(78);
    assert!(
        failed.stderr.contains("cannot write `file/man`"),
        "{failed:?}"
    );
}

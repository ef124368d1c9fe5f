//! The completion scripts: the files that are shipped are those that the program prints, and bash can use them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::process::Invocation;
use crate::support::pty::{Size, Terminal};
use crate::support::words::without_escapes;
use crate::support::workspace::Workspace;

/// The shells, with the file names that they look for (those of `clap_complete::generate_to`).
const FILES: [(&str, &str); 5] = [
    ("bash", "tflock.bash"),
    ("zsh", "_tflock"),
    ("fish", "tflock.fish"),
    ("powershell", "_tflock.ps1"),
    ("elvish", "tflock.elv"),
];

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("completions")
        .join(name)
}

#[test]
fn the_files_are_what_the_program_prints() {
    let workspace = Workspace::new();
    for (shell, name) in FILES {
        let printed = workspace.tflock(["completions", shell]).run().succeeded();
        assert_eq!(printed.stderr, "");
        let file = fs::read_to_string(shipped(name)).unwrap_or_default();
        // Too long to be shown by `assert_eq`.
        assert!(
            file == printed.stdout,
            "`completions/{name}` is out of date: \
             run `cargo run -- completions {shell} > completions/{name}`"
        );
    }
}

/// What bash offers for the last of these words, as it calls the function that the script registers.
#[track_caller]
fn bash_offers(words: &[&str]) -> Vec<String> {
    let script = r#"
        source "$1"; shift
        registered=$(complete -p tflock)
        [[ $registered =~ -F\ ([^ ]+) ]] || exit 3
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "${BASH_REMATCH[1]}" tflock "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let workspace = Workspace::new();
    let bash = workspace.invocation("bash");
    let bash = bash.args(["--norc", "--noprofile", "-c", script, "bash"]);
    let offered = bash.arg(shipped("tflock.bash")).args(words).run();
    let offered = offered.succeeded();
    assert_eq!(offered.stderr, "");
    offered
        .stdout
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_our_options_and_their_values() {
    assert_eq!(bash_offers(&["tflock", "--w"]), ["--wait"]);
    assert_eq!(
        bash_offers(&["tflock", "--store", ""]),
        ["auto", "dynamodb", "s3", "local"]
    );
    assert_eq!(bash_offers(&["tflock", "force-unlock", "--y"]), ["--yes"]);
    assert_eq!(bash_offers(&["tflock", "status", "--ta"]), ["--table"]);
}

#[test]
fn bash_completes_our_commands_and_terraforms_beside_them() {
    let mut offered = bash_offers(&["tflock", "sta"]);
    offered.sort_unstable();
    assert_eq!(offered, ["stacks", "state", "status"]);
    assert_eq!(bash_offers(&["tflock", "state", "m"]), ["mv"]);
    assert_eq!(bash_offers(&["tflock", "--wait", "5s", "app"]), ["apply"]);
    assert_eq!(bash_offers(&["tflock", "-chdir=prod", "unt"]), ["untaint"]);
}

#[test]
fn behind_a_command_of_terraforms_no_option_of_ours_is_offered() {
    assert_eq!(bash_offers(&["tflock", "plan", "-"]), [""; 0]);
    assert_eq!(bash_offers(&["tflock", "state", "mv", "--w"]), [""; 0]);
}

#[test]
fn the_tab_key_completes_in_an_interactive_bash() {
    let workspace = Workspace::new();
    let bash: Invocation = workspace
        .invocation("bash")
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "ready> ")
        .env("INPUTRC", "/dev/null");
    let mut terminal = Terminal::start(bash, Size::default());
    terminal.wait_for_output("ready> ");
    let script = shipped("tflock.bash").display().to_string();
    terminal.send(format!("source '{script}'; echo sour''ced\r").as_bytes());
    terminal.wait_for_output("sourced");
    terminal.send(b"tflock --w\t");
    terminal.wait_for_output("tflock --wait ");
    // Away with the line, and out.
    terminal.send(b"\x15exit\r");
    terminal.wait();
    let shown = without_escapes(&terminal.output());
    assert!(shown.contains("tflock --wait "), "{shown}");
}

//! Completion: the shipped scripts are those that the program prints, and each works in its shell.

mod place;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::installed::is_installed;
use crate::support::process::{Finished, Invocation};
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::wait_until;
use crate::support::words::without_escapes;
use crate::support::workspace::Workspace;

/// The shells, with the file names that they look for.
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

/// A directory whose `tflock` is ours, as it is on the PATH of those who complete it.
fn with_tflock_on_path(workspace: &Workspace, shell: &str) -> Invocation {
    let directory = workspace.home().join("bin");
    fs::create_dir_all(&directory).unwrap();
    let link = directory.join("tflock");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tflock"), &link).unwrap();
    }
    workspace.invocation(shell).first_on_path(directory)
}

fn words_of(run: &Finished) -> Vec<String> {
    assert_eq!(run.stderr, "");
    run.stdout
        .lines()
        .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

/// What bash offers for the last of these words, as it calls the function that the script registers.
#[track_caller]
fn bash_offers(workspace: &Workspace, words: &[&str]) -> Vec<String> {
    let script = r#"
        source "$1"; shift
        registered=$(complete -p tflock)
        [[ $registered =~ -F\ ([^ ]+) ]] || exit 3
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "${BASH_REMATCH[1]}" tflock "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let bash = with_tflock_on_path(workspace, "bash");
    let bash = bash.args(["--norc", "--noprofile", "-c", script, "bash"]);
    words_of(
        &bash
            .arg(shipped("tflock.bash"))
            .args(words)
            .run()
            .succeeded(),
    )
}

/// What fish offers at the end of that line.
fn fish_offers(workspace: &Workspace, line: &str) -> Vec<String> {
    let fish = with_tflock_on_path(workspace, "fish");
    let fish = fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]);
    words_of(&fish.arg(shipped("tflock.fish")).arg(line).run().succeeded())
}

#[test]
fn our_options_have_their_values_in_bash_and_fish() {
    let workspace = Workspace::new();
    let stores = ["auto", "dynamodb", "s3", "local"];
    assert_eq!(bash_offers(&workspace, &["tflock", "--w"]), ["--wait"]);
    assert_eq!(bash_offers(&workspace, &["tflock", "--store", ""]), stores);
    if is_installed("fish") {
        assert_eq!(fish_offers(&workspace, "tflock --w"), ["--wait"]);
        assert_eq!(fish_offers(&workspace, "tflock --store "), stores);
        assert_eq!(fish_offers(&workspace, "tflock --table "), [""; 0]);
    }
}

#[test]
fn behind_a_command_of_terraforms_terraforms_flags_and_arguments_are_offered() {
    let workspace = Workspace::new();
    workspace.write("prod.tfvars", "");
    // terraform gets a second for its answer, which may be too short on a busy machine.
    wait_until("the flags of `plan`", || {
        bash_offers(&workspace, &["tflock", "plan", "-re"])
            == ["-refresh", "-refresh-only", "-replace="]
    });
    wait_until("the commands of `state`", || {
        bash_offers(&workspace, &["tflock", "--wait", "5s", "state", "m"]) == ["mv"]
    });
    assert_eq!(
        bash_offers(&workspace, &["tflock", "plan", "-var-file=p"]),
        ["-var-file=prod.tfvars"]
    );
    assert_eq!(bash_offers(&workspace, &["tflock", "plan", "--w"]), [""; 0]);
    if is_installed("fish") {
        wait_until("the commands of `state` in fish", || {
            fish_offers(&workspace, "tflock state m") == ["mv"]
        });
        wait_until("the flags of `plan` in fish", || {
            fish_offers(&workspace, "tflock plan -ref") == ["-refresh", "-refresh-only"]
        });
    }
}

#[test]
fn workspaces_are_offered_without_asking_the_backend() {
    let workspace = Workspace::new();
    workspace.write("main.tf", r#"terraform { backend "s3" { bucket = "b" } }"#);
    for name in ["stg", "prod"] {
        let directory = workspace.file("terraform.tfstate.d").join(name);
        fs::create_dir_all(directory).unwrap();
    }
    // terraform itself would fail here: nothing is initialised.
    let offered = bash_offers(&workspace, &["tflock", "workspace", "select", ""]);
    assert_eq!(offered, ["default", "prod", "stg"]);
}

#[test]
fn whoever_completes_sees_no_error() {
    let workspace = Workspace::new();
    for words in [
        &["tflock", "--store=nowhere", "plan", "-"][..],
        &["tflock", "--terraform", "/no/such/program", "plan", "-"],
        &["tflock", "exec", "--", "make", "-"],
        &["tflock", "-chdir=/no/such/directory", "plan", "-"],
    ] {
        assert_eq!(bash_offers(&workspace, words), [""; 0], "{words:?}");
    }
    let asked = workspace.tflock(["--", "tflock", "sta"]);
    let asked = asked
        .env("TFLOCK_COMPLETE", "tcsh")
        .run()
        .succeeded()
        .clone();
    assert_eq!((asked.stdout.as_str(), asked.stderr.as_str()), ("", ""));
}

/// Loads the script in an interactive shell, types `tflock --w`, and presses Tab.
fn the_tab_key_completes(shell: Invocation, load: &str) {
    let mut terminal = Terminal::start(shell, Size::default());
    terminal.wait_for_output("ready> ");
    terminal.send(format!("{load}\r").as_bytes());
    terminal.wait_for_output("sourced");
    terminal.send(b"tflock --w\t");
    terminal.wait_for_output("ait");
    // Away with the line, and out.
    terminal.send(b"\x15exit\r");
    terminal.wait();
    let shown = without_escapes(&terminal.output());
    assert!(shown.contains("tflock --wait"), "{shown}");
}

#[test]
fn the_tab_key_completes_in_an_interactive_bash() {
    let workspace = Workspace::new();
    let bash = with_tflock_on_path(&workspace, "bash");
    let bash = bash.args(["--norc", "--noprofile", "-i"]);
    let script = shipped("tflock.bash").display().to_string();
    the_tab_key_completes(
        bash.env("PS1", "ready> ").env("INPUTRC", "/dev/null"),
        &format!("source '{script}'; echo sour''ced"),
    );
}

#[test]
fn the_tab_key_completes_in_an_interactive_zsh() {
    if !is_installed("zsh") {
        return;
    }
    let workspace = Workspace::new();
    let zsh = with_tflock_on_path(&workspace, "zsh");
    let directory = shipped("").display().to_string();
    the_tab_key_completes(
        zsh.args(["-f", "-i"]).env("PS1", "ready> "),
        &format!(
            "fpath=('{directory}' $fpath); autoload -U compinit; compinit -u -D; echo sour''ced"
        ),
    );
}

#[test]
fn elvish_takes_the_script_and_its_candidates() {
    if !is_installed("elvish") {
        return;
    }
    let workspace = Workspace::new();
    let elvish = with_tflock_on_path(&workspace, "elvish");
    let script = fs::read_to_string(shipped("tflock.elv")).unwrap();
    // Outside of an editor there is no table of completers: this one takes the place of the editor's.
    let table = "var completers = [&]\n";
    let script = script.replace("edit:completion:arg-completer[", "completers[");
    let call = "\n$completers[tflock] tflock --store '' | each {|word| echo $word }\n";
    let code = format!("{table}{script}{call}");
    let offered = words_of(&elvish.args(["-norc", "-c", &code]).run().succeeded());
    assert_eq!(offered, ["auto", "dynamodb", "s3", "local"]);
}

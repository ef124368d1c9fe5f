//! What only this directory and this machine know: addresses, lock IDs, holds. Nothing is started or asked for them.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::{bash_offers, fish_offers, shipped, with_tflock_on_path, words_of};
use crate::support::configuration::Configuration;
use crate::support::installed::is_installed;
use crate::support::lock_table::LockTable;
use crate::support::pty::{Size, Terminal};
use crate::support::workspace::Workspace;

/// What zsh would offer for the last of these words, before it quotes them.
fn zsh_offers(workspace: &Workspace, words: &[&str]) -> Vec<String> {
    let script = r#"
        compdef() { : }
        _describe() { print -rl -- ${(P)3} }
        source "$1"; shift
        words=("$@") CURRENT=$#
        _clap_dynamic_completer_tflock
    "#;
    let zsh = with_tflock_on_path(workspace, "zsh");
    let zsh = zsh.args(["-f", "-c", script, "zsh"]);
    words_of(&zsh.arg(shipped("_tflock")).args(words).run().succeeded())
}

/// A directory whose state has a resource with a key, and whose terraform must not be started.
fn with_a_state() -> Workspace {
    let workspace = Workspace::new();
    let state = r#"{"version": 4, "resources": [
        {"mode": "managed", "type": "aws_vpc", "name": "main", "instances": [{}]},
        {"mode": "managed", "type": "aws_subnet", "name": "zone", "instances": [{"index_key": "$(touch ran)"}]}]}"#;
    workspace.write("terraform.tfstate", state);
    workspace.write("bin/terraform", "#!/bin/sh\ntouch started\n");
    fs::set_permissions(
        workspace.file("bin/terraform"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let path = format!(
        "{}:{}",
        workspace.file("bin").display(),
        std::env::var("PATH").unwrap()
    );
    workspace.env("PATH", path)
}

#[test]
fn addresses_of_the_state_are_offered_as_each_shell_wants_them_and_nothing_is_started() {
    let workspace = with_a_state();
    let plain = ["aws_subnet.zone[\"$(touch ran)\"]", "aws_vpc.main"];
    let escaped = [r#"aws_subnet.zone\[\"\$\(touch\ ran\)\"\]"#, "aws_vpc.main"];
    for command in [&["tflock", "state", "rm", ""][..], &["tflock", "taint", ""]] {
        assert_eq!(bash_offers(&workspace, command), escaped);
        if is_installed("zsh") {
            assert_eq!(zsh_offers(&workspace, command), plain);
        }
    }
    assert_eq!(
        bash_offers(&workspace, &["tflock", "apply", "-target=aws_v"]),
        ["-target=aws_vpc.main"]
    );
    // As an interactive bash splits it.
    assert_eq!(
        bash_offers(&workspace, &["tflock", "apply", "-target", "=", "aws_v"]),
        ["aws_vpc.main"]
    );
    if is_installed("fish") {
        let offered = fish_offers(&workspace, "tflock state show aws_subnet.zone");
        assert_eq!(offered, plain[..1]);
        assert_eq!(
            fish_offers(&workspace, "tflock plan -replace=aws_v"),
            ["-replace=aws_vpc.main"]
        );
    }
    assert!(!workspace.file("started").exists());
}

#[test]
fn the_tab_key_inserts_an_address_that_runs_nothing() {
    let workspace = with_a_state();
    workspace.write("bin/terraform", "#!/bin/sh\nprintf '<%s>' \"$@\"\n");
    let bash = with_tflock_on_path(&workspace, "bash");
    let bash = bash.args(["--norc", "--noprofile", "-i"]);
    let bash = bash.env("PS1", "ready> ").env("INPUTRC", "/dev/null");
    let mut terminal = Terminal::start(bash, Size::default());
    terminal.wait_for_output("ready> ");
    let script = shipped("tflock.bash");
    terminal.send(format!("source '{}'; echo sour''ced\r", script.display()).as_bytes());
    terminal.wait_for_output("sourced");
    terminal.send(b"tflock state rm aws_su\t\r");
    terminal.wait_for_output("<aws_subnet.zone[\"$(touch ran)\"]>");
    terminal.send(b"exit\r");
    terminal.wait();
    assert!(!workspace.file("ran").exists());
}

/// The words that are no flags.
fn arguments(mut offered: Vec<String>) -> Vec<String> {
    offered.retain(|word| !word.starts_with('-'));
    offered
}

#[test]
fn ids_of_locks_and_holds_are_offered_from_what_this_machine_knows() {
    let workspace = Workspace::with(&Configuration::without_backend());
    let hold = workspace.tflock(["hold"]).run().succeeded().stdout;
    let hold = hold.trim();
    for words in [
        &["tflock", "force-unlock", ""][..],
        &["tflock", "release", ""],
        &["tflock", "--hold", ""],
        &["tflock", "--hold", &hold[..3]],
    ] {
        assert_eq!(
            arguments(bash_offers(&workspace, words)),
            [hold],
            "{words:?}"
        );
    }
    if is_installed("fish") {
        assert_eq!(
            arguments(fish_offers(&workspace, "tflock force-unlock --yes ")),
            [hold]
        );
    }
    if is_installed("zsh") {
        assert_eq!(
            arguments(zsh_offers(&workspace, &["tflock", "release", ""])),
            [hold]
        );
    }
    workspace.tflock(["release"]).run().succeeded();
    for words in [
        &["tflock", "force-unlock", ""][..],
        &["tflock", "--hold", ""],
    ] {
        assert_eq!(
            arguments(bash_offers(&workspace, words)),
            [""; 0],
            "{words:?}"
        );
    }
}

#[test]
fn the_id_of_a_run_is_offered_without_asking_its_table() {
    let scene = LockTable::new();
    let run = scene.hold(["apply"]);
    let id = scene.held_id().unwrap();
    // Whoever asked the table now would ask this.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let workspace = scene.workspace.env("AWS_ENDPOINT_URL_DYNAMODB", url);
    let offered = bash_offers(&workspace, &["tflock", "force-unlock", ""]);
    assert_eq!(arguments(offered), [id]);
    let asked = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(asked, Err(ErrorKind::WouldBlock));
    workspace.let_go();
    run.wait().succeeded();
}

//! Several terraforms at once inside an `exec`, each with its own lock: keys reach all of them, once.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::apply::Apply;
use super::console::Console;
use super::processes::{children_of, is_stopped, parent_of, wait_for_end, witness_of};
use crate::support::backend::LockMode;
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::scene::Scene;
use crate::support::waiting::wait_until;

/// A directory with a state, and below it two others, `b` and `c`.
fn three() -> Scene {
    let scene = Scene::new(LockMode::DynamodbTable);
    for name in ["b", "c"] {
        let backend = scene.remote.backend(LockMode::DynamodbTable).key(name);
        let configuration = Configuration::with_backend(&backend).hcl();
        let workspace = &scene.workspace;
        workspace.write(&format!("{name}/main.tf"), &configuration);
        let chdir = format!("-chdir={name}");
        let init = workspace.terraform([&chdir, "init", "-input=false"]);
        init.run().succeeded();
    }
    scene
}

/// Runs that terraform in `b` and `c` at once, inside an `exec`.
#[track_caller]
fn both_at_once<'a>(scene: &'a Scene, terraform: &FakeTerraform) -> Console<'a> {
    let line = format!(
        "printf 'b\\nc\\n' >names; PATH={}:$PATH {} exec -- \
         xargs -a names -P 2 -I % sh -c 'cd % && exec terraform apply'",
        terraform.directory().display(),
        env!("CARGO_BIN_EXE_tflock")
    );
    Console::start(&scene.workspace, &line)
}

fn count(terraform: &FakeTerraform, event: &str) -> usize {
    let events = terraform.events();
    events.iter().filter(|one| *one == event).count()
}

/// Waits until a shim's terraform, other than the first one, has the terminal.
#[track_caller]
fn wait_for_a_prompt(console: &Console<'_>, terraform: &FakeTerraform, not: Option<i32>) -> i32 {
    let mut found = None;
    wait_until("a terraform in front", || {
        let front = console.terminal.foreground_group().map(Pid::as_raw);
        let calls = terraform.calls();
        found = calls
            .into_iter()
            .map(|call| call.pid)
            .find(|pid| Some(*pid) == front);
        found.is_some() && found != not
    });
    found.expect("somebody")
}

#[test]
fn ctrl_c_at_the_prompt_of_one_stops_the_other_as_well() {
    let scene = three();
    let asking = Script::new()
        .catch([Signal::SIGINT])
        .step("[ ! -e ask ] || read answer </dev/tty")
        .wait_for_file_or_signal("go")
        .exit(1);
    let asking = asking.install(scene.workspace.home().join("asking"));
    scene.workspace.write("b/ask", "");
    let console = both_at_once(&scene, &asking);
    wait_until("both", || count(&asking, "begin") == 2);
    wait_for_a_prompt(&console, &asking, None);
    console.terminal.press_ctrl_c();
    console.finish(128 + Signal::SIGINT as i32);
    assert_eq!((count(&asking, "INT"), count(&asking, "end")), (2, 2));
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn ctrl_c_that_ends_the_one_at_its_prompt_before_anybody_reports_it_stops_the_other_as_well() {
    let scene = three();
    let asking = Script::new()
        .catch([Signal::SIGINT])
        .step("[ ! -e ask ] || { trap - INT; read answer </dev/tty; }")
        .wait_for_file_or_signal("go")
        .exit(1);
    let asking = asking.install(scene.workspace.home().join("asking"));
    scene.workspace.write("b/ask", "");
    let console = both_at_once(&scene, &asking);
    wait_until("both", || count(&asking, "begin") == 2);
    let at_prompt = Pid::from_raw(wait_for_a_prompt(&console, &asking, None));
    let witness = witness_of(at_prompt);
    kill(witness, Signal::SIGSTOP).expect("a living process");
    wait_until("the stop", || is_stopped(witness));
    console.terminal.press_ctrl_c();
    wait_for_end(at_prompt);
    kill(witness, Signal::SIGCONT).expect("a living process");
    console.finish(128 + Signal::SIGINT as i32);
    assert_eq!((count(&asking, "INT"), count(&asking, "end")), (1, 1));
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

#[test]
fn two_that_ask_are_answered_one_after_the_other_and_nothing_is_suspended() {
    let scene = three();
    let asking = Script::new()
        .step("read answer </dev/tty; note \"answer $answer\"")
        .exit(0);
    let asking = asking.install(scene.workspace.home().join("asking"));
    let console = both_at_once(&scene, &asking);
    wait_until("both", || count(&asking, "begin") == 2);
    let first = wait_for_a_prompt(&console, &asking, None);
    console.terminal.send(b"one\r");
    wait_until("the first answer", || count(&asking, "answer one") == 1);
    let second = wait_for_a_prompt(&console, &asking, Some(first));
    let shim = parent_of(Pid::from_raw(second));
    assert!(!is_stopped(shim) && !is_stopped(parent_of(shim)));
    console.terminal.send(b"two\r");
    console.finish(0);
    assert_eq!(count(&asking, "answer two"), 1);
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

/// The apply as a plain terraform inside an `exec`, put into the background by a script.
fn behind(apply: &Apply) -> String {
    apply.another_state("around");
    format!(
        "{} -chdir=around exec -- \
         sh -c '(cd ..; exec terraform apply -auto-approve -no-color) & wait'",
        env!("CARGO_BIN_EXE_tflock")
    )
}

#[test]
fn ctrl_c_reaches_one_that_a_script_has_put_behind() {
    let apply = Apply::remote();
    let console = Console::start(&apply.workspace, &behind(&apply));
    apply.terraform();
    console.terminal.press_ctrl_c();
    apply.stopped_once(&console.finish(128 + Signal::SIGINT as i32));
}

#[test]
fn only_the_real_one_is_shown_as_terraform() {
    let apply = Apply::remote();
    let console = Console::start(&apply.workspace, &behind(&apply));
    let (terraform, shim) = (apply.terraform(), apply.process());
    let shown = |pid: Pid, file: &str| {
        let text = fs::read(format!("/proc/{pid}/{file}")).expect("a living process");
        String::from_utf8(text).expect("text")
    };
    assert_eq!(shown(terraform, "comm"), "terraform\n");
    assert_eq!(shown(shim, "comm"), "tflock\n");
    let line = shown(shim, "cmdline");
    assert!(line.starts_with("tflock\0"), "{line:?}");
    assert!(line.contains("\0apply\0-auto-approve\0"), "{line:?}");
    assert!(!line.contains("terraform"), "{line:?}");
    assert!(children_of(shim).contains(&terraform));
    console.terminal.press_ctrl_c();
    console.finish(128 + Signal::SIGINT as i32);
}

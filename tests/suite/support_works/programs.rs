//! Processes, terminals and the scripted terraform do what their names say.

use std::os::unix::fs::symlink;
use std::time::Duration;
use std::{env, fs};

use nix::sys::signal::Signal;

use crate::support::fake_terraform::Script;
use crate::support::process::{Finished, Invocation, Status};
use crate::support::pty::{Size, Terminal};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

fn shell(script: &str) -> Invocation {
    Invocation::of("/bin/sh")
        .env("PATH", "/usr/bin:/bin")
        .args(["-c", script])
}

#[test]
fn a_finished_program_is_compared_whole() {
    let finished = shell("cat; echo err >&2; exit 3").stdin("in").run();
    let expected = Finished {
        stdout: "in".to_owned(),
        stderr: "err\n".to_owned(),
        status: Status::Code(3),
    };
    assert_eq!(finished, expected);
    shell("kill -TERM $$").run().died_of(Signal::SIGTERM);
}

#[test]
fn an_overdue_program_fails_the_test_with_its_output_and_is_killed() {
    let running = shell("echo before; exec sleep 1000")
        .within(Duration::from_millis(300))
        .start();
    let pid = running.pid();
    let waiting = std::thread::spawn(move || running.wait());
    let failure = waiting.join().expect_err("the limit holds");
    let message = failure.downcast_ref::<String>().expect("a message");
    assert!(message.contains("did not end in time"), "{message}");
    assert!(message.contains("before"), "{message}");
    assert!(nix::sys::signal::kill(pid, None).is_err(), "it is gone");
}

#[test]
fn programs_start_with_default_signals_and_an_environment_of_their_own() {
    let workspace = Workspace::new().env("EXTRA", "1");
    let environment = workspace.invocation("/usr/bin/env").run().succeeded();
    let mut names: Vec<_> = environment
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    let expected = [
        "AWS_ACCESS_KEY_ID",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_SECRET_ACCESS_KEY",
        "CHECKPOINT_DISABLE",
        "EXTRA",
        "GOGC",
        "HOME",
        "PATH",
        "TFLOCK_HISTORY",
        "TF_CLI_CONFIG_FILE",
        "TMPDIR",
        "XDG_STATE_HOME",
    ];
    assert_eq!(names, expected);
    let masks = shell("grep -E '^Sig(Ign|Blk)' /proc/self/status").run();
    for line in masks.stdout.lines() {
        let mask = line.split_whitespace().nth(1).unwrap_or_default();
        let mask = u64::from_str_radix(mask, 16).expect("a mask in hex");
        // The signals above 31 are the C library's own.
        assert_eq!(mask & 0x7fff_ffff, 0, "{line}");
    }
}

#[test]
fn the_scripted_terraform_records_its_call_and_each_signal() {
    let workspace = Workspace::new();
    let fake = Script::new()
        .catch([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
        .touch("started")
        .wait_for("go")
        .print("out")
        .exit(3)
        .install(workspace.file("fake"));
    let running = workspace
        .invocation("terraform")
        .first_on_path(fake.directory())
        .args(["apply", "two words\n", ""])
        .env("TF_VAR_x", "1\n2")
        .start();
    workspace.wait_until_started();
    for (count, signal) in [
        Signal::SIGINT,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ]
    .into_iter()
    .enumerate()
    {
        running.signal(signal);
        wait_until("the signal's line", || fake.log().len() == count + 2);
    }
    workspace.let_go();
    running.wait().ended_with(3).with_stdout("out");
    assert_eq!(fake.events(), ["begin", "INT", "INT", "TERM", "HUP", "end"]);
    let call = fake.only_call();
    assert_eq!(call.arguments, ["apply", "two words\n", ""]);
    assert_eq!(call.environment["TF_VAR_x"], "1\n2");
    assert_eq!(call.directory, workspace.path());
}

#[test]
fn the_scripted_terraform_stops_waiting_on_a_signal_and_can_die_of_one() {
    let workspace = Workspace::new();
    let fake = Script::new()
        .catch([Signal::SIGINT])
        .read_line()
        .read_line()
        .touch("started")
        .wait_for_file_or_signal("never")
        .die_of(Signal::SIGHUP)
        .install(workspace.file("fake"));
    let running = workspace.invocation(fake.program()).stdin("yes\n").start();
    workspace.wait_until_started();
    running.signal(Signal::SIGINT);
    running.wait().died_of(Signal::SIGHUP);
    let expected = ["begin", "read yes", "end of input", "INT", "end"];
    assert_eq!(fake.events(), expected);
}

#[test]
fn a_child_left_behind_holds_the_output_open() {
    let workspace = Workspace::new();
    let fake = Script::new()
        .leave_child_until("go")
        .install(workspace.file("fake"));
    let mut running = workspace.invocation(fake.program()).start();
    wait_until("the end of the script", || !running.is_running());
    assert_eq!(fake.events(), ["begin", "end"]);
    workspace.let_go();
    running.wait().succeeded();
    assert_eq!(fake.events(), ["begin", "end", "child ends"]);
}

#[test]
fn a_terminal_has_a_size_echoes_and_interrupts_its_foreground_group() {
    let size = Size {
        rows: 40,
        columns: 100,
    };
    let script = "stty size; read line; echo got $line; exec sleep 1000";
    let mut terminal = Terminal::start(shell(script), size);
    terminal.wait_for_output("40 100");
    assert_eq!(terminal.foreground_group(), Some(terminal.pid()));
    terminal.send(b"hello\r");
    terminal.wait_for_output("got hello");
    terminal.press_ctrl_c();
    assert_eq!(terminal.wait(), Status::Signal(Signal::SIGINT));
    assert!(terminal.output().contains("^C"));
}

#[test]
fn closing_a_terminal_hangs_up() {
    let script = "trap 'exit 7' HUP; echo ready; while :; do sleep 0.01; done";
    let mut terminal = Terminal::start(shell(script), Size::default());
    terminal.wait_for_output("ready");
    terminal.close();
    assert_eq!(terminal.wait(), Status::Code(7));
    assert_eq!(terminal.foreground_group(), None);
}

#[test]
fn where_there_is_no_terraform_the_suite_says_so_in_one_line_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    fs::create_dir(&broken).unwrap();
    symlink("/bin/false", broken.join("terraform")).unwrap();
    for (path, trouble) in [
        (directory.path(), "there is none"),
        (&broken, "version` failed"),
    ] {
        let suite = Invocation::of(env::current_exe().unwrap())
            .env("PATH", path)
            .args(["--test-threads=4", "status::"]);
        let ended = suite.run().ended_with(1);
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{ended}");
        assert!(lines[0].contains("need terraform on PATH"), "{ended}");
        assert!(lines[0].contains(trouble), "{ended}");
    }
}

//! What happens to the lock if only tflock is killed: the witness waits until no process works under it, and releases it.

use std::fs::{self, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::processes::{wait_for_witness, witnesses_in};
use crate::support::backend::LockMode;
use crate::support::configuration::{GO, STARTED};
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::installed::install_program;
use crate::support::lock_table::{LOCK, LockTable};
use crate::support::process::{Finished, Invocation, Running, Status};
use crate::support::proxy::{Fault, Proxy};
use crate::support::scene::{Scene, local_locks};
use crate::support::waiting::wait_until;
use crate::support::workspace::Workspace;

const WORDS: &str = "tflock: tflock was killed; terraform has ended and the lock is released\n";

/// A terraform that needs as long to stop as a test wants.
fn saving_script() -> Script {
    Script::new()
        .ignore([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
        .touch(STARTED)
        .wait_for(GO)
}

fn saving(workspace: &Workspace) -> FakeTerraform {
    saving_script().install(workspace.home().join("saving"))
}

/// Kills tflock once its child has begun, and waits until it is gone.
#[track_caller]
fn kill_alone(workspace: &Workspace, running: &mut Running) {
    workspace.wait_until_started();
    wait_for_witness(running.pid());
    running.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !running.is_running());
}

#[track_caller]
fn released(finished: &Finished, words: &str) {
    assert_eq!(
        finished.status,
        Status::Signal(Signal::SIGKILL),
        "{finished}"
    );
    assert_eq!(finished.stderr, words, "{finished}");
}

fn traces(workspace: &Workspace) -> usize {
    let entries = fs::read_dir(workspace.state_home().join("tflock/runs"));
    entries.map_or(0, Iterator::count)
}

/// Long enough for the witness to do something wrong.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

#[test]
fn every_kind_of_lock_is_given_back_when_a_terraform_that_takes_its_time_has_ended() {
    for mode in [LockMode::DynamodbTable, LockMode::Lockfile, LockMode::Both] {
        let scene = Scene::new(mode);
        let fake = saving(&scene.workspace);
        let run = scene.workspace.tflock(["apply"]);
        let mut running = run.first_on_path(fake.directory()).start();
        scene.workspace.wait_until_started();
        let held = scene.remote.locks();
        kill_alone(&scene.workspace, &mut running);
        std::thread::sleep(LONG_ENOUGH);
        assert_eq!(scene.remote.locks(), held, "{mode:?}");
        assert_eq!(traces(&scene.workspace), 1, "{mode:?}");
        scene.workspace.let_go();
        released(&running.wait(), WORDS);
        assert_eq!(scene.remote.locks(), Vec::<String>::new(), "{mode:?}");
        assert_eq!(traces(&scene.workspace), 0, "{mode:?}");
        assert_eq!(fake.calls().len(), 1);
    }
}

#[test]
fn a_local_lock_is_given_back_too() {
    let workspace = Workspace::new();
    let fake = saving(&workspace);
    let run = workspace.tflock(["-q", "apply", "-state=other.tfstate"]);
    let mut running = run.first_on_path(fake.directory()).start();
    kill_alone(&workspace, &mut running);
    assert_eq!(local_locks(&workspace).len(), 1);
    workspace.let_go();
    released(&running.wait(), "");
    assert_eq!(local_locks(&workspace), Vec::<String>::new());
}

#[test]
fn an_exec_is_outlasted_with_all_that_it_started_even_what_left_its_group() {
    let scene = LockTable::new();
    // It has the place of the run, and nothing else by which it could be found.
    scene.workspace.write(
        "child.sh",
        "trap '' INT; setsid sh -c 'while [ ! -e gone ] && [ -e child.sh ]; do sleep 0.05; done; echo >ended' \
         >/dev/null 2>&1 & touch started; while [ ! -e go ] && [ -e child.sh ]; do sleep 0.05; done",
    );
    let mut running = scene.tflock(["exec", "--", "sh", "child.sh"]).start();
    kill_alone(&scene.workspace, &mut running);
    scene.workspace.let_go();
    std::thread::sleep(LONG_ENOUGH);
    assert_eq!(scene.table.locks(), [LOCK]);
    scene.workspace.write("gone", "");
    let words = "tflock: tflock was killed; the program has ended and the lock is released\n";
    released(&running.wait(), words);
    assert!(scene.workspace.file("ended").exists());
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

#[test]
fn another_selection_meanwhile_does_not_lead_to_another_lock() {
    let scene = Scene::new(LockMode::Both);
    let fake = saving(&scene.workspace);
    let run = scene.workspace.tflock(["apply"]);
    let mut running = run.first_on_path(fake.directory()).start();
    // terraform has read them by then.
    scene.workspace.wait_until_started();
    std::thread::sleep(Duration::from_millis(2500));
    fs::remove_dir_all(scene.workspace.file(".terraform")).expect("a data directory");
    kill_alone(&scene.workspace, &mut running);
    scene.workspace.let_go();
    released(&running.wait(), WORDS);
    assert_eq!(scene.remote.locks(), Vec::<String>::new());
}

/// A lock in a table behind a proxy.
struct Behind {
    scene: LockTable,
    proxy: Proxy,
    fake: FakeTerraform,
}

impl Behind {
    fn new() -> Self {
        let scene = LockTable::new();
        Self {
            proxy: Proxy::before(scene.dynamodb.url()),
            fake: saving(&scene.workspace),
            scene,
        }
    }

    fn apply(&self) -> Invocation {
        self.tflock(["apply"])
    }

    fn tflock<const N: usize>(&self, words: [&str; N]) -> Invocation {
        let run = self.scene.workspace.tflock(words);
        run.first_on_path(self.fake.directory())
            .env("AWS_ENDPOINT_URL_DYNAMODB", self.proxy.url())
    }
}

#[test]
fn a_store_that_is_away_is_waited_for() {
    for fault in [Fault::Reset, Fault::Throttled, Fault::InternalError] {
        let behind = Behind::new();
        let mut running = behind.apply().start();
        kill_alone(&behind.scene.workspace, &mut running);
        behind.proxy.clear_log();
        behind.proxy.on("*").every(fault);
        behind.scene.workspace.let_go();
        behind.proxy.wait_for("*", 4);
        behind.proxy.heal();
        released(&running.wait(), WORDS);
        assert_eq!(behind.scene.table.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_lock_that_may_not_be_deleted_is_said_with_what_removes_it() {
    let behind = Behind::new();
    let mut running = behind.apply().start();
    kill_alone(&behind.scene.workspace, &mut running);
    let id = behind.scene.held_id().expect("a lock");
    behind.proxy.on("DeleteItem").every(Fault::AccessDenied);
    behind.scene.workspace.let_go();
    let finished = running.wait();
    assert!(
        finished
            .stderr
            .contains("warning: the lock is NOT released: DeleteItem"),
        "{finished}"
    );
    assert!(
        finished.stderr.ends_with(&format!("force-unlock {id}`\n")),
        "{finished}"
    );
    assert_eq!(behind.scene.held_id(), Some(id));
    assert_eq!(
        traces(&behind.scene.workspace),
        1,
        "its death can be proven"
    );
}

#[test]
fn a_tflock_that_is_killed_while_it_releases_is_replaced_too() {
    let behind = Behind::new();
    let mut running = behind.apply().start();
    behind.scene.workspace.wait_until_started();
    behind.proxy.on("DeleteItem").every(Fault::Throttled);
    behind.scene.workspace.let_go();
    behind.proxy.wait_for("DeleteItem", 2);
    running.signal(Signal::SIGKILL);
    wait_until("the end of tflock", || !running.is_running());
    behind.proxy.heal();
    let finished = running.wait();
    assert_eq!(finished.status, Status::Signal(Signal::SIGKILL));
    assert!(finished.stderr.ends_with(WORDS), "{finished}");
    assert_eq!(behind.scene.table.locks(), Vec::<String>::new());
}

#[test]
fn a_killed_exec_cannot_be_proven_dead_while_its_lock_is_being_released() {
    let behind = Behind::new();
    let workspace = &behind.scene.workspace;
    let script = "touch started; while [ ! -e go ]; do sleep 0.05; done";
    let mut running = behind.tflock(["exec", "--", "sh", "-c", script]).start();
    kill_alone(workspace, &mut running);
    let gate = behind.proxy.on("DeleteItem").hold();
    workspace.let_go();
    gate.wait_until_reached();
    let id = behind.scene.held_id().expect("a lock");
    let run_file = workspace.state_home().join(format!("tflock/runs/{id}.run"));
    let attempt = fs::File::open(run_file).expect("a run file").try_lock();
    assert!(
        matches!(attempt, Err(TryLockError::WouldBlock)),
        "{attempt:?}"
    );
    gate.open();
    let words = "tflock: tflock was killed; the program has ended and the lock is released\n";
    released(&running.wait(), words);
}

#[test]
fn another_s_lock_in_its_place_stays() {
    let behind = Behind::new();
    let mut running = behind.apply().start();
    kill_alone(&behind.scene.workspace, &mut running);
    let others = behind.scene.put_terraforms();
    behind.scene.workspace.let_go();
    let finished = running.wait();
    assert!(
        finished
            .stderr
            .contains("now belongs to another run and was left alone"),
        "{finished}"
    );
    assert_eq!(behind.scene.held_id().as_deref(), Some(others));
}

#[test]
fn neither_a_deleted_program_nor_closed_streams_keep_the_lock() {
    let scene = LockTable::new();
    let fake = saving(&scene.workspace);
    let program: PathBuf = scene.workspace.home().join("tflock-copy");
    install_program(Path::new(env!("CARGO_BIN_EXE_tflock")), &program);
    let shell = scene
        .workspace
        .invocation("/bin/sh")
        .args(["-c", "exec \"$0\" apply <&- >&- 2>&-"])
        .arg(&program)
        .first_on_path(fake.directory());
    let mut running = shell.start_with(Stdio::null(), Stdio::null());
    scene.workspace.wait_until_started();
    fs::remove_file(&program).expect("a file");
    kill_alone(&scene.workspace, &mut running);
    assert_eq!(scene.table.locks(), [LOCK]);
    scene.workspace.let_go();
    wait_until("the release", || scene.table.locks().is_empty());
}

#[test]
fn credentials_that_a_program_gives_out_are_asked_for_anew() {
    let behind = Behind::new();
    let asked = behind.scene.workspace.file("asked");
    let keys = r#"{"Version":1,"AccessKeyId":"AKIAX","SecretAccessKey":"secret"}"#;
    behind.scene.workspace.write(
        "keys.sh",
        &format!("echo x >>'{}'; echo '{keys}'", asked.display()),
    );
    let config = behind.scene.workspace.file("aws-config");
    let script = behind.scene.workspace.file("keys.sh");
    let profile = format!(
        "[profile ci]\ncredential_process = sh {}\n",
        script.display()
    );
    fs::write(&config, profile).expect("a file");
    let run = behind
        .apply()
        .without_env("AWS_ACCESS_KEY_ID")
        .without_env("AWS_SECRET_ACCESS_KEY")
        .env("AWS_CONFIG_FILE", &config)
        .env("AWS_PROFILE", "ci");
    let mut running = run.start();
    kill_alone(&behind.scene.workspace, &mut running);
    let before = fs::read_to_string(&asked).expect("it was asked").len();
    behind.scene.workspace.let_go();
    released(&running.wait(), WORDS);
    assert!(fs::read_to_string(&asked).expect("it was asked").len() > before);
    assert_eq!(behind.scene.table.locks(), Vec::<String>::new());
}

#[test]
fn a_daemon_that_terraform_left_behind_is_not_waited_for() {
    let scene = LockTable::new();
    let script = Script::new()
        .ignore([Signal::SIGINT])
        // Its parent has ended, as that of whatever a provisioner put behind.
        .step("(sh -c 'while [ ! -e gone ] && [ -d \"$PWD\" ]; do sleep 0.02; done' &)")
        .touch(STARTED)
        .wait_for(GO);
    let fake = script.install(scene.workspace.home().join("leaving"));
    let run = scene.workspace.tflock(["apply"]);
    let mut running = run.first_on_path(fake.directory()).start();
    kill_alone(&scene.workspace, &mut running);
    // Who is whose is seen while terraform lives.
    std::thread::sleep(LONG_ENOUGH);
    assert_eq!(scene.table.locks(), [LOCK]);
    scene.workspace.let_go();
    wait_until("the release", || scene.table.locks().is_empty());
    scene.workspace.write("gone", "");
    running.wait();
}

#[test]
fn the_whole_group_can_be_signalled_while_the_lock_is_waited_for() {
    let scene = LockTable::new();
    let fake = saving(&scene.workspace);
    let run = scene.workspace.tflock(["apply"]);
    let mut running = run.first_on_path(fake.directory()).start();
    scene.workspace.wait_until_started();
    let terraform = Pid::from_raw(fake.only_call().pid);
    kill_alone(&scene.workspace, &mut running);
    let heir = || {
        witnesses_in(terraform).into_iter().find(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            // No more than that can be seen of what it is to do.
            words.starts_with("lock-witness\0")
                && words.len() < 40
                && words.contains(&terraform.to_string())
        })
    };
    wait_until("whoever gives back the lock", || heir().is_some());
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        kill(heir().expect("it lives"), signal).expect("a living process");
    }
    std::thread::sleep(LONG_ENOUGH);
    assert!(heir().is_some());
    scene.workspace.let_go();
    released(&running.wait(), WORDS);
    assert_eq!(scene.table.locks(), Vec::<String>::new());
}

/// The process that has the turn runs under the lock, even if the rest of the `exec` has ended.
#[test]
fn a_killed_exec_is_outlasted_by_whoever_has_borrowed_its_lock() {
    let scene = LockTable::new();
    scene.workspace.write(
        "child.sh",
        "trap '' INT; touch started; while [ ! -e go ] && [ -e child.sh ]; do sleep 0.05; done",
    );
    let mut running = scene.tflock(["exec", "--", "sh", "child.sh"]).start();
    scene.workspace.wait_until_started();
    let runs = scene.workspace.state_home().join("tflock/runs");
    let mut files = fs::read_dir(&runs).expect("the runs").flatten();
    let loan = files.find(|file| file.path().extension().is_some_and(|end| end == "lent"));
    let loan = loan.expect("a loan").path();
    let turn = fs::File::open(&loan).expect("the loan");
    turn.lock().expect("the turn");
    kill_alone(&scene.workspace, &mut running);
    scene.workspace.let_go();
    std::thread::sleep(LONG_ENOUGH);
    assert_eq!(scene.table.locks(), [LOCK]);
    drop(turn);
    let words = "tflock: tflock was killed; the program has ended and the lock is released\n";
    released(&running.wait(), words);
    assert_eq!(scene.table.locks(), Vec::<String>::new());
    assert_eq!(traces(&scene.workspace), 0);
}

//! The witness in the group of a real child.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use super::*;
use crate::system::process::Stat;

/// A child that leads a group and notes each request to stop, and its witness.
struct Scene {
    directory: tempfile::TempDir,
    child: Child,
    witness: Option<Witness>,
    _runtime: tokio::runtime::Runtime,
}

const NOTES_REQUESTS: &str =
    "trap 'echo asked >>requests' INT; : >started; while [ -e started ]; do sleep 0.02; done";

impl Scene {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh");
        child.args(["-c", script]).current_dir(directory.path());
        let child = child.process_group(0).spawn().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let duty = Duty {
            group: Pid::from_raw(child.id().try_into().unwrap()),
            stop: Number::SIGINT,
            hang_up_counts: false,
        };
        let context = runtime.enter();
        let witness = Witness::start(duty, &[], None, None).unwrap();
        drop(context);
        let scene = Self {
            directory,
            child,
            witness: Some(witness),
            _runtime: runtime,
        };
        wait_until(|| scene.directory.path().join("started").exists());
        scene
    }

    fn witness(&mut self) -> &mut Witness {
        self.witness.as_mut().unwrap()
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    fn requests(&self) -> String {
        fs::read_to_string(self.directory.path().join("requests")).unwrap_or_default()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(witness) = self.witness.take() {
            witness.dismiss();
        }
        let _ = fs::remove_file(self.directory.path().join("started"));
        let _ = self.child.wait();
    }
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < until, "it did not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn interrupt() -> Signal {
    Signal {
        kind: Kind::Interrupt,
        origin: Origin::process(nix::unistd::getpid().as_raw()),
    }
}

#[test]
fn what_the_group_got_before_the_child_ended_is_heard_to_the_last_word() {
    let mut scene = Scene::new(": >started; exec sleep 60");
    let witness = scene.witness().id;
    kill(witness, Number::SIGSTOP).unwrap();
    killpg(scene.group(), Number::SIGINT).unwrap();
    scene.child.wait().unwrap();
    kill(witness, Number::SIGCONT).unwrap();
    assert_eq!(scene.witness().last_words(), [interrupt()]);
}

#[test]
fn it_has_a_name_of_its_own_and_neither_stops_nor_dies_with_its_group() {
    let mut scene = Scene::new(NOTES_REQUESTS);
    // It answers when it is ready.
    assert_eq!(scene.witness().last_words(), []);
    let witness = scene.witness().id;
    let shown = |file: &str| fs::read(format!("/proc/{witness}/{file}")).unwrap();
    assert_eq!(shown("comm"), b"lock-witness\n");
    assert!(shown("cmdline").starts_with(b"lock-witness\0"));
    for signal in [
        Number::SIGHUP,
        Number::SIGQUIT,
        Number::SIGTSTP,
        Number::SIGTTIN,
        Number::SIGTTOU,
        Number::SIGPIPE,
    ] {
        kill(witness, signal).unwrap();
    }
    kill(witness, Number::SIGINT).unwrap();
    assert_eq!(scene.witness().last_words(), [interrupt()]);
}

#[test]
fn a_limit_that_passes_is_one_request_however_often_it_is_set() {
    let mut scene = Scene::new(NOTES_REQUESTS);
    scene.witness().set_limit(Some(Duration::from_hours(1)));
    scene.witness().set_limit(Some(Duration::from_millis(50)));
    wait_until(|| scene.requests() == "asked\n");
    assert_eq!(scene.witness().last_words().len(), 1);
    scene.witness().set_limit(Some(Duration::ZERO));
    // The second word shows that the first was acted on.
    scene.witness().last_words();
    scene.witness().last_words();
    assert_eq!(scene.requests(), "asked\n");
}

#[test]
fn a_witness_that_is_stopped_is_heard_for_half_a_second_and_no_longer() {
    let mut scene = Scene::new(NOTES_REQUESTS);
    // It answers when it is ready.
    assert_eq!(scene.witness().last_words(), []);
    let witness = scene.witness().id;
    kill(witness, Number::SIGSTOP).unwrap();
    let id = witness.as_raw().unsigned_abs();
    wait_until(|| Stat::read(id).is_ok_and(|stat| stat.state == 'T'));
    let began = Instant::now();
    assert_eq!(scene.witness().last_words(), []);
    let took = began.elapsed();
    // What is polled for is cut to milliseconds.
    let [least, most] = [490, 900].map(Duration::from_millis);
    assert!((least..most).contains(&took), "{took:?}");
}

//! What the traces of a run prove, and what prevents a proof.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use super::*;

const ID: &str = "62d1ec43-aa57-55e6-d9b5-0461699f1699";

/// A run on this machine whose processes have ended.
struct Scene {
    directory: tempfile::TempDir,
    run: Run,
}

impl Scene {
    fn new() -> Self {
        let directories = [std::env::current_dir().unwrap()];
        let mut run = Run::of_this_process(ID, &directories).unwrap();
        // As if it had been a process with another start.
        run.tflock.pid = u32::MAX;
        Self {
            directory: tempfile::tempdir().unwrap(),
            run,
        }
    }

    fn runs(&self) -> PathBuf {
        self.directory.path().join("runs")
    }

    /// Leaves the traces of a killed run.
    fn dies(&self, change: impl FnOnce(&mut Run)) {
        let mut run = self.run.clone();
        change(&mut run);
        drop(RunFile::create(&self.runs(), run).unwrap());
    }

    fn traces(&self) -> Traces {
        traces_of(&self.runs(), ID, self.run.tflock)
    }

    /// Checks what they come to. Other tests fork: for a moment, that takes a place as well, and a process in the middle of
    /// an exec proves nothing. What proves an end is never taken back.
    #[track_caller]
    fn prove(&self, expected: Traces) {
        self.prove_of("a run", expected);
    }

    #[track_caller]
    fn prove_of(&self, what: &str, expected: Traces) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let found = loop {
            let found = self.traces();
            let is_proof = matches!(found, Traces::Ended | Traces::EndedBeforeBoot);
            if found == expected || is_proof || Instant::now() > deadline {
                break found;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_run_whose_every_trace_agrees_has_ended() {
    let scene = Scene::new();
    scene.dies(|_| {});
    scene.prove(Traces::Ended);
    scene.dies(|run| {
        run.child = Some(run.tflock);
        run.sighting = Sighting::Seen;
    });
    scene.prove(Traces::Ended);
}

#[test]
fn without_a_file_nothing_is_proven() {
    let scene = Scene::new();
    assert_eq!(scene.traces(), Traces::Inconclusive);
    OwnDirectory::create(&scene.runs()).unwrap();
    assert_eq!(scene.traces(), Traces::Inconclusive);
}

#[test]
fn a_run_lives_as_long_as_anyone_has_a_place() {
    let scene = Scene::new();
    let file = RunFile::create(&scene.runs(), scene.run.clone()).unwrap();
    let copy = file.place().try_clone_to_owned().unwrap();
    assert_eq!(scene.traces(), Traces::Living);
    drop(file);
    assert_eq!(scene.traces(), Traces::Living);
    drop(copy);
    scene.prove(Traces::Ended);
}

#[test]
fn observers_do_not_take_each_other_for_the_holder() {
    let scene = Scene::new();
    scene.dies(|_| {});
    scene.prove(Traces::Ended);
    let (runs, claimed) = (scene.runs(), scene.run.tflock);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..30 {
                    assert_ne!(traces_of(&runs, ID, claimed), Traces::Living);
                }
            });
        }
    });
}

#[test]
fn a_run_that_released_its_lock_leaves_no_trace() {
    let scene = Scene::new();
    RunFile::create(&scene.runs(), scene.run.clone())
        .unwrap()
        .remove();
    assert_eq!(std::fs::read_dir(scene.runs()).unwrap().count(), 0);
}

#[test]
fn a_process_that_the_file_names_lives() {
    let scene = Scene::new();
    let own = ProcessIdentity::of(std::process::id());
    scene.dies(|run| run.child = own);
    scene.prove(Traces::Living);
}

/// What differs, and how to make it differ.
type Difference = (&'static str, fn(&mut Run));

#[test]
fn any_difference_refutes_a_proof() {
    let scene = Scene::new();
    let differences: [Difference; 6] = [
        ("process", |run| run.tflock.pid = 77),
        ("machine", |run| run.machine = Some("another".into())),
        ("PID namespace", |run| run.pid_namespace = 1),
        ("time namespace", |run| run.time_namespace = Some(1)),
        ("user", |run| run.uid += 1),
        ("never seen", |run| run.sighting = Sighting::Unseen),
    ];
    for (what, change) in differences {
        scene.dies(change);
        scene.prove_of(what, Traces::Inconclusive);
    }
}

#[test]
fn another_boot_is_recognised_and_proves_nothing_in_a_container() {
    let scene = Scene::new();
    scene.dies(|run| run.boot_id = "another".into());
    scene.prove(match scene.run.machine {
        Some(_) => Traces::EndedBeforeBoot,
        None => Traces::Inconclusive,
    });
}

#[test]
fn a_process_with_the_lock_id_prevents_a_proof() {
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};
    let scene = Scene::new();
    let mut child = Command::new("cat")
        .env("TFLOCK_HELD", ID)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It is that program once it answers.
    child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    scene.dies(|_| {});
    scene.prove(Traces::Inconclusive);
    drop(child.stdin.take());
    child.wait().unwrap();
    scene.prove(Traces::Ended);
}

#[test]
fn a_process_with_the_childs_arguments_and_directory_prevents_a_proof() {
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};
    let scene = Scene::new();
    let start = |directory: &Path| {
        let mut child = Command::new("cat")
            .arg("-")
            .env_clear()
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    };
    let here = scene.directory.path().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    for (directory, expected) in [
        (here.as_path(), Traces::Inconclusive),
        (elsewhere.path(), Traces::Ended),
    ] {
        let mut child = start(directory);
        scene.dies(|run| {
            run.arguments = Some(hash_of(&["-".into()]));
            run.directories = vec![text_of(&here)];
        });
        scene.prove(expected);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_read_or_is_a_link_proves_nothing() {
    let scene = Scene::new();
    scene.dies(|_| {});
    scene.prove(Traces::Ended);
    let path = path_of(&scene.runs(), ID).unwrap();
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert_eq!(scene.traces(), Traces::Inconclusive);
    let elsewhere = scene.directory.path().join("elsewhere");
    std::fs::write(&elsewhere, &text).unwrap();
    std::fs::remove_file(&path).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(scene.traces(), Traces::Inconclusive);
}

#[test]
fn a_directory_that_others_can_write_is_refused_and_proves_nothing() {
    let scene = Scene::new();
    scene.dies(|_| {});
    scene.prove(Traces::Ended);
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(scene.runs(), open).unwrap();
    assert_eq!(scene.traces(), Traces::Inconclusive);
    assert!(RunFile::create(&scene.runs(), scene.run.clone()).is_err());
}

#[test]
fn a_lock_id_that_leads_elsewhere_names_no_file() {
    for id in ["", "../../etc/passwd", "a b", "é", &"a".repeat(65)] {
        assert!(path_of(Path::new("/runs"), id).is_err(), "{id}");
    }
    assert!(path_of(Path::new("/runs"), ID).is_ok());
}

#[test]
fn secrets_among_the_arguments_are_not_written() {
    let scene = Scene::new();
    let mut file = RunFile::create(&scene.runs(), scene.run.clone()).unwrap();
    file.note_arguments(&["-var=password=hunter2".into()]);
    let text = std::fs::read_to_string(path_of(&scene.runs(), ID).unwrap()).unwrap();
    assert!(
        text.contains("\"arguments\": \"") && !text.contains("hunter2"),
        "{text}"
    );
}

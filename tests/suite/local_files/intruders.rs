//! Things that another user put in place of the local store's files: refused by name, never followed or waited for.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;

use crate::support::fake_terraform::Script;
use crate::support::process::Invocation;
use crate::support::workspace::Workspace;

/// A directory whose lock has been taken once, with a terraform that does nothing.
struct Bench {
    workspace: Workspace,
    programs: PathBuf,
    /// The path of the lock's files without their extensions.
    lock: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let workspace = Workspace::new();
        let fake = Script::new().exit(0).install(workspace.home().join("fake"));
        let mut bench = Self {
            programs: fake.directory().to_owned(),
            workspace,
            lock: PathBuf::new(),
        };
        bench.tflock("plan").run().succeeded();
        let directory = bench.workspace.state_home().join("tflock");
        let mut files = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let guard = files.find(|file| file.extension().is_some_and(|end| end == "guard"));
        bench.lock = guard.unwrap().with_extension("");
        bench
    }

    fn tflock(&self, command: &str) -> Invocation {
        let run = self.workspace.tflock([]).args(command.split(' '));
        let run = run.first_on_path(&self.programs);
        run.within(Duration::from_secs(20))
    }
}

/// Puts something that is not a lock file at that path.
fn put(what: &str, path: &Path) {
    match what {
        "a link" => symlink("/etc/hostname", path).unwrap(),
        "a dangling link" => symlink("nothing", path).unwrap(),
        "a fifo" => nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap(),
        "a directory" => fs::create_dir(path).unwrap(),
        "a socket" => drop(UnixListener::bind(path).unwrap()),
        "a huge file" => File::create(path).unwrap().set_len(256 << 20).unwrap(),
        other => panic!("{other}"),
    }
}

const ALL: [&str; 6] = [
    "a link",
    "a dangling link",
    "a fifo",
    "a directory",
    "a socket",
    "a huge file",
];

#[test]
fn whatever_stands_in_the_place_of_a_record_is_refused_by_name() {
    for what in ALL {
        let bench = Bench::new();
        let place = bench.lock.with_extension("json");
        put(what, &place);
        for command in ["status", "plan", "exec -- true", "force-unlock --yes"] {
            let refused = bench.tflock(command).run();
            let refused = refused
                .ended_with(78)
                .with_stderr(&format!("`{}` is ", place.display()));
            assert_eq!(refused.stdout, "", "{what}, {command}");
        }
        assert!(place.symlink_metadata().is_ok(), "{what} was removed");
    }
}

#[test]
fn whatever_stands_in_the_place_of_a_guard_is_refused_by_name() {
    for what in ALL {
        let bench = Bench::new();
        let place = bench.lock.with_extension("guard");
        fs::remove_file(&place).unwrap();
        put(what, &place);
        let refused = bench.tflock("plan").run().ended_with(78);
        refused.with_stderr(&format!("`{}` is ", place.display()));
    }
}

#[test]
fn a_new_record_is_never_written_through_a_link() {
    let bench = Bench::new();
    let precious = bench.workspace.file("precious");
    fs::write(&precious, "mine").unwrap();
    symlink(&precious, bench.lock.with_extension("new")).unwrap();
    bench.tflock("plan").run().succeeded();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");

    let place = bench.lock.with_extension("new");
    put("a directory", &place);
    let refused = bench.tflock("plan").run().ended_with(78);
    refused.with_stderr(&format!("`{}` is a directory", place.display()));
}

#[test]
fn a_directory_of_locks_that_is_a_link_is_refused_by_name() {
    let bench = Bench::new();
    let directory = bench.lock.parent().unwrap().to_owned();
    fs::rename(&directory, directory.with_extension("elsewhere")).unwrap();
    symlink("tflock.elsewhere", &directory).unwrap();
    for command in ["status", "plan"] {
        let refused = bench.tflock(command).run().ended_with(78);
        refused.with_stderr(&format!("`{}` is a symbolic link", directory.display()));
    }
}

//! An initialised directory with an S3 backend, a scripted terraform that waits for the test, and a look at
//! everything that is locked in the meantime.

use std::path::Path;

use super::backend::{LockMode, Remote, S3Backend};
use super::configuration::Configuration;
use super::fake_terraform::{Call, FakeTerraform};
use super::mid_run::{look_during, stopping_script};
use super::process::{Finished, Invocation};
use super::workspace::Workspace;

/// The scene.
#[derive(Debug)]
pub struct Scene {
    pub remote: Remote,
    pub workspace: Workspace,
    pub fake: FakeTerraform,
}

/// What one run showed.
#[derive(Debug)]
pub struct Glimpse {
    /// Everything that was locked while it ran, in the table and in the bucket.
    pub locks: Vec<String>,
    /// The names of the local locks.
    pub local_locks: Vec<String>,
    /// How the scripted terraform was called.
    pub call: Call,
    /// How it ended.
    pub finished: Finished,
}

impl Scene {
    /// A directory whose backend locks in that way.
    pub fn new(mode: LockMode) -> Self {
        Self::with(|remote| remote.backend(mode))
    }

    /// A directory with that backend.
    pub fn with(backend: impl FnOnce(&Remote) -> S3Backend) -> Self {
        let remote = Remote::start();
        let workspace = Workspace::with(&Configuration::with_backend(&backend(&remote)));
        workspace.init();
        Self::of(remote, workspace)
    }

    /// A directory as it is.
    pub fn of(remote: Remote, workspace: Workspace) -> Self {
        let fake = stopping_script().install(workspace.home().join("fake"));
        Self {
            remote,
            workspace,
            fake,
        }
    }

    /// A tflock that runs the scripted terraform.
    pub fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        let run = self.workspace.tflock(arguments);
        run.first_on_path(self.fake.directory())
    }

    /// What is locked during that run. Fails if anything is locked afterwards.
    #[track_caller]
    pub fn glimpse(&self, run: Invocation) -> Glimpse {
        self.glimpse_while(run, || {})
    }

    /// The same, with something that happens during the run.
    #[track_caller]
    pub fn glimpse_while(&self, run: Invocation, meanwhile: impl FnOnce()) -> Glimpse {
        let ((locks, on_this_machine), finished) = look_during(&self.workspace, run, |_| {
            meanwhile();
            (self.remote.locks(), local_locks(&self.workspace))
        });
        assert_eq!(self.remote.locks(), Vec::<String>::new(), "afterwards");
        assert_eq!(local_locks(&self.workspace), Vec::<String>::new());
        Glimpse {
            locks,
            local_locks: on_this_machine,
            call: self.fake.calls().pop().expect("a call"),
            finished,
        }
    }
}

/// The names of all locks in the local store of that workspace's user.
pub fn local_locks(workspace: &Workspace) -> Vec<String> {
    locks_in(&workspace.state_home().join("tflock"))
}

/// The names of all locks in that directory, if it exists.
pub fn locks_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let files = entries.map(|entry| entry.expect("a directory entry").path());
    let records = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut names: Vec<String> = records
        .filter_map(|path| match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            // Given back since the directory was read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("cannot read `{}`: {error}", path.display()),
        })
        .map(|text| {
            let record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let name = record["LockID"].as_str().expect("a name");
            name.to_owned()
        })
        .collect();
    names.sort_unstable();
    names
}

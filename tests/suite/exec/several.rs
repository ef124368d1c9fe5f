//! `exec --dir A --dir B`: several locks at once, all of them or none.

mod ends;
mod inside;
mod named;
mod waiting;

use std::fs;

use crate::support::backend::{LockMode, Remote};
use crate::support::configuration::Configuration;
use crate::support::fake_terraform::{FakeTerraform, Script};
use crate::support::process::Invocation;
use crate::support::proxy::Proxy;
use crate::support::scene::local_locks;
use crate::support::workspace::Workspace;

/// The initialised directories of one team, each with its own state.
struct Team {
    remote: Remote,
    /// Between tflock and DynamoDB.
    proxy: Proxy,
    workspace: Workspace,
    /// A terraform that does nothing.
    fake: FakeTerraform,
}

const DIRECTORIES: [&str; 3] = ["app", "dns", "network"];

impl Team {
    fn new(mode: LockMode) -> Self {
        let (remote, workspace) = (Remote::start(), Workspace::new());
        let proxy = Proxy::before(remote.dynamodb.url());
        for name in DIRECTORIES {
            let backend = remote.backend(mode).key(&format!("{name}.tfstate"));
            let backend = backend.dynamodb_url(proxy.url());
            let configuration = Configuration::with_backend(&backend).resource(name, "1");
            workspace.configure(&configuration);
            workspace.init();
            fs::create_dir(workspace.file(name)).expect("a directory");
            for made in ["main.tf", ".terraform"] {
                let moved = workspace.file(name).join(made);
                fs::rename(workspace.file(made), moved).expect("it is moved");
            }
        }
        proxy.clear_log();
        let fake = Script::new().install(workspace.home().join("fake"));
        Self {
            remote,
            proxy,
            workspace,
            fake,
        }
    }

    /// `tflock exec --dir …` around a shell that runs `script`, and finds the scripted terraform.
    fn exec(&self, directories: &[&str], script: &str) -> Invocation {
        let run = self.workspace.tflock(["exec"]);
        let named = directories.iter().flat_map(|name| ["--dir", name]);
        let run = run.args(named).args(["--", "sh", "-c", script]);
        run.first_on_path(self.fake.directory())
    }

    /// What is locked, in all stores.
    fn locks(&self) -> Vec<String> {
        let mut locks = self.remote.locks();
        locks.extend(local_locks(&self.workspace));
        locks.sort();
        locks
    }
}

/// The name of that directory's lock in the table.
fn item(directory: &str) -> String {
    format!("states/{directory}.tfstate")
}

/// A script that says that it has begun, then waits for the test.
const STOPS: &str = ": >started; while [ ! -e go ]; do sleep 0.02; done";

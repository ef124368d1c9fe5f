//! A terraform directory for one test, with its own home and environment, and the programs that
//! run in it. Nothing of the machine's configuration must ever reach them but `PATH`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::configuration::{Configuration, GO, STARTED};
use super::initialised;
use super::process::{Finished, Invocation, Running};
pub use super::real_terraform::program as terraform_program;
use super::waiting::wait_for_file;

/// A directory. It is removed when this is dropped.
#[derive(Debug)]
pub struct Workspace {
    root: TempDir,
    environment: BTreeMap<String, String>,
}

impl Workspace {
    /// An empty directory.
    pub fn new() -> Self {
        // Before the first test has started anything: none of them is of much use without.
        terraform_program();
        let root = tempfile::Builder::new()
            .prefix("tflock-test-")
            .tempdir()
            .expect("a temporary directory");
        for inner in ["work", "home", "tmp", "state"] {
            fs::create_dir(root.path().join(inner)).expect("a directory");
        }
        fs::write(root.path().join("terraformrc"), "").expect("a file");
        let inner = |name: &str| root.path().join(name).display().to_string();
        let path = env::var("PATH").expect("a PATH in UTF-8");
        let environment = [
            ("PATH", path),
            ("HOME", inner("home")),
            ("TMPDIR", inner("tmp")),
            ("XDG_STATE_HOME", inner("state")),
            ("TF_CLI_CONFIG_FILE", inner("terraformrc")),
            ("CHECKPOINT_DISABLE", "1".to_owned()),
            // A quarter of what a terraform computes is the collection of its garbage.
            ("GOGC", "off".to_owned()),
            // Tests of the history turn it on; all others count requests and records.
            ("TFLOCK_HISTORY", "off".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        Self {
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            root,
        }
    }

    /// A directory with that configuration.
    pub fn with(configuration: &Configuration) -> Self {
        let workspace = Self::new();
        workspace.configure(configuration);
        workspace
    }

    /// The same with one more variable in the environment of everything that runs here.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Another directory with its own home and the same configuration: a colleague's checkout.
    pub fn colleague(&self) -> Self {
        let colleague = Self::new();
        let text = fs::read(self.file("main.tf")).expect("a configuration");
        fs::write(colleague.file("main.tf"), text).expect("main.tf is written");
        colleague
    }

    /// The directory in which everything runs.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// A path in that directory.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// `$HOME` of everything that runs here.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// `$XDG_STATE_HOME` of everything that runs here.
    pub fn state_home(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// (Re)writes `main.tf`.
    pub fn configure(&self, configuration: &Configuration) {
        self.write("main.tf", &configuration.hcl());
    }

    /// Writes any file of the directory, with the directories above it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        let parent = path.parent().expect("a file has a directory");
        fs::create_dir_all(parent).expect("a directory");
        fs::write(&path, text).expect("a file");
    }

    /// Reads a file of the directory.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let path = self.file(name);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()))
    }

    /// Waits until the waiting resource is being created.
    #[track_caller]
    pub fn wait_until_started(&self) {
        wait_for_file(self.file(STARTED));
    }

    /// Lets the waiting resource finish.
    pub fn let_go(&self) {
        self.write(GO, "");
    }

    /// The next waiting resource starts and waits as if there had been none.
    pub fn take_back(&self) {
        for marker in [STARTED, GO] {
            fs::remove_file(self.file(marker)).expect("a marker");
        }
    }

    /// The real terraform in this directory.
    #[track_caller]
    pub fn terraform<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        self.invocation(terraform_program()).args(arguments)
    }

    /// The end of such a terraform that waits for a lock. It gives up if the lock is released between its refused attempt and
    /// its read of the holder, whatever its `-lock-timeout`, and is then started again.
    #[track_caller]
    pub fn outwait<const N: usize>(&self, mut waiting: Running, arguments: [&str; N]) -> Finished {
        // What it finds in the place of a holder: in a table, in a bucket, beside a local state.
        const GONE: [&str; 3] = [
            "unexpected end of JSON input",
            "NoSuchKey",
            "lock.info: no such file",
        ];
        loop {
            let finished = waiting.wait();
            if !GONE.iter().any(|words| finished.stderr.contains(words)) {
                return finished;
            }
            waiting = self.terraform(arguments).start();
        }
    }

    /// Leaves the directory as `terraform init` does; see [`initialised`].
    #[track_caller]
    pub fn init(&self) {
        const RECORD: &str = ".terraform/terraform.tfstate";
        let by_terraform = || {
            self.terraform(["init", "-input=false"]).run().succeeded();
        };
        let recorded = initialised::record_of(&self.read("main.tf"), || {
            by_terraform();
            serde_json::from_str(&self.read(RECORD)).expect("a record is JSON")
        });
        match recorded {
            Some(record) => self.write(RECORD, &record.to_string()),
            None => by_terraform(),
        }
    }

    /// The tflock under test in this directory.
    pub fn tflock<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        self.invocation(env!("CARGO_BIN_EXE_tflock"))
            .args(arguments)
    }

    /// Any program in this directory.
    pub fn invocation(&self, program: impl AsRef<Path>) -> Invocation {
        let mut invocation = Invocation::of(program.as_ref()).in_directory(self.path());
        for (name, value) in &self.environment {
            invocation = invocation.env(name, value);
        }
        invocation
    }
}

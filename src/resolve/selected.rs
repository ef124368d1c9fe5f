//! The selection: backend and workspace, read before the lock is taken and compared again afterwards.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::state::StateRef;
use super::{LockRequest, ResolvedLock};
use crate::environment::non_empty;
use crate::exit_code;
use crate::failure::Failure;
use crate::terraform::backend::{Backend, BackendRecordError, data_directory, read_record};
use crate::terraform::configuration::Declared;
use crate::terraform::plan_file::{PlanFileError, PlannedBackend, read_plan_file};
use crate::terraform::workspace::{Workspace, selected_workspace};

/// How long reading the selection again may take: a file system can hang.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// The backend and workspace of a run, to compare with the selection later: waiting takes long, and `init` or
/// `workspace select` in another terminal changes what terraform reads when it starts.
#[derive(Clone)]
pub struct Selected(Arc<AtFirst>);

struct AtFirst {
    reading: Reading,
    backend: Backend,
    workspace: Workspace,
}

/// The files that the selection is read from.
#[derive(Clone, Debug)]
pub struct SelectionFiles {
    /// terraform's working directory.
    pub directory: PathBuf,
    /// Its data directory, which may be missing.
    pub data_directory: PathBuf,
    /// Whether terraform reads the backend from the record; not for a saved plan, which has a backend of its own.
    pub reads_record: bool,
    /// Whether it reads the workspace from a file, not from `TF_WORKSPACE`.
    pub reads_workspace: bool,
}

impl SelectionFiles {
    /// The name of the backend record.
    pub const RECORD: &str = "terraform.tfstate";
    /// The name of the file with the selected workspace.
    pub const WORKSPACE: &str = "environment";

    /// The backend record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.data_directory.join(Self::RECORD)
    }

    /// The file with the selected workspace.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.data_directory.join(Self::WORKSPACE)
    }

    /// Whether all changes to the selection happen in the data directory.
    #[must_use]
    pub fn can_be_watched(&self) -> bool {
        !self.record().is_symlink() && !self.workspace().is_symlink()
    }
}

impl Selected {
    /// The files that it is read from.
    #[must_use]
    pub fn files(&self) -> SelectionFiles {
        let reading = &self.0.reading;
        SelectionFiles {
            directory: reading.directory.clone(),
            data_directory: data_directory(&reading.directory, &reading.environment),
            reads_record: reading.plan_file.is_none(),
            reads_workspace: non_empty(&reading.environment, "TF_WORKSPACE").is_none(),
        }
    }

    /// Whether it is still what terraform would use; `None` if that cannot be read in time. Uses a thread of its own,
    /// so that a hanging file system blocks nothing.
    pub async fn is_unchanged(&self) -> Option<bool> {
        let selected = Arc::clone(&self.0);
        let look = tokio::task::spawn_blocking(move || {
            let state = selected.reading.state().ok()?;
            Some(state.backend == selected.backend && state.workspace == selected.workspace)
        });
        tokio::time::timeout(READ_WITHIN, look).await.ok()?.ok()?
    }
}

/// The inputs for reading the selection.
struct Reading {
    directory: PathBuf,
    environment: fn(&str) -> Option<OsString>,
    plan_file: Option<PathBuf>,
    /// Whether the user named the lock.
    is_named: bool,
}

impl Reading {
    fn state(&self) -> Result<StateRef, Failure> {
        let workspace = selected_workspace(&self.directory, &self.environment)?;
        if let Some(planned) = self.planned()? {
            return Ok(StateRef {
                backend: planned.backend,
                workspace,
                version: planned.recorded_version,
            });
        }
        let record = match read_record(&self.directory, &self.environment) {
            Ok(record) => record,
            Err(BackendRecordError::StateStore { .. }) if self.is_named => None,
            Err(error) => return Err(error.into()),
        };
        let Some(record) = record else {
            if let Some(declared) = Declared::by(&self.directory).type_name()
                && declared != "local"
                && !self.is_named
            {
                return Err(Failure::new(
                    exit_code::CONFIGURATION,
                    format!(
                        "the backend `{declared}` of `{}` was never initialised",
                        self.directory.display()
                    ),
                )
                .hint("run `tflock init`"));
            }
            return Ok(StateRef {
                backend: Backend::implied(),
                workspace,
                version: None,
            });
        };
        Declared::by(&self.directory).confirm(&record)?;
        Ok(StateRef {
            backend: record.backend,
            workspace,
            version: record.recorded_version,
        })
    }

    /// `apply PLANFILE` uses the plan's backend but the selected workspace: terraform ignores the plan's workspace
    /// before 1.15, and then refuses a different one (`Meta.Operation` in `internal/command/meta_backend.go`;
    /// hashicorp/terraform#37954).
    fn planned(&self) -> Result<Option<PlannedBackend>, Failure> {
        let Some(file) = &self.plan_file else {
            return Ok(None);
        };
        match read_plan_file(&self.directory.join(file)) {
            Ok(planned) => Ok(planned),
            // For now the directory's own state stands in for it.
            Err(PlanFileError::Encrypted { .. }) => Ok(None),
            Err(_) if self.is_named => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl LockRequest<'_> {
    /// The current selection, to compare again later.
    #[must_use]
    pub fn selected(&self, resolved: &ResolvedLock) -> Selected {
        Selected(Arc::new(AtFirst {
            reading: self.reading(),
            backend: resolved.backend.clone(),
            workspace: resolved.workspace.clone(),
        }))
    }

    /// What is selected now.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub fn state(&self) -> Result<StateRef, Failure> {
        self.reading().state()
    }

    /// The backend as last recorded, whatever the configuration says now: `init` takes the state from there.
    pub(super) fn recorded_state(&self) -> Result<StateRef, Failure> {
        let record = read_record(self.directory, &self.environment)?;
        Ok(StateRef {
            workspace: selected_workspace(self.directory, &self.environment)?,
            version: record.as_ref().and_then(|one| one.recorded_version.clone()),
            backend: record.map_or_else(Backend::implied, |record| record.backend),
        })
    }

    fn reading(&self) -> Reading {
        Reading {
            directory: self.directory.to_owned(),
            environment: self.environment,
            plan_file: self.command.and_then(|command| command.plan_file.clone()),
            is_named: self.options.lock_id.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// An initialised directory whose backend got its settings from `init`.
    fn initialise(directory: &Path) {
        let files = directory.join(".terraform");
        std::fs::create_dir(files).unwrap();
        let configuration = "terraform {\n  backend \"local\" {}\n}\n";
        std::fs::write(directory.join("main.tf"), configuration).unwrap();
        record(directory, "a.tfstate");
    }

    /// Writes what `init -backend-config=path=…` records.
    fn record(directory: &Path, path: &str) {
        let config = serde_json::json!({ "path": path, "workspace_dir": null });
        let record = serde_json::json!({
            "version": 3,
            "backend": { "type": "local", "config": config, "hash": 1 },
        });
        std::fs::write(record_of(directory), record.to_string()).unwrap();
    }

    fn record_of(directory: &Path) -> PathBuf {
        directory.join(".terraform/terraform.tfstate")
    }

    /// Whether the selection in such a directory is still the same after `change`.
    fn is_unchanged_after(change: impl FnOnce(&Path)) -> Option<bool> {
        let directory = tempfile::tempdir().unwrap();
        initialise(directory.path());
        let reading = Reading {
            directory: directory.path().to_owned(),
            environment: |_| None,
            plan_file: None,
            is_named: false,
        };
        let StateRef {
            backend, workspace, ..
        } = reading.state().unwrap();
        let selected = Selected(Arc::new(AtFirst {
            reading,
            backend,
            workspace,
        }));
        change(directory.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(selected.is_unchanged())
    }

    #[test]
    fn another_selection_is_noticed_and_an_unreadable_one_is_none() {
        let write = |name: &'static str, text: &'static str| {
            move |directory: &Path| std::fs::write(directory.join(name), text).unwrap()
        };
        assert_eq!(is_unchanged_after(|_| {}), Some(true));
        let record_name = ".terraform/terraform.tfstate";
        for (change, expected) in [
            (
                Box::new(|directory: &Path| record(directory, "a.tfstate")) as Box<dyn Fn(&Path)>,
                Some(true),
            ),
            (
                Box::new(|directory| record(directory, "b.tfstate")),
                Some(false),
            ),
            (
                Box::new(write(".terraform/environment", "stg")),
                Some(false),
            ),
            (
                Box::new(write(".terraform/environment", "default")),
                Some(true),
            ),
            (Box::new(write(record_name, "{\"version\": 3")), None),
            (
                Box::new(write("main.tf", "terraform {\n  backend \"http\" {}\n}\n")),
                None,
            ),
            (
                Box::new(move |directory| std::fs::remove_file(record_of(directory)).unwrap()),
                Some(false),
            ),
        ] {
            assert_eq!(is_unchanged_after(change), expected);
        }
    }
}

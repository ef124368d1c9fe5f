//! A workspace whose state is not there yet: terraform creates it under a lock of its own, which nothing turns off,
//! and would meet ours. So it creates it while we do not hold the lock.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::commands::Context;
use crate::target::StateObject;

/// What it takes to create the state.
pub(super) struct Creation<'a> {
    /// The state.
    pub state: &'a StateObject,
    /// The terraform that creates it; without one nothing under the lock can need the state.
    pub terraform: Option<PathBuf>,
}

impl Creation<'_> {
    /// Has terraform create the state: any command does that which looks at it.
    pub(super) fn carry_out(&self, context: &Context) {
        let Some(program) = &self.terraform else {
            return;
        };
        context
            .ui
            .detail(|| "the workspace has no state yet: terraform creates it first".to_owned());
        let created = Command::new(program)
            .args(context.with_chdir(vec!["state".into(), "list".into()]))
            .env_remove("TF_CLI_ARGS")
            .env_remove("TF_CLI_ARGS_state_list")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output();
        // What keeps it from working keeps the command itself from it too, and is said there.
        if let Ok(output) = created {
            context.ui.detail(|| {
                let errors = String::from_utf8_lossy(&output.stderr);
                format!("`terraform state list` ended: {}{errors}", output.status)
            });
        }
    }
}

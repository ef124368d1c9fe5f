//! The state that is locked: its backend and workspace, and its file if it is one.

use std::path::PathBuf;

use super::{LockPart, LockRequest, local_state};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::terraform::backend::Backend;
use crate::terraform::command::StateFlagScope;
use crate::terraform::lock_name::local_state_path;
use crate::terraform::plan_file::{PlanFileError, read_plan_file};
use crate::terraform::workspace::Workspace;

/// The state to lock, before its lock is resolved. Serialising it includes the backend's secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct StateRef {
    pub(super) backend: Backend,
    pub(super) workspace: Workspace,
    pub(super) version: Option<String>,
}

impl StateRef {
    /// The same without the backend's secrets, and whether it had any.
    #[must_use]
    pub fn without_secrets(&self) -> (Self, bool) {
        let state = Self {
            backend: self.backend.without_secrets(),
            ..self.clone()
        };
        (state, self.backend.has_secrets())
    }
}

impl LockRequest<'_> {
    /// Whether OpenTofu has encrypted the plan: then only it knows the plan's state.
    pub(super) fn has_encrypted_plan(&self) -> bool {
        let file = self.command.and_then(|command| command.plan_file.as_ref());
        let plan = file.map(|file| read_plan_file(&self.directory.join(file)));
        matches!(plan, Some(Err(PlanFileError::Encrypted { .. })))
    }

    /// The locked state file, if it is a file: the backend is local, or the command's flags name a file to use instead
    /// of the backend.
    pub(super) fn state_file(&self, state: &StateRef) -> Result<Option<PathBuf>, Failure> {
        let flag = self
            .command
            .and_then(|command| command.state_path.as_deref());
        let instead = self.command.is_some_and(|command| {
            command.state_scope == StateFlagScope::InsteadOfBackend && flag.is_some()
        });
        let local = if instead {
            Backend::implied().local()?
        } else {
            state.backend.local()?
        };
        Ok(local.map(|local| local_state_path(self.directory, &local, &state.workspace, flag)))
    }

    /// Makes our lock count as held while a plain terraform locks the state file.
    pub(super) fn beside_terraforms_own(
        &self,
        parts: Vec<LockPart>,
        state: &StateRef,
    ) -> Result<Vec<LockPart>, Failure> {
        let Some(file) = self.state_file(state)? else {
            return Ok(parts);
        };
        let beside = |part: LockPart| LockPart {
            store: local_state::beside_terraforms_own(part.store, file.clone()),
            ..part
        };
        Ok(parts.into_iter().map(beside).collect())
    }
}

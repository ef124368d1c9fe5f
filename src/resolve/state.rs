//! The state that is locked: which backend and workspace it belongs to, and the file that it is, where it is one.

use std::path::PathBuf;

use super::{LockRequest, Place, local_state};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::terraform::backend::Backend;
use crate::terraform::command::StateFlagScope;
use crate::terraform::lock_name::local_state_path;
use crate::terraform::plan_file::{PlanFileError, read_plan_file};
use crate::terraform::workspace::Workspace;

/// What is locked, before it is known where. Serialised it holds whatever secrets the backend has.
#[derive(Clone, Serialize, Deserialize)]
pub struct StateRef {
    pub(super) backend: Backend,
    pub(super) workspace: Workspace,
    pub(super) version: Option<String>,
}

impl LockRequest<'_> {
    /// OpenTofu can encrypt a plan, and then only it can tell which state it is for.
    pub(super) fn has_encrypted_plan(&self) -> bool {
        let file = self.command.and_then(|command| command.plan_file.as_ref());
        let plan = file.map(|file| read_plan_file(&self.directory.join(file)));
        matches!(plan, Some(Err(PlanFileError::Encrypted { .. })))
    }

    /// The state file that is locked, if it is a file: the backend is local, or the command's flags name one that it
    /// works on instead of the backend.
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

    /// Where a plain terraform locks a state file, our lock is not to be had while it does.
    pub(super) fn beside_terraforms_own(
        &self,
        places: Vec<Place>,
        state: &StateRef,
    ) -> Result<Vec<Place>, Failure> {
        let Some(file) = self.state_file(state)? else {
            return Ok(places);
        };
        let beside = |place: Place| Place {
            store: local_state::beside_terraforms_own(place.store, file.clone()),
            ..place
        };
        Ok(places.into_iter().map(beside).collect())
    }
}

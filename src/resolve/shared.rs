//! The state that a plan without a lock (`--shared`) compares before and after.

use super::{InitLocked, LockPart, LockRequest, StateRef};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::state::LockedState;
use crate::terraform::backend::S3Backend;
use crate::terraform::command::Effect;

/// The notice where terraform locks despite `-lock=false`.
const NOT_SHARED: &str = "this plan takes the lock despite `--shared`: in this workspace terraform locks before each plan, because the \
                          backend's `key` or `workspace_key_prefix` is not a clean path";

/// The state that a run without a lock compares.
pub struct ComparedState {
    /// The state.
    pub state: LockedState,
    /// What terraform does if there is none.
    pub if_missing: IfMissing,
}

/// What terraform does if the state does not exist when it plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Nothing.
    LeftAlone,
    /// It creates an empty one under a lock that no flag turns off, as the S3 backend does in every workspace but the default
    /// one (see [`super::InitLock`]).
    Created,
}

impl LockRequest<'_> {
    /// What to compare; `None` if the run takes the lock.
    ///
    /// # Errors
    /// The run takes no lock, but there is nothing to compare.
    pub(super) fn compared(
        &self,
        parts: &mut [LockPart],
        state: &StateRef,
        s3: Option<&S3Backend>,
    ) -> Result<Option<ComparedState>, Failure> {
        let is_plan = self
            .command
            .is_some_and(|command| command.effect == Effect::ReadsState);
        if !self.options.shared || !is_plan {
            return Ok(None);
        }
        let locks_itself = s3.is_some_and(|s3| s3.dynamodb_table.is_some() || s3.use_lockfile);
        if locks_itself && !parts.iter().any(|part| part.is_terraforms_own) {
            return Err(cannot_share(
                "`--shared` needs the lock that terraform takes, but these options select another one",
            )
            .hint("leave out `--store`, `--table` and `--lock-id`"));
        }
        if let Some(part) = parts
            .iter_mut()
            .find(|part| part.is_init_locked_each_time())
        {
            part.notice = Some(NOT_SHARED.to_owned());
            return Ok(None);
        }
        let file = self.state_file(state)?.map(LockedState::file);
        let others = parts.iter_mut().filter_map(|part| part.state.take());
        let Some(compared) = others.chain(file).last() else {
            return Err(cannot_share(format!(
                "`--shared` cannot tell whether the state of this backend (`{}`) has changed",
                state.backend.type_name()
            ))
            .hint("leave out `--shared`: it works with S3 backends and local states"));
        };
        let is_created = s3.is_some() && !state.workspace.is_default();
        let if_missing = match compared {
            LockedState::Digest(_) | LockedState::Object(_) if is_created => IfMissing::Created,
            _ => IfMissing::LeftAlone,
        };
        Ok(Some(ComparedState {
            state: compared,
            if_missing,
        }))
    }
}

impl LockPart {
    /// Whether terraform takes its lock before each plan, whatever the flags.
    fn is_init_locked_each_time(&self) -> bool {
        let lock = self.init_lock.as_ref().filter(|_| self.is_terraforms_own);
        lock.is_some_and(|lock| matches!(lock.when, InitLocked::Always))
    }
}

fn cannot_share(message: impl Into<String>) -> Failure {
    Failure::new(exit_code::CONFIGURATION, message)
}

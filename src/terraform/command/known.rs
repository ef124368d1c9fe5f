//! The terraform commands that run under the state lock, and how they differ.
//!
//! Commands that take locks of their own under other names (`init`, `workspace`, `console`) do not belong here.

use super::{Effect, StateFlagScope};

pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) operation: &'static str,
    pub(super) effect: Effect,
    pub(super) scope: StateFlagScope,
    /// The flags that name the locked state file, highest precedence first.
    pub(super) state_flags: &'static [&'static str],
}

impl Known {
    const fn new(name: &'static str, operation: &'static str) -> Self {
        Self {
            name,
            operation,
            effect: Effect::WritesState,
            scope: StateFlagScope::LocalBackend,
            state_flags: &["state-out", "state"],
        }
    }

    /// A `state` command. `state mv -state-out` names a second file, which terraform locks too.
    const fn on_state(name: &'static str, operation: &'static str) -> Self {
        Self {
            scope: StateFlagScope::InsteadOfBackend,
            state_flags: &["state"],
            ..Self::new(name, operation)
        }
    }
}

/// Verified with terraform 1.11.4: its locks have these operations.
pub(super) const LOCKING: [Known; 11] = [
    Known {
        effect: Effect::ReadsState,
        ..Known::new("plan", "OperationTypePlan")
    },
    Known::new("apply", "OperationTypeApply"),
    Known::new("destroy", "OperationTypeApply"),
    Known::new("refresh", "OperationTypeRefresh"),
    Known::new("import", "OperationTypeInvalid"),
    Known::new("taint", "taint"),
    Known::new("untaint", "untaint"),
    Known::on_state("state mv", "state-mv"),
    Known::on_state("state rm", "state-rm"),
    Known {
        state_flags: &[],
        ..Known::on_state("state push", "state-push")
    },
    Known::on_state("state replace-provider", "state-replace-provider"),
];

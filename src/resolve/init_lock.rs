//! The lock named `init` of terraform's S3 backend, and how our runs avoid colliding on it.

use std::rc::Rc;

use crate::lock::store::Store;
use crate::lock::store::s3::StateObject;
use crate::terraform::backend::S3Backend;
use crate::terraform::lock_name::is_listed;
use crate::terraform::workspace::Workspace;

/// A lock of terraform's S3 backend that no flag turns off: if its list of workspaces lacks the selected one, terraform
/// first creates that state under the lock (`StateMgr` in `internal/backend/remote-state/s3/backend_state.go`), and
/// would fail while we hold it. Then terraform locks for itself, and our runs take turns.
pub struct InitLock {
    /// When terraform takes it.
    pub when: InitLocked,
    /// The lock that our runs hold in the meantime, so that no two start terraform at once: it tries its lock only
    /// once.
    pub turn: Rc<dyn Store>,
}

/// When terraform's S3 backend takes its `init` lock.
pub enum InitLocked {
    /// If this state object is missing.
    Missing(StateObject),
    /// Every time: terraform's list cannot contain the state's key.
    Always,
}

/// The suffix that turns the name of terraform's lock into that of the lock for our turns.
pub(super) const TURN: &str = "-tflock-turn";

/// The default workspace always exists, so it needs none.
pub(super) fn init_lock(
    s3: &S3Backend,
    workspace: &Workspace,
    state: impl FnOnce() -> StateObject,
    turn: impl FnOnce() -> Rc<dyn Store>,
) -> Option<InitLock> {
    if workspace.is_default() {
        return None;
    }
    let when = if is_listed(s3, workspace) {
        InitLocked::Missing(state())
    } else {
        InitLocked::Always
    };
    Some(InitLock { when, turn: turn() })
}

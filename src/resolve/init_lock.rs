//! The lock named `init` of terraform's S3 backend, and whose turn it is to start a terraform that takes it.

use std::rc::Rc;

use crate::lock::store::Store;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::s3::StateObject;
use crate::terraform::backend::S3Backend;
use crate::terraform::lock_name::{is_listed, s3_names};
use crate::terraform::workspace::Workspace;

/// Where terraform's S3 backend takes a lock that nothing turns off: it does so before all else if the state of the selected
/// workspace is not in its list, to create it (`StateMgr` in `internal/backend/remote-state/s3/backend_state.go`), and under
/// our lock it would not start. Then terraform locks for itself, and runs of ours take turns.
pub struct InitLock {
    /// When terraform takes it.
    pub when: InitLocked,
    /// What runs of ours hold meanwhile, so that no two start a terraform at once: that lock is tried once only.
    pub turn: Rc<dyn Store>,
}

/// When terraform's S3 backend takes its `init` lock.
pub enum InitLocked {
    /// If that state is missing.
    Missing(StateObject),
    /// Each time: the state's key is not one that the list could tell for the workspace's.
    Always,
}

/// What the lock is called by which runs of ours take turns: that of terraform's lock with this behind it.
pub(super) const TURN: &str = "-tflock-turn";

/// The default workspace always exists.
pub(super) fn init_lock(
    access: &AwsAccess,
    s3: &S3Backend,
    workspace: &Workspace,
    turn: impl FnOnce() -> Rc<dyn Store>,
) -> Option<InitLock> {
    if workspace.is_default() {
        return None;
    }
    let when = if is_listed(s3, workspace) {
        InitLocked::Missing(StateObject::new(
            access,
            &s3.bucket,
            &s3_names(s3, workspace).state_path,
        ))
    } else {
        InitLocked::Always
    };
    Some(InitLock { when, turn: turn() })
}

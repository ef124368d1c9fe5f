//! A lock in a bucket: terraform's own `.tflock` object.

use std::rc::Rc;

use super::heartbeat_setting::HeartbeatSetting;
use super::init_lock::{TURN, init_lock};
use super::state::StateRef;
use super::{LockPart, LockRequest, aws_settings};
use crate::failure::Failure;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::s3::{ObjectSettings, Renewals, S3Store, StateObject};
use crate::lock::store::state::LockedState;
use crate::terraform::backend::S3Backend;
use crate::terraform::lock_name::s3_names;
use crate::terraform::workspace::Workspace;

/// What is locked together with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// An item of a table, which is renewed instead of it.
    Item,
}

impl LockRequest<'_> {
    pub(super) async fn object(
        &self,
        state: &StateRef,
        s3: &S3Backend,
        beside: Beside,
    ) -> Result<LockPart, Failure> {
        let heartbeat = HeartbeatSetting::of(&self.environment)?;
        let names = s3_names(s3, &state.workspace);
        let object = match &self.options.lock_id {
            Some(key) => lock_object(key, &s3.bucket),
            None => names.lock_object.clone(),
        };
        let access = self.aws(Some(s3)).await?;
        let settings = ObjectSettings {
            renewals: heartbeat.renewals(&access),
            ..self.object_settings(s3)
        };
        let state_object = || self.state_object(&access, s3, &state.workspace);
        let init_lock = init_lock(s3, &state.workspace, state_object, || {
            let turn = format!("{}{TURN}.tflock", names.state_path);
            Rc::new(S3Store::new(&access, &s3.bucket, &turn, settings.clone()))
        });
        let lock_settings = match beside {
            Beside::Nothing => settings,
            Beside::Item => ObjectSettings {
                renewals: match settings.renewals {
                    Renewals::On => Renewals::InItem,
                    other => other,
                },
                ..settings
            },
        };
        Ok(LockPart {
            store: Rc::new(S3Store::new(&access, &s3.bucket, &object, lock_settings)),
            is_terraforms_own: s3.use_lockfile && object == names.lock_object,
            path: names.lock_name.into(),
            notice: None,
            unspoken: None,
            local_name: None,
            init_lock,
            state: Some(LockedState::Object(state_object())),
        })
    }

    /// The object in which the backend keeps the state of that workspace.
    pub(super) fn state_object(
        &self,
        access: &AwsAccess,
        s3: &S3Backend,
        workspace: &Workspace,
    ) -> StateObject {
        let path = s3_names(s3, workspace).state_path;
        StateObject::new(access, &s3.bucket, &path, self.object_settings(s3))
    }

    pub(super) fn object_settings(&self, s3: &S3Backend) -> ObjectSettings {
        ObjectSettings {
            encryption: aws_settings::encryption(s3, &self.environment),
            acl: s3.acl.clone(),
            skip_checksum: s3.skip_s3_checksum,
            tags: s3.lock_tags.clone(),
            renewals: Renewals::Off,
        }
    }
}

/// The object that `--lock-id` names, with or without the bucket; always one with a lock's suffix. Messages show the
/// state's own name, but an object of that name is never taken for a lock.
fn lock_object(key: &str, bucket: &str) -> String {
    let inside = key
        .strip_prefix(bucket)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(key);
    if inside.ends_with(".tflock") {
        inside.to_owned()
    } else {
        format!("{inside}.tflock")
    }
}

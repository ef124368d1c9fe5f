//! A lock in a DynamoDB table: terraform's own item, or one of ours for any backend.

use std::rc::Rc;

use super::init_lock::{TURN, init_lock};
use super::state::StateRef;
use super::{LockPart, LockRequest};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::Store;
use crate::lock::store::dynamodb::DynamoDbStore;
use crate::lock::store::state::LockedState;
use crate::terraform::backend::S3Backend;
use crate::terraform::lock_name::{local_lock_name, s3_names, shared_lock_name};

/// The suffix that turns the name of a lock into that of its state's digest item.
pub(super) const DIGEST: &str = "-md5";

impl LockRequest<'_> {
    pub(super) async fn table(
        &self,
        state: &StateRef,
        s3: Option<&S3Backend>,
    ) -> Result<LockPart, Failure> {
        let own_table = s3.and_then(|s3| s3.dynamodb_table.as_ref());
        let table = self.options.table.as_ref().or(own_table).ok_or_else(|| {
            Failure::new(
                exit_code::CONFIGURATION,
                "`--store dynamodb` needs a table, but the backend has none",
            )
            .hint("name it with `--table NAME`")
        })?;
        if !is_table(table) {
            return Err(Failure::new(
                exit_code::CONFIGURATION,
                format!("`{table}` cannot be a DynamoDB table"),
            )
            .hint("a table's name has letters, digits, `_`, `-` and `.` only"));
        }
        if let Some(key) = &self.options.lock_id
            && key.ends_with(DIGEST)
        {
            return Err(Failure::new(
                exit_code::REFUSED,
                format!(
                    "`{key}` is not a lock: terraform keeps the digest of the state under that name, and refuses a state \
                     without it"
                ),
            )
            .hint(format!(
                "the lock is `{}`",
                key.strip_suffix(DIGEST).unwrap_or(key)
            )));
        }
        let (key, derived) = match (&self.options.lock_id, self.state_file(state)?) {
            (Some(key), _) => (key.clone(), s3.map(|s3| s3_names(s3, &state.workspace))),
            (None, Some(file)) => {
                let hostname = whoami::hostname().unwrap_or_default();
                (local_lock_name(&hostname, &file).into(), None)
            }
            (None, None) => (
                shared_lock_name(&state.backend, &state.workspace)?.into(),
                s3.map(|s3| s3_names(s3, &state.workspace)),
            ),
        };
        let is_terraforms_own = own_table == Some(table)
            && derived.is_some_and(|names| names.lock_name.as_str() == key);
        let access = self.aws(s3).await?;
        let init_lock = s3.and_then(|s3| {
            let turn = || -> Rc<dyn Store> {
                Rc::new(DynamoDbStore::new(&access, table, &format!("{key}{TURN}")))
            };
            let state_object = || self.state_object(&access, s3, &state.workspace);
            init_lock(s3, &state.workspace, state_object, turn)
        });
        let locked_state = s3.map(|s3| match own_table {
            Some(table) => {
                let lock_name = s3_names(s3, &state.workspace).lock_name;
                let digest = format!("{lock_name}{DIGEST}");
                LockedState::Digest(Box::new(DynamoDbStore::new(&access, table, &digest)))
            }
            None => LockedState::Object(self.state_object(&access, s3, &state.workspace)),
        });
        Ok(LockPart {
            store: Rc::new(DynamoDbStore::new(&access, table, &key)),
            is_terraforms_own,
            path: key,
            notice: None,
            unspoken: None,
            local_name: None,
            init_lock,
            state: locked_state,
        })
    }
}

/// Whether it is a possible table name, or an ARN, which DynamoDB accepts too.
fn is_table(name: &str) -> bool {
    let (name, further) = match name.strip_prefix("arn:") {
        Some(rest) => (rest, ":/"),
        None => (name, ""),
    };
    name.chars().all(|character| {
        character.is_ascii_alphanumeric()
            || "_.-".contains(character)
            || further.contains(character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_table_names_are_rejected() {
        for name in [
            "locks",
            "My_locks-1.eu",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/locks",
        ] {
            assert!(is_table(name), "{name}");
        }
        for name in ["a;b", "$(touch x)", "a b", "a/b", "a:b", "lócks", "a\nb"] {
            assert!(!is_table(name), "{name}");
        }
    }
}

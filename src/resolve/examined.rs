//! What `doctor` and `create-table` work on: the parts of a lock by kind, and the state.

use super::heartbeat_setting::HeartbeatSetting;
use super::table::DIGEST;
use super::{LockRequest, ResolvedLock};
use crate::failure::Failure;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::dynamodb::DynamoDbStore;
use crate::lock::store::s3::{ObjectSettings, Renewals, S3Store, StateObject};
use crate::terraform::lock_name::s3_names;

/// The parts of a lock that are kept in AWS, or in a compatible service.
pub struct Examined {
    /// The access to it.
    pub access: AwsAccess,
    /// The lock's item.
    pub item: Option<DynamoDbStore>,
    /// terraform's digest of the state, next to its own item.
    pub digest: Option<DynamoDbStore>,
    /// The lock's object.
    pub object: Option<S3Store>,
    /// The state in a bucket.
    pub state: Option<StateObject>,
    /// Whether lock objects are renewed.
    pub renewals: Renewals,
}

impl LockRequest<'_> {
    /// The parts of a resolved lock that are in AWS; `None` if there are none.
    ///
    /// # Errors
    /// Settings are unusable.
    pub async fn examined(&self, resolved: &ResolvedLock) -> Result<Option<Examined>, Failure> {
        let s3 = resolved.backend.s3()?;
        let key_of = |kind| {
            let mut stores = resolved.stores.iter();
            let store = stores.find(|store| store.kind() == kind)?;
            Some(store.key().to_owned())
        };
        let (item, object) = (key_of("dynamodb"), key_of("s3"));
        if s3.is_none() && item.is_none() && object.is_none() {
            return Ok(None);
        }
        let access = self.aws(s3.as_ref()).await?;
        let own_table = s3.as_ref().and_then(|s3| s3.dynamodb_table.as_ref());
        let table = self.options.table.as_ref().or(own_table);
        let item = item.zip(table);
        let item = item.map(|(key, table)| DynamoDbStore::new(&access, table, &key));
        let names = s3.as_ref().map(|s3| s3_names(s3, &resolved.workspace));
        let digest = own_table.zip(names).map(|(table, names)| {
            let digest = format!("{}{DIGEST}", names.lock_name);
            DynamoDbStore::new(&access, table, &digest)
        });
        let renewals = HeartbeatSetting::of(&self.environment)?.renewals(&access);
        let object = object.zip(s3.as_ref()).map(|(key, s3)| {
            let below = key.strip_prefix(&s3.bucket).unwrap_or(&key);
            let settings = ObjectSettings {
                renewals,
                ..self.object_settings(s3)
            };
            S3Store::new(&access, &s3.bucket, below.trim_start_matches('/'), settings)
        });
        let state = s3.as_ref();
        let state = state.map(|s3| self.state_object(&access, s3, &resolved.workspace));
        Ok(Some(Examined {
            access,
            item,
            digest,
            object,
            state,
            renewals,
        }))
    }
}

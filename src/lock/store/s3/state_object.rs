//! The state object of a lock: whether it exists, and whether it changes. Its content is never read, and it is never
//! written.

use aws_sdk_s3::types::ServerSideEncryption;

use super::requests::Head;
use super::{ObjectSettings, S3Store};
use crate::lock::record::Record;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::{Identity, Revision, Store as _, StoreError, Stored};

/// A state object.
#[derive(Debug)]
pub struct StateObject(pub(super) Box<S3Store>);

impl StateObject {
    /// The object `key` in `bucket`, written with these settings.
    #[must_use]
    pub fn new(access: &AwsAccess, bucket: &str, key: &str, settings: ObjectSettings) -> Self {
        Self(Box::new(S3Store::new(access, bucket, key, settings)))
    }

    /// Whether the object certainly does not exist.
    pub async fn is_missing(&self) -> bool {
        matches!(self.0.head().await, Ok(Head::Missing))
    }

    /// The version of the object: its entity tag. With KMS the tag is not a digest of the content but differs with each
    /// write, so there it is the checksum that terraform stores with the object.
    ///
    /// # Errors
    /// The request's error.
    pub async fn version(&self) -> Result<Option<Stored>, StoreError> {
        let object = match self.0.head().await? {
            Head::Found(object) => object,
            Head::Missing => return Ok(None),
            Head::Rejected(error) => return Err(error),
        };
        let tag = self.0.entity_tag("HeadObject", object.e_tag)?;
        let version = match object.server_side_encryption {
            None | Some(ServerSideEncryption::Aes256) => tag,
            Some(_) => object.checksum_sha256.unwrap_or(tag),
        };
        Ok(Some(Stored {
            record: Record {
                info: None,
                lease: None,
            },
            revision: Revision::EntityTag(version),
        }))
    }

    /// The object, for requests that `doctor` makes.
    #[must_use]
    pub fn object(&self) -> &S3Store {
        &self.0
    }

    /// Its name, with the bucket.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.key()
    }

    /// Identifies it among all objects.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.0.identity()
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.place()
    }
}

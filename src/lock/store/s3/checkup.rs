//! The requests of `doctor` to a bucket. It writes and removes only an object of its own next to the lock; the lock and the
//! state it only reads.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::BucketVersioningStatus;

use super::S3Store;
use crate::lock::record::Record;
use crate::lock::store::aws::ClockDifference;
use crate::lock::store::companion::Purpose;
use crate::lock::store::{StoreError, StoreErrorKind};

/// An entity tag that no object has.
pub(super) const NO_TAG: &str = "\"tflock-doctor\"";

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its entity tag, without quotes.
    pub tag: String,
    /// When it was written, in seconds since 1970.
    pub written: Option<i64>,
    /// Whether it is the current one.
    pub is_latest: bool,
}

impl S3Store {
    /// `doctor`'s own object next to this lock.
    #[must_use]
    pub fn for_doctor(&self) -> Self {
        let access = self.connection.access();
        let object = Purpose::Doctor.name_beside(&self.object);
        Self::new(&access, &self.bucket, &object, self.settings.clone())
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object's name in the bucket.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// How far the service's clock was ahead of ours in its last answer.
    #[must_use]
    pub fn clock(&self) -> Option<ClockDifference> {
        self.wire.clock()
    }

    /// Tests whether we may list the bucket, by asking for one name from this object on.
    ///
    /// # Errors
    /// The request's error.
    pub async fn try_list(&self) -> Result<(), StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&self.object)
            .max_keys(1)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.code().unwrap_or_default().to_owned();
                Err(elsewhere(&code, self.explain("ListObjectsV2", &error)))
            }
        }
    }

    /// Tests whether we may write this object, by a request whose condition is never met. Only for servers that are known to
    /// compare.
    ///
    /// # Errors
    /// We may not.
    pub async fn try_put(&self) -> Result<(), StoreError> {
        self.put(Some(NO_TAG), &document("put")).await.map(|_| ())
    }

    /// Tests whether we may delete this object, in the same way.
    ///
    /// # Errors
    /// We may not.
    pub async fn try_delete(&self) -> Result<(), StoreError> {
        self.delete(Some(NO_TAG)).await.map(|_| ())
    }

    /// Whether the bucket keeps old versions; `None` if unknown.
    pub async fn is_versioned(&self) -> Option<bool> {
        let client = self.connection.client().await;
        let answer = client
            .get_bucket_versioning()
            .bucket(&self.bucket)
            .send()
            .await;
        Some(answer.ok()?.status == Some(BucketVersioningStatus::Enabled))
    }

    /// The versions of this object, the latest first; empty if they are not kept or we may not see them.
    pub async fn versions(&self) -> Vec<Version> {
        let client = self.connection.client().await;
        let answer = client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(&self.object)
            .send()
            .await;
        let versions = answer.ok().and_then(|answer| answer.versions);
        let own = versions
            .into_iter()
            .flatten()
            .filter(|version| version.key.as_deref() == Some(&self.object));
        own.map(|version| Version {
            tag: version
                .e_tag
                .unwrap_or_default()
                .trim_matches('"')
                .to_owned(),
            written: version.last_modified.map(|time| time.secs()),
            is_latest: version.is_latest.unwrap_or_default(),
        })
        .collect()
    }
}

/// Explains the error codes of a bucket in another region.
fn elsewhere(code: &str, error: StoreError) -> StoreError {
    let is_elsewhere = matches!(
        code,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException"
    );
    if !is_elsewhere {
        return error;
    }
    StoreError {
        kind: StoreErrorKind::Unsuitable,
        remedy: Some(
            "the bucket is in another region: correct `region` in the backend, then run `tflock init -reconfigure`"
                .to_owned(),
        ),
        ..error
    }
}

/// A record of `doctor`'s own.
pub(super) fn document(text: &str) -> Record {
    Record {
        info: Some(format!("tflock doctor: {text}")),
        lease: None,
    }
}

//! The requests of `doctor` to a bucket. It writes and removes only an object of its own next to the lock; the lock and the
//! state it only reads.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::BucketVersioningStatus;

use super::S3Store;
use super::requests::Condition;
use crate::lock::record::Record;
use crate::lock::store::aws::ClockDifference;
use crate::lock::store::companion::Purpose;
use crate::lock::store::{Revision, StoreError, StoreErrorKind, Stored};

/// An entity tag that no object has.
const NO_TAG: &str = "\"tflock-doctor\"";

/// How a server treats a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// As S3 does.
    Honoured,
    /// It carries out the request in any case.
    Ignored,
    /// It reports success without carrying out the request.
    Feigned,
    /// It refuses the request even if the condition is met.
    AlwaysRefused,
    /// It answers that it does not support the condition.
    NotSupported,
    /// Several concurrent writes were all told that they came first.
    Raced,
}

impl Compared {
    /// For people.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Ignored => "ignored",
            Self::Feigned => "feigned",
            Self::AlwaysRefused => "refused although met",
            Self::NotSupported => "not supported",
            Self::Raced => "not atomic",
        }
    }
}

/// How a server treats the conditions that a lock needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// `If-None-Match` on a write, which locking needs.
    pub create: Compared,
    /// `If-Match` on a write, which renewals need.
    pub overwrite: Compared,
    /// `If-Match` on a delete.
    pub remove: Compared,
}

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
    /// `doctor`'s own object beside this lock.
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

    /// Writes and removes this object to find out how the server treats conditions. Leaves nothing behind.
    ///
    /// # Errors
    /// A request's error.
    pub async fn try_conditions(&self) -> Result<Conditions, StoreError> {
        self.delete(None).await?;
        let conditions = Box::pin(self.conditions()).await;
        self.delete(None).await?;
        conditions
    }

    async fn conditions(&self) -> Result<Conditions, StoreError> {
        let create = Box::pin(self.creates_once()).await?;
        let overwrite = self.compares_on_put().await?;
        let remove = self.compares_on_delete().await?;
        Ok(Conditions {
            create,
            overwrite,
            remove,
        })
    }

    async fn creates_once(&self) -> Result<Compared, StoreError> {
        let [first, second, third, fourth] = ["1", "2", "3", "4"].map(document);
        let answers: [_; 4] = tokio::join!(
            self.put(None, &first),
            self.put(None, &second),
            self.put(None, &third),
            self.put(None, &fourth),
        )
        .into();
        let mut winners: usize = 0;
        for answer in answers {
            match answer? {
                Condition::Held(_) => winners += 1,
                Condition::Failed | Condition::Conflict => {}
                Condition::Refused(_) => return Ok(Compared::NotSupported),
            }
        }
        let again = matches!(
            self.put(None, &document("again")).await?,
            Condition::Held(_)
        );
        Ok(match (winners, again, self.stored_text().await?) {
            (_, true, _) => Compared::Ignored,
            (0, false, _) => Compared::AlwaysRefused,
            (1, false, Some(_)) => Compared::Honoured,
            (_, false, None) => Compared::Feigned,
            (2.., false, Some(_)) => Compared::Raced,
        })
    }

    async fn compares_on_put(&self) -> Result<Compared, StoreError> {
        let Some((tag, _)) = self.stored_text().await? else {
            return Ok(Compared::Feigned);
        };
        match self.put(Some(NO_TAG), &document("wrong")).await? {
            Condition::Refused(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => {}
            Condition::Held(_) => {
                let was_written = self.stored_text().await?.is_none_or(|(now, _)| now != tag);
                return Ok(if was_written {
                    Compared::Ignored
                } else {
                    Compared::Feigned
                });
            }
        }
        let new = document("right");
        match self.put(Some(&tag), &new).await? {
            Condition::Held(_) => {}
            Condition::Refused(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => return Ok(Compared::AlwaysRefused),
        }
        let now = self.stored_text().await?.and_then(|(_, text)| text);
        Ok(if now == new.info {
            Compared::Honoured
        } else {
            Compared::Feigned
        })
    }

    async fn compares_on_delete(&self) -> Result<Compared, StoreError> {
        let Some((tag, _)) = self.stored_text().await? else {
            return Ok(Compared::Feigned);
        };
        match self.delete(Some(NO_TAG)).await? {
            Condition::Refused(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => {}
            Condition::Held(()) => {
                let is_there = self.stored_text().await?.is_some();
                return Ok(if is_there {
                    Compared::Feigned
                } else {
                    Compared::Ignored
                });
            }
        }
        match self.delete(Some(&tag)).await? {
            Condition::Held(()) => {}
            Condition::Refused(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => return Ok(Compared::AlwaysRefused),
        }
        let is_gone = self.stored_text().await?.is_none();
        Ok(if is_gone {
            Compared::Honoured
        } else {
            Compared::Feigned
        })
    }

    async fn stored_text(&self) -> Result<Option<(String, Option<String>)>, StoreError> {
        Ok(self.get().await?.and_then(|Stored { record, revision }| {
            let Revision::EntityTag(tag) = revision else {
                return None;
            };
            Some((tag, record.info))
        }))
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

fn document(text: &str) -> Record {
    Record {
        info: Some(format!("tflock doctor: {text}")),
        lease: None,
    }
}

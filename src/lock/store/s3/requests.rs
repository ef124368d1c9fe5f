//! The single requests: get, head, put and delete of the lock object, and what their answers mean.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ObjectCannedAcl, ServerSideEncryption};

use super::S3Store;
use super::lease::{LEASE, metadata};
use super::settings::{CustomerKey, Encryption};
use crate::lock::record::{Lease, Record};
use crate::lock::store::aws;
use crate::lock::store::{Revision, SET_UP, Store as _, StoreError, StoreErrorKind, Stored};

pub(super) enum Condition<T> {
    Held(T),
    Failed,
    /// Another write was in progress.
    Conflict,
    /// The server does not support the condition, or rejects it.
    Unsupported(StoreError),
}

/// An object as returned by GET.
pub(super) struct Fetched {
    pub(super) tag: String,
    pub(super) lease: Option<Lease>,
    pub(super) body: Vec<u8>,
    /// When it was written, in seconds since 1970.
    pub(super) written: Option<i64>,
}

/// The result of reading an object's headers.
pub(super) enum Head {
    Found(Box<HeadObjectOutput>),
    Missing,
    Rejected(StoreError),
}

impl S3Store {
    pub(super) async fn get(&self) -> Result<Option<Stored>, StoreError> {
        self.get_object(&self.object).await
    }

    /// The lock object of that name in the same bucket.
    pub(super) async fn get_object(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let object = self.fetch(name).await?;
        Ok(object.map(|object| Stored {
            record: Record {
                info: Some(String::from_utf8_lossy(&object.body).into_owned()),
                lease: object.lease,
            },
            revision: Revision::EntityTag(object.tag),
        }))
    }

    /// The whole object of that name in the same bucket.
    pub(super) async fn fetch(&self, name: &str) -> Result<Option<Fetched>, StoreError> {
        let customer = self.customer_key()?;
        let client = self.connection.client().await;
        let mut request = client.get_object().bucket(&self.bucket).key(name);
        if let Some(customer) = &customer {
            request = request
                .sse_customer_algorithm(CustomerKey::ALGORITHM)
                .sse_customer_key(&customer.key)
                .sse_customer_key_md5(&customer.md5);
        }
        let object = match request.send().await {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(self.explain("GetObject", &error)),
        };
        let tag = self.entity_tag("GetObject", object.e_tag)?;
        let lease = object
            .metadata
            .and_then(|metadata| serde_json::from_str::<Lease>(metadata.get(LEASE)?).ok());
        let body = object.body.collect().await.map_err(|error| StoreError {
            action: "GetObject",
            place: self.place(),
            kind: StoreErrorKind::Unreachable,
            message: error.to_string(),
            remedy: None,
        })?;
        Ok(Some(Fetched {
            tag,
            lease,
            body: body.into_bytes().to_vec(),
            written: object.last_modified.map(|time| time.secs()),
        }))
    }

    /// Whether the object has this tag, judging by its headers.
    pub(super) async fn has_tag(&self, tag: &str) -> Result<bool, StoreError> {
        match self.head().await? {
            Head::Found(object) => Ok(object.e_tag.as_deref() == Some(tag)),
            // A HEAD has no body that says what is wrong; a GET has.
            Head::Missing | Head::Rejected(_) => Ok(false),
        }
    }

    /// The object's headers.
    pub(super) async fn head(&self) -> Result<Head, StoreError> {
        let customer = self.customer_key()?;
        let client = self.connection.client().await;
        let mut request = client.head_object().bucket(&self.bucket).key(&self.object);
        if !self.settings.skip_checksum {
            request = request.checksum_mode(ChecksumMode::Enabled);
        }
        if let Some(customer) = &customer {
            request = request
                .sse_customer_algorithm(CustomerKey::ALGORITHM)
                .sse_customer_key(&customer.key)
                .sse_customer_key_md5(&customer.md5);
        }
        match request.send().await {
            Ok(object) => Ok(Head::Found(Box::new(object))),
            Err(error) => match error.raw_response().map(|answer| answer.status().as_u16()) {
                Some(404) => Ok(Head::Missing),
                Some(400..=499) => Ok(Head::Rejected(self.explain("HeadObject", &error))),
                _ => Err(self.explain("HeadObject", &error)),
            },
        }
    }

    /// Replaces the object with this tag by `record`. Without a tag, creates it.
    pub(super) async fn put(
        &self,
        tag: Option<&str>,
        record: &Record,
    ) -> Result<Condition<Stored>, StoreError> {
        let customer = self.customer_key()?;
        let body = record.info.clone().unwrap_or_default().into_bytes();
        let client = self.connection.client().await;
        let mut request = client
            .put_object()
            .bucket(&self.bucket)
            .key(&self.object)
            .content_type("application/json")
            .set_tagging(self.settings.tags.clone())
            .set_acl(self.settings.acl.as_deref().map(ObjectCannedAcl::from));
        request = match tag {
            Some(tag) => request.if_match(tag),
            None => request.if_none_match("*"),
        };
        if !self.settings.skip_checksum {
            request = request.checksum_algorithm(ChecksumAlgorithm::Sha256);
        }
        if let Some(lease) = &record.lease {
            request = request.metadata(LEASE, metadata(lease));
        }
        if let Some(customer) = &customer {
            request = request
                .sse_customer_algorithm(CustomerKey::ALGORITHM)
                .sse_customer_key(&customer.key)
                .sse_customer_key_md5(&customer.md5);
        }
        request = match &self.settings.encryption {
            Encryption::NotAsked | Encryption::CustomerKey(_) => request,
            Encryption::S3Key => request.server_side_encryption(ServerSideEncryption::Aes256),
            Encryption::KmsKey(id) => request
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(id),
        };
        match request.body(ByteStream::from(body)).send().await {
            Ok(answer) => Ok(Condition::Held(Stored {
                record: record.clone(),
                revision: Revision::EntityTag(self.entity_tag("PutObject", answer.e_tag)?),
            })),
            Err(error) => self.unmet("PutObject", &error),
        }
    }

    /// The tag of an answer. Without one nothing can be compared, and an empty one might mean no condition at all.
    pub(super) fn entity_tag(
        &self,
        action: &'static str,
        tag: Option<String>,
    ) -> Result<String, StoreError> {
        let names_something = |tag: &String| !tag.trim_matches('"').is_empty();
        tag.filter(names_something).ok_or_else(|| StoreError {
            action,
            place: self.place(),
            kind: StoreErrorKind::Unsuitable,
            message: "the answer has no ETag, without which a lock object cannot be compared"
                .to_owned(),
            remedy: Some(
                "this server cannot keep a lock: remove the lock object if it is there now, and use a DynamoDB table, \
                 or `--store local`"
                    .to_owned(),
            ),
        })
    }

    /// Deletes the object if it has this tag. Without a tag, deletes it in any case.
    pub(super) async fn delete(&self, tag: Option<&str>) -> Result<Condition<()>, StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .delete_object()
            .bucket(&self.bucket)
            .key(&self.object)
            .set_if_match(tag.map(str::to_owned))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Condition::Held(())),
            Err(error) if tag.is_some() => self.unmet("DeleteObject", &error),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(Condition::Held(())),
            Err(error) => Err(self.explain("DeleteObject", &error)),
        }
    }

    /// What a failed conditional request says about its condition.
    fn unmet<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &'static str,
        error: &SdkError<E>,
    ) -> Result<Condition<T>, StoreError> {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        match (error.code(), status) {
            (Some("PreconditionFailed" | "NoSuchKey"), _) | (_, Some(412)) => Ok(Condition::Failed),
            // A race that we lost.
            (Some("ConditionalRequestConflict"), _) | (_, Some(409)) => Ok(Condition::Conflict),
            _ => {
                let explained = self.explain(action, error);
                let refused = status == Some(501) || explained.kind == StoreErrorKind::Rejected;
                if refused {
                    Ok(Condition::Unsupported(explained))
                } else {
                    Err(explained)
                }
            }
        }
    }

    fn customer_key(&self) -> Result<Option<CustomerKey>, StoreError> {
        let Encryption::CustomerKey(key) = &self.settings.encryption else {
            return Ok(None);
        };
        let unusable = || StoreError {
            action: SET_UP,
            place: self.place(),
            kind: StoreErrorKind::Unsuitable,
            message: "`sse_customer_key` is not the base64 of a key".to_owned(),
            remedy: None,
        };
        CustomerKey::new(key).map(Some).ok_or_else(unusable)
    }

    pub(super) fn explain<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &'static str,
        error: &SdkError<E>,
    ) -> StoreError {
        let (kind, message) = aws::classify(error);
        let kind = self.wire.refine(kind);
        self.connection.failed(kind);
        let (kind, remedy) = if error.code() == Some("NotImplemented") {
            let remedy = "this server has no conditional requests, so it cannot keep a lock: \
                          use a DynamoDB table, or `--store local`";
            (StoreErrorKind::Unsuitable, Some(remedy.to_owned()))
        } else {
            (kind, None)
        };
        StoreError {
            action,
            place: self.place(),
            kind,
            message,
            remedy,
        }
    }
}

//! The S3 store: terraform's own lock object, `<state path>.tflock`, with tflock's lease in its user metadata.
//!
//! A swap is a conditional request on the object's entity tag. An S3 refusal does not bring the holder back,
//! so one more request reads it. Objects are never renewed: versioned buckets would keep each renewal.

use std::fmt;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectCannedAcl, ServerSideEncryption};
use md5::{Digest as _, Md5};

use super::aws::{self, AwsAccess, Connection, Service};
use super::{
    Answer, Heartbeats, Identity, Revision, SET_UP, Store, StoreError, StoreErrorKind, Stored, Swap,
};
use crate::lock::record::{Lease, Record};

/// The user metadata that carries the lease, as JSON.
const LEASE: &str = "tflock-lease";

/// How the state's objects are written, and so its lock.
#[derive(Clone, Debug, Default)]
pub struct ObjectSettings {
    /// With what they are encrypted.
    pub encryption: Encryption,
    /// Canned ACL.
    pub acl: Option<String>,
    /// Send no checksums and ask for none: there are servers that do not know them.
    pub skip_checksum: bool,
    /// The tags of the lock object, as `x-amz-tagging` has them.
    pub tags: Option<String>,
}

/// How the service is asked to encrypt.
#[derive(Clone, Default)]
pub enum Encryption {
    /// Not at all: the bucket's own setting holds.
    #[default]
    NotAsked,
    /// With a key of S3's.
    S3Key,
    /// With the KMS key of this ID.
    KmsKey(String),
    /// With a key that the customer keeps (SSE-C), in base64.
    CustomerKey(String),
}

/// Without any key.
impl fmt::Debug for Encryption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAsked => "NotAsked",
            Self::S3Key => "S3Key",
            Self::KmsKey(_) => "KmsKey",
            Self::CustomerKey(_) => "CustomerKey",
        })
    }
}

/// One object of a bucket.
#[derive(Debug)]
pub struct S3Store {
    connection: Connection<Client>,
    bucket: String,
    object: String,
    key: String,
    settings: ObjectSettings,
    identity: Identity,
}

/// What came of a conditional request.
enum Condition<T> {
    Held(T),
    Failed,
}

impl S3Store {
    /// The lock object named `object` (with its `.tflock`) in `bucket`.
    #[must_use]
    pub fn new(access: &AwsAccess, bucket: &str, object: &str, settings: ObjectSettings) -> Self {
        let client = if settings.skip_checksum {
            without_checksums
        } else {
            AwsAccess::s3
        };
        Self {
            connection: Connection::new(access, client),
            bucket: bucket.to_owned(),
            object: object.to_owned(),
            key: format!("{bucket}/{object}"),
            settings,
            identity: Identity::of(&[
                "s3",
                &access.endpoint_of(Service::S3),
                access.region().as_ref(),
                bucket,
                object,
            ]),
        }
    }

    async fn get(&self) -> Result<Option<Stored>, StoreError> {
        let customer = self.customer_key()?;
        let client = self.connection.client().await;
        let mut request = client.get_object().bucket(&self.bucket).key(&self.object);
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
        Ok(Some(Stored {
            record: Record {
                info: Some(String::from_utf8_lossy(&body.into_bytes()).into_owned()),
                lease,
            },
            revision: Revision::EntityTag(tag),
        }))
    }

    async fn put(
        &self,
        expected: Option<&Stored>,
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
        request = match expected.map(|stored| &stored.revision) {
            Some(Revision::EntityTag(tag)) => request.if_match(tag),
            _ => request.if_none_match("*"),
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
            Err(error) if condition_failed(&error) => Ok(Condition::Failed),
            Err(error) => Err(self.explain("PutObject", &error)),
        }
    }

    /// Without it nothing can be compared, and an empty one might be taken for no condition at all.
    fn entity_tag(&self, action: &'static str, tag: Option<String>) -> Result<String, StoreError> {
        tag.filter(|tag| !tag.is_empty()).ok_or_else(|| StoreError {
            action,
            place: self.place(),
            kind: StoreErrorKind::Unsuitable,
            message: "the answer has no ETag, and without it a lock object cannot be compared"
                .to_owned(),
            remedy: Some(
                "this server cannot keep a lock: remove the lock object if it is there now, and use a DynamoDB table, \
                 or `--store local`"
                    .to_owned(),
            ),
        })
    }

    async fn delete(&self, tag: &str) -> Result<Condition<()>, StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .delete_object()
            .bucket(&self.bucket)
            .key(&self.object)
            .if_match(tag)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Condition::Held(())),
            Err(error) if condition_failed(&error) => Ok(Condition::Failed),
            Err(error) => Err(self.explain("DeleteObject", &error)),
        }
    }

    async fn compare_and_swap(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> Result<Swap, StoreError> {
        match (expected.map(|stored| &stored.revision), new) {
            (_, Some(record)) => {
                if let Condition::Held(stored) = self.put(expected, record).await? {
                    return Ok(Swap::Done(Some(stored)));
                }
            }
            (Some(Revision::EntityTag(tag)), None) => {
                if let Condition::Held(()) = self.delete(tag).await? {
                    return Ok(Swap::Done(None));
                }
            }
            (_, None) => {
                return Ok(match self.get().await? {
                    None => Swap::Done(None),
                    current => Swap::Refused(current),
                });
            }
        }
        match self.get().await {
            Ok(current) => Ok(Swap::Refused(current)),
            // The swap itself was refused, whatever became of the look.
            Err(error) if error.kind.is_transient() => Err(StoreError {
                kind: StoreErrorKind::NotCarriedOut,
                ..error
            }),
            Err(error) => Err(error),
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

    fn explain<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &'static str,
        error: &SdkError<E>,
    ) -> StoreError {
        let (kind, message) = aws::classify(error);
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

/// The SDK adds a checksum of its own where none is asked for, unless it is told not to.
fn without_checksums(access: &AwsAccess) -> Client {
    let config = access
        .s3()
        .config()
        .to_builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Client::from_conf(config.build())
}

/// A key of SSE-C as its three headers want it.
struct CustomerKey {
    key: String,
    md5: String,
}

impl CustomerKey {
    const ALGORITHM: &'static str = "AES256";

    fn new(base64: &str) -> Option<Self> {
        let key = aws_smithy_types::base64::decode(base64).ok()?;
        Some(Self {
            key: base64.to_owned(),
            md5: aws_smithy_types::base64::encode(Md5::digest(key)),
        })
    }
}

/// A lease as a header can carry it: ASCII, and without the reason, which the body has.
fn metadata(lease: &Lease) -> String {
    use std::fmt::Write as _;
    let lease = Lease {
        reason: None,
        ..lease.clone()
    };
    let json = serde_json::to_string(&lease).unwrap_or_default();
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

/// Whether the object was not what the request expected, or not there at all. 409 says that another write was
/// under way: the race is lost just the same.
fn condition_failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(
        error.code(),
        Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey")
    ) || error
        .raw_response()
        .is_some_and(|answer| matches!(answer.status().as_u16(), 409 | 412))
}

impl Store for S3Store {
    fn read(&self) -> Answer<'_, Option<Stored>> {
        Box::pin(self.get())
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> Answer<'a, Swap> {
        Box::pin(self.compare_and_swap(expected, new))
    }

    fn heartbeats(&self) -> Heartbeats {
        Heartbeats::None
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn place(&self) -> String {
        format!("S3 object `{}`", self.key)
    }

    fn kind(&self) -> &'static str {
        "s3"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_ascii_and_reads_back() {
        let lease = Lease {
            tflock_version: "0.1.0".into(),
            command: "exec müller🦀".into(),
            reason: Some("in the body".into()),
            run_url: None,
            heartbeat: None,
            heartbeat_at: None,
            expire_after: None,
            holder: None,
        };
        let header = metadata(&lease);
        assert!(header.is_ascii());
        let read: Lease = serde_json::from_str(&header).unwrap();
        assert_eq!(read.command, lease.command);
        assert_eq!(read.reason, None);
    }

    #[test]
    fn a_customer_key_has_the_digest_of_its_bytes_beside_it() {
        let key = CustomerKey::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert_eq!(key.md5, "cLyPS3KoaSFGi/joRB3OUQ==");
        assert!(CustomerKey::new("not base64!").is_none());
    }
}

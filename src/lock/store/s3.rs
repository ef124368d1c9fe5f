//! The S3 store: terraform's own lock object, `<state path>.tflock`, with tflock's lease in its user metadata.
//!
//! A swap is a conditional request on the object's entity tag. An S3 refusal does not bring the holder back,
//! so one more request reads it. Objects are never renewed: versioned buckets would keep each renewal.
//!
//! Servers that are not Amazon's may ignore `If-Match`, not know it (501), or say 412 to a right tag. There the object
//! is compared by us before it is changed, and where the server's comparison is not to be had, ours alone decides, as
//! terraform's does. `If-None-Match` on a write must be honoured: without it there is no lock.

mod state_object;

use std::cell::Cell;
use std::fmt;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectCannedAcl, ServerSideEncryption};
use md5::{Digest as _, Md5};

pub use self::state_object::StateObject;
use super::aws::{self, AwsAccess, Connection, Server, Wire};
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
    wire: Wire,
    bucket: String,
    object: String,
    key: String,
    settings: ObjectSettings,
    identity: Identity,
    deletions: Cell<Comparison>,
    replacements: Cell<Comparison>,
}

/// Who compares what is there with what is expected. Asked of a server once, and then remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// The server, as far as is known.
    ByServer,
    /// Only we: the server has refused to.
    OnlyByUs,
}

/// What came of a conditional request.
enum Condition<T> {
    Held(T),
    Failed,
    /// Another write was under way.
    Conflict,
    /// The server does not know such a condition, or refuses it.
    Refused(StoreError),
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
        let access = access.watched();
        Self {
            connection: Connection::new(&access, client),
            wire: access.wire().clone(),
            bucket: bucket.to_owned(),
            object: object.to_owned(),
            key: format!("{bucket}/{object}"),
            settings,
            identity: Identity::of(&[
                "s3",
                &access.s3_address(),
                access.region().as_ref(),
                bucket,
                object,
            ]),
            deletions: Cell::new(Comparison::ByServer),
            replacements: Cell::new(Comparison::ByServer),
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

    /// Writes `record` in the place of the object with this tag; without one, where there is none.
    async fn put(
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

    /// Without it nothing can be compared, and an empty one might be taken for no condition at all.
    fn entity_tag(&self, action: &'static str, tag: Option<String>) -> Result<String, StoreError> {
        let names_something = |tag: &String| !tag.trim_matches('"').is_empty();
        tag.filter(names_something).ok_or_else(|| StoreError {
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

    /// Deletes the object if it has this tag; without one, whatever is there.
    async fn delete(&self, tag: Option<&str>) -> Result<Condition<()>, StoreError> {
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

    /// What a conditional request that did not succeed tells of its condition.
    fn unmet<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &'static str,
        error: &SdkError<E>,
    ) -> Result<Condition<T>, StoreError> {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        match (error.code(), status) {
            (Some("PreconditionFailed" | "NoSuchKey"), _) | (_, Some(412)) => Ok(Condition::Failed),
            // The race is lost just the same.
            (Some("ConditionalRequestConflict"), _) | (_, Some(409)) => Ok(Condition::Conflict),
            _ => {
                let explained = self.explain(action, error);
                let refused = status == Some(501) || explained.kind == StoreErrorKind::Rejected;
                if refused {
                    Ok(Condition::Refused(explained))
                } else {
                    Err(explained)
                }
            }
        }
    }

    async fn compare_and_swap(
        &self,
        expected: Option<&Stored>,
        new: Option<&Record>,
    ) -> Result<Swap, StoreError> {
        self.wire.begin();
        match (expected, new) {
            (Some(expected), new) => self.change(expected, new).await,
            (None, Some(record)) => self.create(record).await,
            (None, None) => Ok(match self.get().await? {
                None => Swap::Done(None),
                current => Swap::Refused(current),
            }),
        }
    }

    async fn create(&self, record: &Record) -> Result<Swap, StoreError> {
        match self.put(None, record).await? {
            Condition::Held(stored) => Ok(Swap::Done(Some(stored))),
            Condition::Failed | Condition::Conflict => Ok(Swap::Refused(self.look().await?)),
            Condition::Refused(error) => Err(error),
        }
    }

    /// Replaces or deletes exactly `expected`.
    async fn change(&self, expected: &Stored, new: Option<&Record>) -> Result<Swap, StoreError> {
        let comparison = match new {
            Some(_) => &self.replacements,
            None => &self.deletions,
        };
        if comparison.get() == Comparison::ByServer {
            let current = match self.wire.server() {
                Server::Amazon => expected.clone(),
                Server::Other => match self.look().await? {
                    Some(current) if is_same(expected, &current) => current,
                    other => return Ok(Swap::Refused(other)),
                },
            };
            let Revision::EntityTag(tag) = &current.revision else {
                return Ok(Swap::Refused(Some(current)));
            };
            let condition = match new {
                Some(record) => self.put(Some(tag), record).await?.map(Some),
                None => self.delete(Some(tag)).await?.map(|()| None),
            };
            match condition {
                Condition::Held(stored) => return Ok(Swap::Done(stored)),
                Condition::Conflict => return Ok(Swap::Refused(self.look().await?)),
                // Not the condition but the object is wrong: nothing is deleted to make place for it.
                Condition::Refused(error)
                    if new.is_some() && error.kind == StoreErrorKind::Rejected =>
                {
                    return Err(error);
                }
                // Amazon's own compares: whatever it refused has changed since.
                Condition::Failed if self.wire.server() == Server::Amazon => {
                    return Ok(Swap::Refused(self.look().await?));
                }
                Condition::Failed | Condition::Refused(_) => {}
            }
        }
        match self.look().await? {
            Some(current) if is_same(expected, &current) => {}
            other => return Ok(Swap::Refused(other)),
        }
        // What is expected is there: a server that says no cannot compare.
        comparison.set(Comparison::OnlyByUs);
        self.delete(None).await?;
        match new {
            None => Ok(Swap::Done(None)),
            // Never over another's: whoever came first has it.
            Some(record) => self.create(record).await,
        }
    }

    /// What is there, while a swap goes on: nothing is changed by this, whatever becomes of it.
    async fn look(&self) -> Result<Option<Stored>, StoreError> {
        self.get().await.map_err(|error| {
            if error.kind.is_transient() {
                StoreError {
                    kind: StoreErrorKind::NotCarriedOut,
                    ..error
                }
            } else {
                error
            }
        })
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

/// What an object keeps of a lease: all but the reason, which the body has.
fn kept(lease: &Lease) -> Lease {
    Lease {
        reason: None,
        ..lease.clone()
    }
}

/// A lease as a header can carry it: in ASCII.
fn metadata(lease: &Lease) -> String {
    use std::fmt::Write as _;
    let json = serde_json::to_string(&kept(lease)).unwrap_or_default();
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

impl<T> Condition<T> {
    fn map<U>(self, of: impl FnOnce(T) -> U) -> Condition<U> {
        match self {
            Self::Held(value) => Condition::Held(of(value)),
            Self::Failed => Condition::Failed,
            Self::Conflict => Condition::Conflict,
            Self::Refused(error) => Condition::Refused(error),
        }
    }
}

/// Whether `current` is the lock that was expected, and not renewed since. A lock has an ID that no other has, so its
/// contents tell; of an object without one the server must say that it is the same too.
fn is_same(expected: &Stored, current: &Stored) -> bool {
    let lease = |stored: &Stored| stored.record.lease.as_ref().map(kept);
    expected.record.info == current.record.info
        && lease(expected) == lease(current)
        && (expected.revision == current.revision || current.record.lock_id().is_some())
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

    fn may_have_arrived(&self) -> bool {
        self.wire.may_have_arrived()
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

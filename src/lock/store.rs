//! The seam below the protocol: a place that keeps one lock's record and changes it by compare-and-swap only.
//!
//! A store never retries and never decides: it carries out one request and says what came of it, or how it
//! failed and whether it may have been carried out all the same.

pub mod aws;
pub mod beside;
pub mod dynamodb;
pub mod local;
pub mod memory;
pub mod off_thread;
pub mod s3;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::host::hex;
use super::record::Record;

/// What tells one lock's place from every other: service, endpoint, region, table or bucket, and name, byte for byte. To be
/// compared, never shown: a digest, because an endpoint may bear a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// Of all that the place is told by, always in the same order.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        Self(hex(&digest.finalize()))
    }
}

/// What a store knows of a record beyond its contents, so that a swap can compare it.
#[derive(Clone, Debug, PartialEq)]
pub enum Revision {
    /// The whole item as it was read.
    Item(std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>),
    /// An S3 object's entity tag.
    EntityTag(String),
    /// A file's bytes.
    Bytes(Vec<u8>),
    /// None to compare: the kernel keeps the lock for a living process.
    KernelLock {
        /// The process, where it can be seen from here.
        process: Option<u32>,
    },
}

/// A record as it stood in the store at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What it says.
    pub record: Record,
    /// What a swap compares.
    pub revision: Revision,
}

/// What came of a compare-and-swap.
#[derive(Clone, Debug, PartialEq)]
pub enum Swap {
    /// Done: this is what stands there now (`None`: nothing).
    Done(Option<Stored>),
    /// Something else stood there, which was left alone (`None`: nothing).
    Refused(Option<Stored>),
}

/// The future of a request.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + 'a>>;

/// Whether holders renew their record in this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeats {
    /// A renewal rewrites the record.
    Written,
    /// None: every write would be kept for ever (versioned buckets).
    None,
}

/// One lock's place in a store.
pub trait Store {
    /// What stands there now.
    fn read(&self) -> Answer<'_, Option<Stored>>;

    /// Puts `new` in the place of `expected` if that is still what stands there (`None`: nothing).
    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> Answer<'a, Swap>;

    /// Whether a write that was dropped without an answer may have been carried out; false where it had found no
    /// connection yet, or where only a look was under way.
    fn may_have_arrived(&self) -> bool {
        true
    }

    /// Whether its records are renewed.
    fn heartbeats(&self) -> Heartbeats;

    /// The lock's name in the store: what `--lock-id` names.
    fn key(&self) -> &str;

    /// What tells it from every other lock.
    fn identity(&self) -> Identity;

    /// Where it is, for people: ``DynamoDB table `locks` ``.
    fn place(&self) -> String;

    /// What `--store` calls it.
    fn kind(&self) -> &'static str;
}

/// How a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.in_words())]
pub struct StoreError {
    /// The store's word for the request: `PutItem`.
    pub action: &'static str,
    /// Where: ``DynamoDB table `locks` ``.
    pub place: String,
    /// What kind of failure it was.
    pub kind: StoreErrorKind,
    /// The cause in one line.
    pub message: String,
    /// What to do next, where the store knows better than the kind tells.
    pub remedy: Option<String>,
}

/// The action of a failure that came before any request.
pub const SET_UP: &str = "the set-up of the client";

impl StoreError {
    fn in_words(&self) -> String {
        let Self {
            action,
            place,
            message,
            ..
        } = self;
        if *action == SET_UP {
            message.clone()
        } else {
            format!("{action} on {place} failed: {message}")
        }
    }
}

/// Kinds of failure, as far as anybody acts on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No answer came: the connection broke, or time was up.
    Unreachable,
    /// What the request needs first did not answer: the network, whoever gives out credentials, or the look at
    /// what was in its way. Nothing was changed.
    NotCarriedOut,
    /// The server's certificate is not trusted: the request was not sent.
    Untrusted,
    /// The server failed (5xx).
    ServerFailure,
    /// Too many requests; it was not carried out.
    Throttled,
    /// Our clock is off; the next request is signed by the server's.
    ClockCorrected,
    /// Our clock is off, and signing by the server's has not helped.
    ClockOff,
    /// No credentials were found.
    CredentialsMissing,
    /// The credentials are not valid, or not any more.
    CredentialsRejected,
    /// The credentials do not allow the action.
    AccessDenied,
    /// There is no such table or bucket.
    NotFound,
    /// The table has another key, the setting cannot be used, the store cannot lock.
    Unsuitable,
    /// The AWS region is not known.
    RegionMissing,
    /// Refused for another reason.
    Rejected,
}

impl StoreErrorKind {
    /// Whether the request may have been carried out although it failed.
    #[must_use]
    pub fn may_have_been_applied(self) -> bool {
        matches!(self, Self::Unreachable | Self::ServerFailure)
    }

    /// Whether other credentials are wanted, which a person who logs in again may provide.
    #[must_use]
    pub fn is_about_credentials(self) -> bool {
        matches!(self, Self::CredentialsMissing | Self::CredentialsRejected)
    }

    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.may_have_been_applied()
            || matches!(
                self,
                Self::NotCarriedOut | Self::Throttled | Self::ClockCorrected
            )
    }
}

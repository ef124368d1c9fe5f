//! The seam below the protocol: a store keeps one lock's record and changes it only by compare-and-swap.
//!
//! A store never retries and never decides. It carries out one request and returns the result, or how it failed and
//! whether it may have been carried out anyway.

pub mod aws;
pub mod beside;
pub mod companion;
pub mod dynamodb;
pub mod local;
pub mod memory;
pub mod off_thread;
pub mod s3;
pub mod state;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::companion::{Companion, Purpose};
use super::host::hex;
use super::liveness::{HEARTBEAT_INTERVAL, OBJECT_INTERVAL};
use super::record::Record;

/// Identifies a lock among all others: service, endpoint, region, table or bucket, and name, byte for byte. A digest,
/// because an endpoint may contain a password; for comparison only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// The digest of the identifying parts, always given in the same order.
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

/// What a store keeps beside a record so that a swap can compare it.
#[derive(Clone, Debug, PartialEq)]
pub enum Revision {
    /// The whole item as it was read.
    Item(std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>),
    /// An S3 object's entity tag.
    EntityTag(String),
    /// A file's bytes.
    Bytes(Vec<u8>),
    /// Nothing to compare: the kernel holds the lock for a living process.
    KernelLock {
        /// The process, if it is visible from here.
        process: Option<u32>,
    },
}

/// A record as read from the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// What a swap compares.
    pub revision: Revision,
}

/// The result of a compare-and-swap.
#[derive(Clone, Debug, PartialEq)]
pub enum Swap {
    /// Done: this is the current record (`None`: there is none).
    Done(Option<Stored>),
    /// Another record was there and was left alone (`None`: there was none).
    Refused(Option<Stored>),
}

/// A request under way.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + 'a>>;

/// Whether holders renew their record in this store, and whether a swap compares the heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeats {
    /// Every ten seconds, in the record: a swap fails if the record was renewed meanwhile.
    Compared,
    /// Every minute, outside of what a swap compares: it succeeds even if the record was renewed meanwhile.
    NotCompared,
    /// Not at all: holders only check that the record is still theirs.
    None,
}

impl Heartbeats {
    /// How often a holder without a promise renews its record; `None` if it does not.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        match self {
            Self::Compared => Some(HEARTBEAT_INTERVAL),
            // Versioned buckets keep every renewal.
            Self::NotCompared => Some(OBJECT_INTERVAL),
            Self::None => None,
        }
    }
}

/// Where the holder's record comes from after a refused swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// From the refusal itself.
    ReturnsHolder,
    /// From another request: a waiting run should read instead of trying to write.
    NeedsRead,
}

/// One lock in a store.
pub trait Store {
    /// Reads the current record.
    fn read(&self) -> StoreFuture<'_, Option<Stored>>;

    /// The current record, given the one `seen` last. A store that can tell without a full read that nothing has changed
    /// returns `seen`.
    fn look<'a>(&'a self, seen: &'a Stored) -> StoreFuture<'a, Option<Stored>> {
        let _ = seen;
        self.read()
    }

    /// Replaces `expected` by `new` if it is still the current record (`None`: no record).
    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap>;

    /// Whether a write that was abandoned unanswered may have been carried out; false if it had no connection yet, or has
    /// only read so far.
    fn may_have_arrived(&self) -> bool {
        true
    }

    /// Whether and how holders renew their records here.
    fn heartbeats(&self) -> Heartbeats;

    /// The lock's name in the store, as in `--lock-id`.
    fn key(&self) -> &str;

    /// Identifies it among all locks.
    fn identity(&self) -> Identity;

    /// Where it is, for people: ``DynamoDB table `locks` ``.
    fn place(&self) -> String;

    /// Its value of `--store`.
    fn kind(&self) -> &'static str;

    /// Where the holder's record comes from after a refused swap.
    fn refusal(&self) -> Refusal {
        Refusal::ReturnsHolder
    }

    /// The lock's companion for that purpose; `None` if the store has no companions.
    fn companion(&self, _: Purpose) -> Option<Companion> {
        None
    }

    /// One page of everything in this lock's table, bucket or directory. `after` is the previous page's [`Page::next`]. Not
    /// part of the protocol: parts of it may be minutes old, and it changes nothing.
    fn list<'a>(&'a self, after: Option<&'a str>) -> StoreFuture<'a, Page> {
        let _ = after;
        Box::pin(async {
            let stored = self.read().await?;
            Ok(Page {
                records: stored
                    .map(|stored| (self.key().to_owned(), stored.record))
                    .into_iter()
                    .collect(),
                next: None,
            })
        })
    }

    /// Its table, bucket or directory, for people: ``DynamoDB table `locks` ``.
    fn container(&self) -> String {
        self.place()
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records, each with its key. They need not be locks.
    pub records: Vec<(String, Record)>,
    /// The start of the next page; `None` after the last.
    pub next: Option<String>,
}

/// How a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct StoreError {
    /// The store's name for the request: `PutItem`.
    pub action: &'static str,
    /// Where: ``DynamoDB table `locks` ``.
    pub place: String,
    /// What kind of failure it was.
    pub kind: StoreErrorKind,
    /// The cause in one line.
    pub message: String,
    /// What to do next, if the store knows more than the kind suggests.
    pub remedy: Option<String>,
}

/// The action of an error before any request.
pub const SET_UP: &str = "the set-up of the client";

impl StoreError {
    /// The error of a read before a write: whatever happened to it, nothing was changed.
    #[must_use]
    pub fn before_writing(self) -> Self {
        let kind = if self.kind.is_transient() {
            StoreErrorKind::NotCarriedOut
        } else {
            self.kind
        };
        Self { kind, ..self }
    }

    fn text(&self) -> String {
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

/// Kinds of failure that need different reactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No answer: the connection broke, or the request timed out.
    Unreachable,
    /// A prerequisite of the request gave no answer: the network, the source of the credentials, or the look at what
    /// was in its way. Nothing was changed.
    NotCarriedOut,
    /// The server's certificate is not trusted: the request was not sent.
    Untrusted,
    /// The server failed (5xx).
    ServerFailure,
    /// Too many requests; this one was not carried out.
    Throttled,
    /// Our clock is off; the next request will be signed with the server's time.
    ClockCorrected,
    /// Our clock is off, and signing with the server's time did not help.
    ClockOff,
    /// No credentials were found.
    CredentialsMissing,
    /// The credentials are invalid or expired.
    CredentialsRejected,
    /// The credentials do not allow the action.
    AccessDenied,
    /// There is no such table or bucket.
    NotFound,
    /// The table has a different key, a setting is unusable, or the store cannot lock.
    Unsuitable,
    /// No AWS region is set.
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

    /// Whether new credentials would help, as after logging in again.
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

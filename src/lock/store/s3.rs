//! The S3 store: terraform's own lock object, `<state path>.tflock`, with tflock's lease in its user metadata.
//!
//! A swap is a conditional request on the object's entity tag. A refusal by S3 does not return the holder, so another
//! request reads it. A renewal writes the same body again, with the next heartbeat in the metadata; unless KMS encrypts
//! it, the tag stays as it is, so a swap does not compare heartbeats.
//!
//! Servers other than Amazon's may ignore `If-Match`, not support it (501), or answer 412 to a correct tag. There we
//! read and compare the object before deleting it; if the server cannot compare, our comparison alone decides, as
//! terraform's does. Nothing is overwritten there, and so nothing renewed, unless the user has said that the server
//! compares ([`Renewals`]). `If-None-Match` on writes must work: without it there is no lock.

mod change;
mod checkup;
mod conditions;
mod lease;
mod listing;
mod requests;
mod settings;
mod state_content;
mod state_object;

use std::cell::Cell;
use std::rc::Rc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};

use self::change::Comparison;
pub use self::checkup::Version;
pub use self::conditions::{Compared, Conditions};
pub use self::settings::{Encryption, ObjectSettings, Renewals};
pub use self::state_content::StateContent;
pub use self::state_object::StateObject;
use super::aws::{AwsAccess, Connection, Wire};
use super::companion::{Companion, Purpose};
use super::{Heartbeats, Identity, Page, Refusal, Revision, Store, StoreFuture, Stored, Swap};
use crate::lock::record::Record;

/// A lock object in a bucket.
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
        }
    }
}

/// A client that sends and requests no checksums; by default the SDK adds its own.
fn without_checksums(access: &AwsAccess) -> Client {
    let config = access
        .s3()
        .config()
        .to_builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Client::from_conf(config.build())
}

impl Store for S3Store {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(self.get())
    }

    fn look<'a>(&'a self, seen: &'a Stored) -> StoreFuture<'a, Option<Stored>> {
        Box::pin(async move {
            match &seen.revision {
                Revision::EntityTag(tag) if self.has_tag(tag).await? => Ok(Some(seen.clone())),
                _ => self.get().await,
            }
        })
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(self.compare_and_swap(expected, new))
    }

    fn may_have_arrived(&self) -> bool {
        self.wire.may_have_arrived()
    }

    fn heartbeats(&self) -> Heartbeats {
        match self.settings.renewals {
            Renewals::On => Heartbeats::NotCompared,
            Renewals::InItem | Renewals::Off => Heartbeats::None,
        }
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

    fn refusal(&self) -> Refusal {
        Refusal::NeedsRead
    }

    fn companion(&self, purpose: Purpose) -> Option<Companion> {
        let access = self.connection.access().apart();
        let name = purpose.name_beside(&self.object);
        let beside = Self::new(&access, &self.bucket, &name, self.settings.clone());
        Some(Companion::new(Rc::new(beside)))
    }

    fn list<'a>(&'a self, after: Option<&'a str>) -> StoreFuture<'a, Page> {
        Box::pin(self.list_objects(after))
    }

    fn container(&self) -> String {
        format!("S3 bucket `{}`", self.bucket)
    }
}

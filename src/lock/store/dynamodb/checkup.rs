//! The requests of `doctor` to a table. They change nobody's item, except for [`DynamoDbStore::repair_digest`].

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, TableStatus};

use super::DynamoDbStore;
use super::explanation::unsuitable_keys;
use super::item::LOCK_ID;
use crate::lock::store::aws::ClockDifference;
use crate::lock::store::companion::Purpose;
use crate::lock::store::{Revision, Store as _, StoreError, StoreErrorKind};

/// A condition that is never met, whatever is in the table.
const NEVER: &str = "attribute_exists(LockID) AND attribute_not_exists(LockID)";

/// terraform's attribute of a digest item.
const DIGEST: &str = "Digest";

/// A table that can keep locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockTable {
    /// Whether it is billed per request.
    pub is_on_demand: bool,
    /// Whether it is protected from deletion.
    pub is_protected: bool,
}

/// The outcome of repairing a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The item has the new digest.
    Done,
    /// The digest had changed meanwhile and was left alone.
    Changed,
}

impl DynamoDbStore {
    /// `doctor`'s own item next to this lock.
    #[must_use]
    pub fn for_doctor(&self) -> Self {
        let access = self.connection.access();
        Self::new(
            &access,
            &self.table,
            &Purpose::Doctor.name_beside(&self.key),
        )
    }

    /// The name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// How far the service's clock was ahead of ours in its last answer.
    #[must_use]
    pub fn clock(&self) -> Option<ClockDifference> {
        self.wire.clock()
    }

    /// Looks at the table itself.
    ///
    /// # Errors
    /// The request's error, or what makes the table unfit for locks.
    pub async fn describe(&self) -> Result<LockTable, StoreError> {
        let client = self.connection.client().await;
        let answer = client.describe_table().table_name(&self.table).send().await;
        let table = match answer {
            Ok(answer) => answer.table,
            Err(error) => return Err(self.explain("DescribeTable", &error).await),
        };
        let table = table.ok_or_else(|| self.unsuitable("the answer describes no table", None))?;
        if let Some(keys) = unsuitable_keys(&table) {
            return Err(self.wrong_key("DescribeTable", &keys));
        }
        match &table.table_status {
            Some(TableStatus::Active | TableStatus::Updating) | None => {}
            Some(status) => {
                let message = format!("the table is `{}`", status.as_str());
                let wait = "wait until the table is active, then run it again";
                return Err(self.unsuitable(&message, Some(wait)));
            }
        }
        let billing = table
            .billing_mode_summary
            .and_then(|mode| mode.billing_mode);
        Ok(LockTable {
            is_on_demand: billing == Some(BillingMode::PayPerRequest),
            is_protected: table.deletion_protection_enabled.unwrap_or_default(),
        })
    }

    /// Tests whether we may write this item, by a request whose condition is never met.
    ///
    /// # Errors
    /// We may not, or the server ignores the condition.
    pub async fn try_put(&self) -> Result<(), StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .put_item()
            .table_name(&self.table)
            .item(LOCK_ID, AttributeValue::S(self.key.clone()))
            .condition_expression(NEVER)
            .send()
            .await;
        match answer {
            Ok(_) => Err(self.ignores_conditions("PutItem")),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(self.explain("PutItem", &error).await),
            },
        }
    }

    /// Tests whether we may delete this item, in the same way.
    ///
    /// # Errors
    /// As [`Self::try_put`].
    pub async fn try_delete(&self) -> Result<(), StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .delete_item()
            .table_name(&self.table)
            .key(LOCK_ID, AttributeValue::S(self.key.clone()))
            .condition_expression(NEVER)
            .send()
            .await;
        match answer {
            Ok(_) => Err(self.ignores_conditions("DeleteItem")),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(self.explain("DeleteItem", &error).await),
            },
        }
    }

    /// terraform's digest, if this is a digest item.
    ///
    /// # Errors
    /// The request's error.
    pub async fn digest(&self) -> Result<Option<String>, StoreError> {
        let stored = self.read().await?;
        Ok(stored.and_then(|stored| match stored.revision {
            Revision::Item(item) => item.get(DIGEST)?.as_s().ok().cloned(),
            _ => None,
        }))
    }

    /// Replaces the digest `seen` by `digest`.
    ///
    /// # Errors
    /// The request's error.
    pub async fn repair_digest(&self, seen: &str, digest: &str) -> Result<Repair, StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .put_item()
            .table_name(&self.table)
            .item(LOCK_ID, AttributeValue::S(self.key.clone()))
            .item(DIGEST, AttributeValue::S(digest.to_owned()))
            .condition_expression("#digest = :seen")
            .expression_attribute_names("#digest", DIGEST)
            .expression_attribute_values(":seen", AttributeValue::S(seen.to_owned()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Repair::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(Repair::Changed),
                _ => Err(self.explain("PutItem", &error).await),
            },
        }
    }

    fn ignores_conditions(&self, action: &'static str) -> StoreError {
        StoreError {
            action,
            ..self.unsuitable(
                "the server ignores conditions, so it cannot keep a lock",
                Some("use another table, or `--store local`"),
            )
        }
    }

    fn unsuitable(&self, message: &str, remedy: Option<&str>) -> StoreError {
        StoreError {
            action: "DescribeTable",
            place: self.place(),
            kind: StoreErrorKind::Unsuitable,
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
        }
    }
}

//! The DynamoDB store: terraform's own item, `LockID` and `Info`, with tflock's lease in attributes beside it.
//!
//! Uses only `GetItem`, `PutItem` and `DeleteItem`, `Scan` to list, and `DescribeTable` to explain a rejection. Each write is
//! conditional on every attribute last seen, and a refusal returns the holder. The `-md5` item is terraform's and is never
//! touched.

mod checkup;
mod condition;
mod creation;
mod explanation;
mod item;
mod listing;

use std::rc::Rc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

pub use self::checkup::{LockTable, Repair};
use self::condition::Condition;
pub use self::creation::{Creation, TAGS};
use self::item::{Item, LOCK_ID, foreign, item, stored};
use super::aws::{AwsAccess, Connection, Wire};
use super::companion::{Companion, Purpose};
use super::{Heartbeats, Identity, Page, Store, StoreError, StoreFuture, Stored, Swap};
use crate::lock::record::Record;

/// One item of a table.
#[derive(Debug)]
pub struct DynamoDbStore {
    connection: Connection<Client>,
    wire: Wire,
    table: String,
    key: String,
    region: String,
    identity: Identity,
}

impl DynamoDbStore {
    /// The item whose `LockID` is `key`.
    #[must_use]
    pub fn new(access: &AwsAccess, table: &str, key: &str) -> Self {
        let access = access.watched();
        Self {
            connection: Connection::new(&access, AwsAccess::dynamodb),
            wire: access.wire().clone(),
            table: table.to_owned(),
            key: key.to_owned(),
            region: access.region().to_string(),
            identity: Identity::of(&[
                "dynamodb",
                &access.dynamodb_address(),
                access.region().as_ref(),
                table,
                key,
            ]),
        }
    }

    async fn get(&self) -> Result<Option<Stored>, StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .get_item()
            .table_name(&self.table)
            .key(LOCK_ID, AttributeValue::S(self.key.clone()))
            .consistent_read(true)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.item.map(stored)),
            Err(error) => Err(self.explain("GetItem", &error).await),
        }
    }

    async fn put(&self, expected: Option<&Stored>, record: &Record) -> Result<Swap, StoreError> {
        let kept = expected.map(foreign).unwrap_or_default();
        let item: Item = item(&self.key, record).into_iter().chain(kept).collect();
        let condition = Condition::new(expected);
        let client = self.connection.client().await;
        let answer = client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                let overwritten = answer.attributes.map(stored);
                Ok(Swap::Done(Some(
                    self.restore_foreign(item, overwritten).await,
                )))
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Swap::Refused(refusal.item.clone().map(stored)))
                }
                _ => Err(self.explain("PutItem", &error).await),
            },
        }
    }

    /// Puts back the attributes that others had added since the record was read (a TTL, a tag): a put replaces the
    /// whole item, and only its answer shows what was there. If that fails, the lock is ours anyway.
    async fn restore_foreign(&self, item: Item, overwritten: Option<Stored>) -> Stored {
        let lost = overwritten.as_ref().map(foreign).unwrap_or_default();
        let put = stored(item.clone());
        if lost.keys().all(|name| item.contains_key(name)) {
            return put;
        }
        let whole: Item = lost.into_iter().chain(item).collect();
        let condition = Condition::new(Some(&put));
        let client = self.connection.client().await;
        let answer = client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(whole.clone()))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .send()
            .await;
        match answer {
            Ok(_) => stored(whole),
            Err(_) => put,
        }
    }

    async fn delete(&self, expected: &Stored) -> Result<Swap, StoreError> {
        let condition = Condition::new(Some(expected));
        let client = self.connection.client().await;
        let answer = client
            .delete_item()
            .table_name(&self.table)
            .key(LOCK_ID, AttributeValue::S(self.key.clone()))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Swap::Done(None)),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Swap::Refused(refusal.item.clone().map(stored)))
                }
                _ => Err(self.explain("DeleteItem", &error).await),
            },
        }
    }
}

impl Store for DynamoDbStore {
    fn read(&self) -> StoreFuture<'_, Option<Stored>> {
        Box::pin(self.get())
    }

    fn swap<'a>(
        &'a self,
        expected: Option<&'a Stored>,
        new: Option<&'a Record>,
    ) -> StoreFuture<'a, Swap> {
        Box::pin(async move {
            self.wire.begin();
            match (expected, new) {
                (expected, Some(record)) => self.put(expected, record).await,
                (Some(expected), None) => self.delete(expected).await,
                (None, None) => Ok(match self.get().await? {
                    None => Swap::Done(None),
                    current => Swap::Refused(current),
                }),
            }
        })
    }

    fn may_have_arrived(&self) -> bool {
        self.wire.may_have_arrived()
    }

    fn heartbeats(&self) -> Heartbeats {
        Heartbeats::Compared
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn place(&self) -> String {
        format!("DynamoDB table `{}` in {}", self.table, self.region)
    }

    fn kind(&self) -> &'static str {
        "dynamodb"
    }

    fn companion(&self, purpose: Purpose) -> Option<Companion> {
        let access = self.connection.access().apart();
        let name = purpose.name_beside(&self.key);
        Some(Companion::new(Rc::new(Self::new(
            &access,
            &self.table,
            &name,
        ))))
    }

    fn list<'a>(&'a self, after: Option<&'a str>) -> StoreFuture<'a, Page> {
        Box::pin(self.scan(after))
    }
}

#[cfg(test)]
mod tests;

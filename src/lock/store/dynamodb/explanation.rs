//! Why a request to a table failed, and what to do about it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription};

use super::DynamoDbStore;
use super::item::LOCK_ID;
use crate::lock::store::aws;
use crate::lock::store::{Store as _, StoreError, StoreErrorKind};

impl DynamoDbStore {
    /// Classifies a failure; after a rejection, asks `DescribeTable` whether the table's key is to blame.
    pub(super) async fn explain<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &'static str,
        error: &SdkError<E>,
    ) -> StoreError {
        let (kind, message) = aws::classify(error);
        let kind = self.wire.refine(kind);
        self.connection.failed(kind);
        let remedy = self.remedy(action, kind);
        if kind == StoreErrorKind::Rejected
            && error.code() == Some("ValidationException")
            && let Some(table) = self.description().await
            && let Some(keys) = unsuitable_keys(&table)
        {
            return self.wrong_key(action, &keys);
        }
        StoreError {
            action,
            place: self.place(),
            kind,
            message,
            remedy,
        }
    }

    pub(super) fn remedy(&self, action: &str, kind: StoreErrorKind) -> Option<String> {
        match kind {
            StoreErrorKind::NotFound => Some(format!(
                "name the table with `--table`, or create it: {}",
                creation_of(&self.table)
            )),
            StoreErrorKind::AccessDenied => Some(format!(
                "allow `dynamodb:{action}` on table `{}`, or use credentials that have it: \
                 `aws sts get-caller-identity` shows who you are",
                self.table
            )),
            _ => None,
        }
    }

    /// The table's own description, if it is visible.
    pub(super) async fn description(&self) -> Option<TableDescription> {
        let client = self.connection.client().await;
        let answer = client.describe_table().table_name(&self.table).send().await;
        answer.ok()?.table
    }

    pub(super) fn wrong_key(&self, action: &'static str, keys: &str) -> StoreError {
        StoreError {
            action,
            place: self.place(),
            kind: StoreErrorKind::Unsuitable,
            message: format!(
                "its key is {keys}, where a lock table has one partition key `LockID` of type String"
            ),
            remedy: Some(format!(
                "choose another table with `--table`, or create one: {}",
                creation_of("NAME")
            )),
        }
    }
}

/// The table's keys, if they are not a lock table's.
pub(super) fn unsuitable_keys(description: &TableDescription) -> Option<String> {
    let keys = description.key_schema();
    let type_of = |name: &str| {
        description
            .attribute_definitions()
            .iter()
            .find(|attribute| attribute.attribute_name == name)
            .map(|attribute| attribute.attribute_type.clone())
    };
    let suitable = matches!(keys, [key] if key.attribute_name == LOCK_ID
        && type_of(LOCK_ID) == Some(ScalarAttributeType::S));
    if suitable {
        return None;
    }
    let words: Vec<String> = keys
        .iter()
        .map(|key| {
            let role = if key.key_type == KeyType::Hash {
                "partition"
            } else {
                "sort"
            };
            let kind = type_of(&key.attribute_name)
                .map_or_else(String::new, |kind| format!(" {}", kind.as_str()));
            format!("`{}` ({role}{kind})", key.attribute_name)
        })
        .collect();
    Some(words.join(" and "))
}

pub(super) fn creation_of(table: &str) -> String {
    format!("`tflock --table {table} create-table`")
}

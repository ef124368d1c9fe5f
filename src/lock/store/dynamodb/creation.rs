//! `create-table`: a table for locks, as terraform and tflock want it.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    Tag,
};

use super::DynamoDbStore;
use super::item::LOCK_ID;
use crate::lock::host::Host;
use crate::lock::read::patiently;
use crate::lock::store::{Store as _, StoreError, StoreErrorKind};

/// How often to check whether the table is active.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for that; it usually takes seconds.
const PATIENCE: Duration = Duration::from_mins(5);

/// The tags of the table.
pub const TAGS: [(&str, &str); 2] = [("Purpose", "terraform-state-lock"), ("CreatedBy", "tflock")];

/// The outcome of the creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The table exists and is active.
    Created,
    /// A table of that name existed already.
    Exists,
}

impl DynamoDbStore {
    /// Creates the table: billed per request, protected from deletion, tagged. Point-in-time recovery is off by default,
    /// which is right for locks. Waits until the table is active.
    ///
    /// # Errors
    /// The request's error, or a table that is not active in time.
    pub async fn create_table(&self, host: &dyn Host) -> Result<Creation, StoreError> {
        let client = self.connection.client().await;
        let key = KeySchemaElement::builder()
            .attribute_name(LOCK_ID)
            .key_type(KeyType::Hash);
        let attribute = AttributeDefinition::builder()
            .attribute_name(LOCK_ID)
            .attribute_type(ScalarAttributeType::S);
        let mut request = client
            .create_table()
            .table_name(&self.table)
            .set_key_schema(key.build().ok().map(|key| vec![key]))
            .set_attribute_definitions(attribute.build().ok().map(|attribute| vec![attribute]))
            .billing_mode(BillingMode::PayPerRequest)
            .deletion_protection_enabled(true);
        for (name, value) in TAGS {
            if let Ok(tag) = Tag::builder().key(name).value(value).build() {
                request = request.tags(tag);
            }
        }
        if let Err(error) = request.send().await {
            let error_code = aws_sdk_dynamodb::error::ProvideErrorMetadata::code(&error);
            if error_code == Some("ResourceInUseException") {
                return Ok(Creation::Exists);
            }
            return Err(self.explain("CreateTable", &error).await);
        }
        let began = host.now();
        while !patiently(self, host, || self.is_active()).await? {
            if host.now().since(began) >= PATIENCE {
                return Err(StoreError {
                    action: "CreateTable",
                    place: self.place(),
                    kind: StoreErrorKind::ServerFailure,
                    message: format!("the table is not active after {} s", PATIENCE.as_secs()),
                    remedy: Some("check it with `tflock doctor` in a minute".to_owned()),
                });
            }
            host.sleep(LOOK_EVERY).await;
        }
        Ok(Creation::Created)
    }

    async fn is_active(&self) -> Result<bool, StoreError> {
        let client = self.connection.client().await;
        match client.describe_table().table_name(&self.table).send().await {
            Ok(answer) => {
                let status = answer.table.and_then(|table| table.table_status);
                Ok(status == Some(TableStatus::Active))
            }
            Err(error) => match self.explain("DescribeTable", &error).await {
                // The new table is not known everywhere yet.
                error if error.kind == StoreErrorKind::NotFound => Ok(false),
                error => Err(error),
            },
        }
    }
}

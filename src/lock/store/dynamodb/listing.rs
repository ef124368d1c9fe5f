//! Lists all records of a table, by a scan of their own attributes only.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::DynamoDbStore;
use super::item::{Item, LOCK_ID, record};
use crate::lock::record::ATTRIBUTES;
use crate::lock::store::{Page, StoreError};

impl DynamoDbStore {
    /// A page is 1 MB of the table, whatever it contains.
    pub(super) async fn scan(&self, after: Option<&str>) -> Result<Page, StoreError> {
        let names: HashMap<String, String> = [LOCK_ID]
            .into_iter()
            .chain(ATTRIBUTES)
            .enumerate()
            .map(|(index, name)| (format!("#n{index}"), name.to_owned()))
            .collect();
        let projection: Vec<String> = names.keys().cloned().collect();
        let start =
            after.map(|key| Item::from([(LOCK_ID.to_owned(), AttributeValue::S(key.to_owned()))]));
        let client = self.connection.client().await;
        let answer = client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .projection_expression(projection.join(", "))
            .set_expression_attribute_names(Some(names))
            .set_exclusive_start_key(start)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain("Scan", &error).await),
        };
        let key = |item: &Item| item.get(LOCK_ID)?.as_s().ok().cloned();
        let items = answer.items.unwrap_or_default();
        Ok(Page {
            records: items
                .iter()
                .filter_map(|item| Some((key(item)?, record(item))))
                .collect(),
            next: answer.last_evaluated_key.as_ref().and_then(key),
        })
    }
}

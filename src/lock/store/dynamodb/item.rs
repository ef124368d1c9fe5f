//! Converts records to and from items of the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};

use crate::lock::record::{ATTRIBUTES, Lease, Record};
use crate::lock::store::{Revision, Stored};

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const LOCK_ID: &str = "LockID";
/// terraform's JSON.
pub(super) const INFO: &str = "Info";

/// The attributes of a record that are neither terraform's nor tflock's.
pub(super) fn foreign(stored: &Stored) -> Item {
    let Revision::Item(item) = &stored.revision else {
        return Item::new();
    };
    item.iter()
        .filter(|(name, _)| *name != LOCK_ID && !ATTRIBUTES.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(super) fn stored(item: Item) -> Stored {
    Stored {
        record: record(&item),
        revision: Revision::Item(item),
    }
}

pub(super) fn record(item: &Item) -> Record {
    let info = item.get(INFO).and_then(|value| value.as_s().ok()).cloned();
    let attributes: Map<String, Value> = item
        .iter()
        .filter(|(name, _)| ATTRIBUTES[1..].contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), json(value)?)))
        .collect();
    Record {
        info,
        lease: serde_json::from_value::<Lease>(Value::Object(attributes)).ok(),
    }
}

pub(super) fn item(key: &str, record: &Record) -> Item {
    let mut item = Item::from([(LOCK_ID.to_owned(), AttributeValue::S(key.to_owned()))]);
    if let Some(info) = &record.info {
        item.insert(INFO.to_owned(), AttributeValue::S(info.clone()));
    }
    if let Some(Ok(Value::Object(attributes))) = record.lease.as_ref().map(serde_json::to_value) {
        for (name, value) in attributes {
            if let Some(value) = attribute(value) {
                item.insert(name, value);
            }
        }
    }
    item
}

/// A JSON value in DynamoDB's native type; nulls and lists do not occur in a lease.
fn attribute(value: Value) -> Option<AttributeValue> {
    match value {
        Value::String(text) => Some(AttributeValue::S(text)),
        Value::Number(number) => Some(AttributeValue::N(number.to_string())),
        Value::Bool(flag) => Some(AttributeValue::Bool(flag)),
        Value::Object(fields) => Some(AttributeValue::M(
            fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, attribute(value)?)))
                .collect(),
        )),
        Value::Null | Value::Array(_) => None,
    }
}

fn json(value: &AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::S(text) => Some(Value::String(text.clone())),
        AttributeValue::N(number) => number.parse::<Number>().ok().map(Value::Number),
        AttributeValue::Bool(flag) => Some(Value::Bool(*flag)),
        AttributeValue::M(fields) => Some(Value::Object(
            fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), json(value)?)))
                .collect(),
        )),
        _ => None,
    }
}

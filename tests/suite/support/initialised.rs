//! The record that `terraform init` writes for an S3 backend, for hundreds of tests that need nothing else of it: it runs once for
//! each kind of backend block, and its record serves all others of that kind.
//!
//! Blocks are of the same kind if they differ only in the addresses of their engines and the name of their table.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// What varies within a kind: where it is in the block, and where in the record.
const VARYING: [(&str, &str); 3] = [
    ("endpoints = { s3 = \"", "/endpoints/s3"),
    (", dynamodb = \"", "/endpoints/dynamodb"),
    ("dynamodb_table = \"", "/dynamodb_table"),
];

/// The record of a directory with that configuration. `init` runs terraform there, and returns the record that it wrote:
/// `None` if the record cannot be foreseen, and terraform must be run each time.
pub fn record_of(hcl: &str, init: impl FnOnce() -> Value) -> Option<Value> {
    static KNOWN: Mutex<Option<HashMap<String, Value>>> = Mutex::new(None);
    let (kind, values) = kind_of(hcl)?;
    // Held while terraform runs: others of that kind wait for its record.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if !known.contains_key(&kind) {
        let record = init();
        let hash = hash(&record["backend"]["config"])?;
        assert_eq!(record["backend"]["hash"], hash, "terraform's own: {record}");
        known.insert(kind.clone(), record);
    }
    let mut record = known[&kind].clone();
    let config = &mut record["backend"]["config"];
    for ((_, place), value) in VARYING.iter().zip(values) {
        if let Some(value) = value {
            *config.pointer_mut(place)? = value.into();
        }
    }
    let hash = hash(config)?;
    record["backend"]["hash"] = hash.into();
    Some(record)
}

/// The block without what varies, and the values that were there.
fn kind_of(hcl: &str) -> Option<(String, [Option<String>; 3])> {
    let begin = hcl.find("backend \"s3\" {")?;
    let mut kind = hcl[begin..][..hcl[begin..].find("\n  }")?].to_owned();
    kind.find(VARYING[0].0)?;
    let values = VARYING.map(|(before, _)| {
        let from = kind.find(before)? + before.len();
        let value = kind[from..].split('"').next()?.to_owned();
        kind.replace_range(from..from + value.len(), "");
        Some(value)
    });
    Some((kind, values))
}

/// By what terraform tells whether a block was changed since: a CRC-32 of its type and all of its attributes by name, as
/// the sets of its configuration language are hashed (`makeSetHashBytes` of zclconf/go-cty).
fn hash(config: &Value) -> Option<u32> {
    let mut bytes = "<\"s3\";".to_owned();
    write_for_hash(config, &mut bytes)?;
    bytes.push_str(";>");
    let crc = bytes.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    Some(!crc)
}

fn write_for_hash(value: &Value, bytes: &mut String) -> Option<()> {
    match value {
        Value::Null => bytes.push('~'),
        Value::Bool(yes) => bytes.push(if *yes { 'T' } else { 'F' }),
        Value::String(text) => write!(bytes, "{text:?}").ok()?,
        Value::Object(attributes) => {
            bytes.push('<');
            for attribute in attributes.values() {
                write_for_hash(attribute, bytes)?;
                bytes.push(';');
            }
            bytes.push('>');
        }
        // Not told from one another in a record: numbers and their spellings, maps, sets and lists.
        Value::Number(_) | Value::Array(_) => return None,
    }
    Some(())
}

//! The message fields of a plan file that are read, numbered as in terraform's `planfile.proto`, and the msgpack of the
//! configuration.
//!
//! Decodes only where the state is: the rest of a plan may be large, and secret.

use serde_json::{Map, Value};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Plan {
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    #[prost(message, optional, tag = "13")]
    pub(super) backend: Option<Backend>,
    #[prost(string, tag = "14")]
    pub(super) terraform_version: String,
    #[prost(message, optional, tag = "29")]
    pub(super) state_store: Option<StateStore>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Backend {
    #[prost(string, tag = "1")]
    pub(super) type_name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) config: Option<DynamicValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StateStore {
    #[prost(string, tag = "1")]
    pub(super) type_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DynamicValue {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) msgpack: Vec<u8>,
}

/// Decodes a backend's configuration; empty for a null one.
pub(super) fn configuration(msgpack: &[u8]) -> Option<Map<String, Value>> {
    if msgpack.is_empty() {
        return Some(Map::new());
    }
    match to_json(rmpv::decode::read_value(&mut &msgpack[..]).ok()?)? {
        Value::Object(config) => Some(config),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

/// The value as the backend record would have it. Extensions are unknown values, which are null there.
fn to_json(value: rmpv::Value) -> Option<Value> {
    Some(match value {
        rmpv::Value::Nil | rmpv::Value::Ext(..) => Value::Null,
        rmpv::Value::Boolean(boolean) => Value::Bool(boolean),
        rmpv::Value::Integer(integer) => match (integer.as_i64(), integer.as_u64()) {
            (Some(signed), _) => signed.into(),
            (None, Some(unsigned)) => unsigned.into(),
            (None, None) => return None,
        },
        rmpv::Value::F32(number) => f64::from(number).into(),
        rmpv::Value::F64(number) => number.into(),
        rmpv::Value::String(text) => Value::String(text.into_str()?),
        rmpv::Value::Binary(_) => return None,
        rmpv::Value::Array(values) => values.into_iter().map(to_json).collect::<Option<_>>()?,
        rmpv::Value::Map(entries) => {
            let entries = entries.into_iter().map(|(key, value)| match key {
                rmpv::Value::String(name) => Some((name.into_str()?, to_json(value)?)),
                _ => None,
            });
            Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}

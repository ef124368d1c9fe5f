//! A backend block as it is written, and whether a record still is what it asks for.
//!
//! terraform goes on with a record whose hash is that of the block, whatever else `-backend-config` said at the time, or
//! which is equal to the block (`backendFromConfig` in `internal/command/meta_backend.go`). The hash is made of the
//! values of all attributes of the backend's schema (`Backend.Hash` in `internal/configs/backend.go`); a record has them
//! all, so that no schema is needed here.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::terraform::backend::BackendRecord;

/// A block that says where states are kept.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    /// `s3`; `cloud` or `state_store` for those blocks.
    pub(super) type_name: String,
    /// What is written there; `None` if only an evaluation could tell.
    pub(super) settings: Vec<(String, Option<Value>)>,
}

impl Block {
    /// Whether terraform would take the record for the result of this block. Where that cannot be told, terraform will tell:
    /// what counts is that no setting that is written here is another there.
    pub(super) fn asks_for(&self, record: &BackendRecord) -> bool {
        if self.type_name != record.backend.type_name() {
            return false;
        }
        let recorded = record.backend.config();
        let mut differs = false;
        let mut is_whole = true;
        let mut values = Map::new();
        for (name, setting) in &self.settings {
            let Some(setting) = setting else {
                is_whole = false;
                continue;
            };
            let known = recorded.get(name).unwrap_or(&Value::Null);
            let Some(value) = converted(setting, known) else {
                differs = true;
                continue;
            };
            differs |= value != *known;
            values.insert(name.clone(), value);
        }
        !differs || (is_whole && record.hash == Some(self.hash(&values, recorded)))
    }

    fn hash(&self, values: &Map<String, Value>, recorded: &Map<String, Value>) -> u64 {
        let mut text = String::from("<");
        append(&mut text, "", &Value::String(self.type_name.clone()));
        text.push(';');
        let all = recorded.keys().map(|name| {
            let value = values.get(name).cloned().unwrap_or(Value::Null);
            (name.clone(), value)
        });
        append(&mut text, "", &Value::Object(all.collect()));
        text.push_str(";>");
        let mut hash = crc32fast::Hasher::new();
        hash.update(text.as_bytes());
        hash.finalize().into()
    }
}

/// A value as the schema would have it, which shows in the one that is recorded. `None` if it cannot be that.
fn converted(value: &Value, recorded: &Value) -> Option<Value> {
    Some(match (value, recorded) {
        (Value::String(text), Value::Bool(_)) => match text.as_str() {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => return None,
        },
        (Value::String(text), Value::Number(_)) => Value::Number(serde_json::from_str(text).ok()?),
        (Value::Bool(_) | Value::Number(_), Value::String(_)) => Value::String(value.to_string()),
        (Value::Object(members), Value::Object(recorded)) => {
            // Attributes that are left out are null.
            let mut all: Map<String, Value> = recorded
                .keys()
                .map(|name| (name.clone(), Value::Null))
                .collect();
            for (name, member) in members {
                let known = recorded.get(name).unwrap_or(&Value::Null);
                all.insert(name.clone(), converted(member, known)?);
            }
            Value::Object(all)
        }
        // One block of those that there may be several of.
        (Value::Object(_), Value::Array(_)) => {
            return converted(&Value::Array(vec![value.clone()]), recorded);
        }
        (Value::Array(items), Value::Array(recorded)) => {
            let first = recorded.first().unwrap_or(&Value::Null);
            let items: Option<Vec<Value>> =
                items.iter().map(|item| converted(item, first)).collect();
            let mut items = items?;
            // A set may be written in any order and more than once.
            let is_set = items.iter().all(|item| recorded.contains(item))
                && recorded.iter().all(|item| items.contains(item));
            if is_set {
                items.clone_from(recorded);
            }
            Value::Array(items)
        }
        _ => value.clone(),
    })
}

/// What go-cty hashes of a value (`appendSetHashBytes` in `cty/set_internals.go`).
fn append(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => text.push('~'),
        Value::Bool(true) => text.push('T'),
        Value::Bool(false) => text.push('F'),
        Value::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Value::String(string) => append_quoted(text, string),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                append(text, "", item);
                text.push(';');
            }
            text.push(']');
        }
        // The one map of all backends; the others are objects.
        Value::Object(members) if name == "tags" => {
            text.push('{');
            for (name, member) in members {
                append_quoted(text, name);
                text.push(':');
                append(text, "", member);
                text.push(';');
            }
            text.push('}');
        }
        Value::Object(members) => {
            text.push('<');
            for (name, member) in members {
                append(text, name, member);
                text.push(';');
            }
            text.push('>');
        }
    }
}

/// `%q` of Go.
fn append_quoted(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        let _ = match character {
            '"' | '\\' => write!(text, "\\{character}"),
            '\u{7}' => write!(text, "\\a"),
            '\u{8}' => write!(text, "\\b"),
            '\u{c}' => write!(text, "\\f"),
            '\n' => write!(text, "\\n"),
            '\r' => write!(text, "\\r"),
            '\t' => write!(text, "\\t"),
            '\u{b}' => write!(text, "\\v"),
            '\0'..=' ' | '\u{7f}' if character != ' ' => {
                write!(text, "\\x{:02x}", u32::from(character))
            }
            _ => write!(text, "{character}"),
        };
    }
    text.push('"');
}

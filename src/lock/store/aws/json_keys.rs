//! Credentials in JSON, as programs, containers and instances provide them.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// The keys in `object`; like Go, ignores the case of member names. `None` if a key is missing.
pub(super) fn credentials(object: &Map<String, Value>, token: &str) -> Option<Credentials> {
    let text = |name: &str| member(object, name).and_then(Value::as_str);
    let access_key = text("AccessKeyId").filter(|key| !key.is_empty())?;
    let secret_key = text("SecretAccessKey").filter(|key| !key.is_empty())?;
    let expiry = text("Expiration").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    Some(Credentials::new(
        access_key,
        secret_key,
        text(token)
            .filter(|token| !token.is_empty())
            .map(str::to_owned),
        expiry.map(|time| SystemTime::from(time.with_timezone(&Utc))),
        "endpoint",
    ))
}

/// The member of that name, whatever its case.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let mut members = object.iter();
        members
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

pub(super) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok()
}

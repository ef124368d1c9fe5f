//! terraform's part of a record: the lock info, byte for byte as Go writes it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// The ID of one acquisition of a lock: terraform's `ID`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockId(pub String);

impl LockId {
    /// An ID in terraform's form: 16 random bytes in hexadecimal, grouped 8-4-4-4-12
    /// (`uuid.GenerateUUID` of hashicorp/go-uuid sets no version bits).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }
}

impl std::fmt::Display for LockId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// terraform's `statemgr.LockInfo`: the seven keys of the `Info` JSON, in terraform's order.
///
/// A missing key reads as empty, as with Go's `json.Unmarshal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LockInfo {
    /// Unique for each acquisition.
    #[serde(rename = "ID")]
    pub id: LockId,
    /// terraform's name for what the lock was taken for, such as `OperationTypeApply`.
    pub operation: String,
    /// Free text that every terraform prints with the lock: tflock writes the reason and the CI run here.
    pub info: String,
    /// `<os user>@<host name>`.
    pub who: String,
    /// The terraform version that locked.
    pub version: String,
    /// RFC 3339 in UTC, up to nine digits of fraction without trailing zeros.
    pub created: String,
    /// What is locked, for people: `<bucket>/<state path>` or a file's path.
    pub path: String,
}

impl Default for LockInfo {
    fn default() -> Self {
        Self {
            id: LockId(String::new()),
            operation: String::new(),
            info: String::new(),
            who: String::new(),
            version: String::new(),
            created: String::new(),
            path: String::new(),
        }
    }
}

impl LockInfo {
    /// The JSON that Go's `json.Marshal` would make of it: one line, terraform's key order, `<`, `>`, `&`,
    /// U+2028 and U+2029 escaped.
    #[must_use]
    pub fn to_go_json(&self) -> String {
        let json = serde_json::to_string(self);
        debug_assert!(json.is_ok(), "a struct of strings always serialises");
        // In JSON, these characters occur in strings only.
        GO_ESCAPES
            .iter()
            .fold(json.unwrap_or_default(), |json, (character, escape)| {
                json.replace(*character, escape)
            })
    }

    /// When the lock was taken, by the holder's clock; `None` if that text is not a time.
    #[must_use]
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        parsed_time(&self.created)
    }
}

/// A time as Go's `time.RFC3339Nano` prints it in UTC: trailing zeros of the fraction trimmed, `Z`.
#[must_use]
pub fn go_time(time: DateTime<Utc>) -> String {
    let full = time.to_rfc3339_opts(SecondsFormat::Nanos, true);
    let trimmed = full
        .trim_end_matches('Z')
        .trim_end_matches('0')
        .trim_end_matches('.');
    format!("{trimmed}Z")
}

/// Parses a time in a record; `None` if it is not one.
#[must_use]
pub fn parsed_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc))
}

/// What Go's `encoding/json` escapes and `serde_json` does not: HTML-sensitive characters and the two Unicode line
/// separators.
const GO_ESCAPES: [(char, &str); 5] = [
    ('<', "\\u003c"),
    ('>', "\\u003e"),
    ('&', "\\u0026"),
    ('\u{2028}', "\\u2028"),
    ('\u{2029}', "\\u2029"),
];

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn info() -> LockInfo {
        LockInfo {
            id: LockId("62d1ec43-aa57-55e6-d9b5-0461699f1699".into()),
            operation: "OperationTypeApply".into(),
            info: String::new(),
            who: "root@vm".into(),
            version: "1.11.4".into(),
            created: "2026-11-22T19:36:57.306409176Z".into(),
            path: "bkt/dir/x.tfstate".into(),
        }
    }

    #[test]
    fn info_is_byte_for_byte_what_terraform_wrote() {
        assert_eq!(
            info().to_go_json(),
            r#"{"ID":"62d1ec43-aa57-55e6-d9b5-0461699f1699","Operation":"OperationTypeApply","Info":"","Who":"root@vm","Version":"1.11.4","Created":"2026-11-22T19:36:57.306409176Z","Path":"bkt/dir/x.tfstate"}"#
        );
    }

    #[test]
    fn characters_are_escaped_as_go_does() {
        let mut info = info();
        info.info = "a<b>&c\u{2028}\u{2029}\"\\\n\u{1}\u{8}\u{7f}é".into();
        let json = info.to_go_json();
        assert!(
            json.contains(
                "\"Info\":\"a\\u003cb\\u003e\\u0026c\\u2028\\u2029\\\"\\\\\\n\\u0001\\b\u{7f}é\""
            ),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<LockInfo>(&json).unwrap(), info);
    }

    #[test]
    fn times_are_trimmed_as_go_does() {
        let time = |text: &str| {
            go_time(
                DateTime::parse_from_rfc3339(text)
                    .unwrap()
                    .with_timezone(&Utc),
            )
        };
        assert_eq!(
            time("2026-11-22T19:36:57.120000000Z"),
            "2026-11-22T19:36:57.12Z"
        );
        assert_eq!(time("2026-11-22T19:36:50Z"), "2026-11-22T19:36:50Z");
        assert_eq!(time("2026-11-22T21:36:50+02:00"), "2026-11-22T19:36:50Z");
    }

    #[test]
    fn lock_ids_are_grouped_as_terraform_groups_them() {
        assert_eq!(
            LockId::from_bytes([
                0x62, 0xd1, 0xec, 0x43, 0xaa, 0x57, 0x55, 0xe6, 0xd9, 0xb5, 4, 0x61, 0x69, 0x9f,
                0x16, 0x99
            ])
            .0,
            "62d1ec43-aa57-55e6-d9b5-0461699f1699"
        );
    }
}

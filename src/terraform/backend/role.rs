//! The roles that an S3 backend assumes before it accesses its bucket.
//!
//! Nested attributes take precedence; the flat ones are from terraform up to 1.9 and OpenTofu.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attributes::{AttributeError, Attributes};
use super::secret::Secret;
use crate::terraform::duration::parse_duration;

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "terraform documents the attributes of these names"
)]
pub struct AssumeRole {
    pub role_arn: String,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub duration: Option<Duration>,
    pub policy: Option<String>,
    pub policy_arns: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub transitive_tag_keys: Vec<String>,
    pub source_identity: Option<String>,
}

/// A role to assume with an OpenID Connect token. The role may also come from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "terraform documents the attributes of these names"
)]
pub struct AssumeRoleWithWebIdentity {
    pub role_arn: Option<String>,
    pub session_name: Option<String>,
    pub duration: Option<Duration>,
    pub policy: Option<String>,
    pub policy_arns: Vec<String>,
    pub web_identity_token: Option<Secret>,
    pub web_identity_token_file: Option<String>,
}

impl AssumeRole {
    pub(super) fn from_config(config: Attributes<'_>) -> Result<Option<Self>, AttributeError> {
        if let Some(nested) = config.object("assume_role")? {
            return Ok(Some(Self {
                role_arn: nested.required_text("role_arn")?,
                session_name: nested.text("session_name")?,
                external_id: nested.text("external_id")?,
                duration: duration(nested)?,
                policy: nested.text("policy")?,
                policy_arns: nested.texts("policy_arns")?,
                tags: nested.text_map("tags")?,
                transitive_tag_keys: nested.texts("transitive_tag_keys")?,
                source_identity: nested.text("source_identity")?,
            }));
        }
        let Some(role_arn) = config.text("role_arn")? else {
            return Ok(None);
        };
        let seconds = config.whole_number("assume_role_duration_seconds")?;
        Ok(Some(Self {
            role_arn,
            session_name: config.text("session_name")?,
            external_id: config.text("external_id")?,
            duration: seconds
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            policy: config.text("assume_role_policy")?,
            policy_arns: config.texts("assume_role_policy_arns")?,
            tags: config.text_map("assume_role_tags")?,
            transitive_tag_keys: config.texts("assume_role_transitive_tag_keys")?,
            source_identity: None,
        }))
    }
}

impl AssumeRoleWithWebIdentity {
    pub(super) fn from_config(config: Attributes<'_>) -> Result<Option<Self>, AttributeError> {
        let Some(nested) = config.object("assume_role_with_web_identity")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            role_arn: nested.text("role_arn")?,
            session_name: nested.text("session_name")?,
            duration: duration(nested)?,
            policy: nested.text("policy")?,
            policy_arns: nested.texts("policy_arns")?,
            web_identity_token: nested.secret("web_identity_token")?,
            web_identity_token_file: nested.text("web_identity_token_file")?,
        }))
    }
}

/// The session's `duration`, in the format of terraform's flags: `1h`.
fn duration(nested: Attributes<'_>) -> Result<Option<Duration>, AttributeError> {
    let Some(text) = nested.text("duration")? else {
        return Ok(None);
    };
    let duration = parse_duration(&text).map_err(|_| AttributeError::WrongType {
        name: "duration",
        expected: "a duration such as `1h`",
    })?;
    Ok(Some(duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::backend::{Backend, S3Backend};
    use serde_json::{Value, json};

    fn s3(config: Value) -> Result<S3Backend, AttributeError> {
        Backend::of_json("s3", config).s3().map(Option::unwrap)
    }

    #[test]
    fn a_nested_role_is_read() {
        let role = json!({
            "role_arn": "arn:role", "session_name": "s", "external_id": "e", "duration": "1h30m", "policy": "{}",
            "policy_arns": ["p"], "tags": {"a": "b"}, "transitive_tag_keys": ["a"], "source_identity": "me",
        });
        let backend = s3(json!({"bucket": "b", "key": "k", "assume_role": role})).unwrap();
        let role = backend.assume_role.unwrap();
        assert_eq!(role.role_arn, "arn:role");
        assert_eq!(role.duration, Some(Duration::from_mins(90)));
        assert_eq!(role.policy_arns, ["p"]);
        assert_eq!(role.tags["a"], "b");
        assert_eq!(role.source_identity.as_deref(), Some("me"));
    }

    #[test]
    fn a_flat_role_of_old_versions_is_read() {
        let backend = s3(json!({
            "bucket": "b", "key": "k", "role_arn": "arn:role", "external_id": "e", "assume_role": null,
            "assume_role_duration_seconds": 900, "assume_role_tags": {"a": "b"}, "assume_role_policy_arns": null,
        })).unwrap();
        let role = backend.assume_role.unwrap();
        assert_eq!(role.external_id.as_deref(), Some("e"));
        assert_eq!(role.duration, Some(Duration::from_mins(15)));
        assert_eq!(role.tags["a"], "b");
    }

    #[test]
    fn a_flat_duration_of_zero_is_not_set() {
        let config =
            json!({"bucket": "b", "key": "k", "role_arn": "r", "assume_role_duration_seconds": 0});
        let role = s3(config).unwrap().assume_role.unwrap();
        assert_eq!(role.duration, None);
    }

    #[test]
    fn a_web_identity_is_read() {
        let identity = json!({"role_arn": "r", "web_identity_token": "hunter2", "web_identity_token_file": null});
        let backend =
            s3(json!({"bucket": "b", "key": "k", "assume_role_with_web_identity": identity}))
                .unwrap();
        let identity = backend.assume_role_with_web_identity.unwrap();
        assert_eq!(identity.web_identity_token.unwrap().expose(), "hunter2");
    }

    #[test]
    fn an_invalid_duration_is_an_error() {
        let role = json!({"role_arn": "r", "duration": "900"});
        let error = s3(json!({"bucket": "b", "key": "k", "assume_role": role})).unwrap_err();
        assert!(error.to_string().contains("`duration`"), "{error}");
    }
}

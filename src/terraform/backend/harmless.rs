//! A backend without its secrets: what may be written to a file, to find a lock again.

use serde_json::{Map, Value};

use super::Backend;

/// The attributes of the S3 backend that are no secrets. All others are left out, those of newer versions too.
const S3: &[&str] = &[
    "acl",
    "allowed_account_ids",
    "assume_role",
    "assume_role_duration_seconds",
    "assume_role_policy",
    "assume_role_policy_arns",
    "assume_role_tags",
    "assume_role_transitive_tag_keys",
    "assume_role_with_web_identity",
    "bucket",
    "custom_ca_bundle",
    "dynamodb_endpoint",
    "dynamodb_table",
    "ec2_metadata_service_endpoint",
    "ec2_metadata_service_endpoint_mode",
    "encrypt",
    "endpoint",
    "endpoints",
    "external_id",
    "forbidden_account_ids",
    "force_path_style",
    "iam_endpoint",
    "insecure",
    "key",
    "kms_key_id",
    "lock_tags",
    "max_retries",
    "no_proxy",
    "profile",
    "region",
    "retry_mode",
    "role_arn",
    "session_name",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "skip_credentials_validation",
    "skip_metadata_api_check",
    "skip_region_validation",
    "skip_requesting_account_id",
    "skip_s3_checksum",
    "sts_endpoint",
    "sts_region",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "use_lockfile",
    "use_path_style",
    "workspace_key_prefix",
];
const LOCAL: [&str; 2] = ["path", "workspace_dir"];
/// The one attribute inside of another that is a secret.
const TOKEN: &str = "web_identity_token";

impl Backend {
    /// Whether it has attributes that [`Self::without_secrets`] leaves out, and that decide on how its lock is reached.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        let is_kept = |(name, value): (&String, &Value)| {
            value.is_null() || S3.contains(&name.as_str()) && !has_secrets(value)
        };
        self.type_name() == "s3" && !self.config().iter().all(is_kept)
    }

    /// The same without secrets. Of backends other than `s3` and `local` nothing but the type is left.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let harmless: &[&str] = match self.type_name() {
            "s3" => S3,
            "local" => &LOCAL,
            _ => &[],
        };
        let set = self.config().iter().filter(|(_, value)| !value.is_null());
        let config = set.filter_map(|(name, value)| {
            let value = harmless.contains(&name.as_str()).then(|| inner(value))?;
            Some((name.clone(), value?))
        });
        Self::new(self.type_name(), config.collect::<Map<_, _>>())
    }
}

/// Whether something is secret in a value, as an address with a password.
fn has_secrets(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("://") && text.contains('@'),
        Value::Object(object) => object
            .iter()
            .any(|(name, value)| name == TOKEN && !value.is_null() || has_secrets(value)),
        Value::Array(values) => values.iter().any(has_secrets),
        _ => false,
    }
}

/// A value without what is secret inside of it; `None` if it is secret itself.
fn inner(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) if has_secrets(value) => None,
        Value::Object(object) => {
            let kept = object.iter().filter(|(name, _)| *name != TOKEN);
            let kept = kept.filter_map(|(name, value)| Some((name.clone(), inner(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(values) => Some(Value::Array(values.iter().filter_map(inner).collect())),
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backend(type_name: &str, config: Value) -> Backend {
        Backend::of_json(type_name, config)
    }

    fn without_secrets(type_name: &str, config: Value) -> Value {
        let backend = backend(type_name, config).without_secrets();
        Value::Object(backend.config().clone())
    }

    #[test]
    fn a_backend_without_secrets_is_whole() {
        for (config, has_secrets) in [
            (
                json!({"bucket": "b", "access_key": null, "skip_region_validation": true}),
                false,
            ),
            (
                json!({"assume_role_with_web_identity": {"role_arn": "r", "web_identity_token": null}}),
                false,
            ),
            (json!({"access_key": "AKIA"}), true),
            (json!({"http_proxy": "http://proxy"}), true),
            (json!({"endpoints": {"s3": "https://ana:secret@s3"}}), true),
            (
                json!({"assume_role_with_web_identity": {"web_identity_token": "x"}}),
                true,
            ),
        ] {
            let text = config.to_string();
            assert_eq!(backend("s3", config).has_secrets(), has_secrets, "{text}");
        }
        assert!(!backend("pg", json!({"conn_str": "postgres://ana:secret@db"})).has_secrets());
    }

    #[test]
    fn what_may_be_secret_is_left_out() {
        let s3 = json!({
            "bucket": "b",
            "key": "k",
            "access_key": "AKIA",
            "secret_key": "secret",
            "token": "secret",
            "sse_customer_key": "secret",
            "http_proxy": "http://ana:secret@proxy",
            "something_new": "secret",
            "endpoints": {"s3": "https://ana:secret@s3.example.com", "dynamodb": "https://d.example.com"},
            "assume_role": {"role_arn": "arn:aws:iam::1:role/r"},
            "assume_role_with_web_identity": {"role_arn": "arn:aws:iam::1:role/w", "web_identity_token": "secret"},
        });
        let left = without_secrets("s3", s3);
        assert!(!left.to_string().contains("secret"), "{left}");
        let expected = json!({
            "bucket": "b",
            "key": "k",
            "endpoints": {"dynamodb": "https://d.example.com"},
            "assume_role": {"role_arn": "arn:aws:iam::1:role/r"},
            "assume_role_with_web_identity": {"role_arn": "arn:aws:iam::1:role/w"},
        });
        assert_eq!(left, expected);
        assert_eq!(
            without_secrets("pg", json!({"conn_str": "postgres://ana:secret@db/x"})),
            json!({})
        );
        assert_eq!(
            without_secrets("local", json!({"path": "x.tfstate"})),
            json!({"path": "x.tfstate"})
        );
    }
}

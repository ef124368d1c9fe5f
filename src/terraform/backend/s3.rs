//! The settings of an S3 backend that are needed to reach its lock.
//!
//! Attributes that were renamed over the years are merged here: flat `role_arn` and the like up to terraform 1.9,
//! nested `assume_role` from 1.6, both in OpenTofu; `endpoints` before `dynamodb_endpoint`. Settings from the
//! environment are absent: terraform does not record them.

use super::attributes::{AttributeError, Attributes};
use super::role::{AssumeRole, AssumeRoleWithWebIdentity};
use super::secret::Secret;
use super::tags;

const DEFAULT_WORKSPACE_KEY_PREFIX: &str = "env:";

/// The settings of an S3 backend. Fields without a comment are terraform's attributes of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "terraform documents the attributes of these names"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the attributes are terraform's"
)]
pub struct S3Backend {
    pub bucket: String,
    pub key: String,
    /// Defaults to `env:`; may be empty.
    pub workspace_key_prefix: String,
    /// The DynamoDB lock table, if the backend uses one.
    pub dynamodb_table: Option<String>,
    /// Whether the `.tflock` object is the lock, or one of two.
    pub use_lockfile: bool,
    pub region: Option<String>,
    pub sts_region: Option<String>,
    pub profile: Option<String>,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub token: Option<Secret>,
    pub ec2_metadata_service_endpoint: Option<String>,
    pub ec2_metadata_service_endpoint_mode: Option<String>,
    pub skip_metadata_api_check: Option<bool>,
    pub shared_config_files: Option<Vec<String>>,
    pub shared_credentials_files: Option<Vec<String>>,
    /// The deprecated attribute; a variable beats it.
    pub shared_credentials_file: Option<String>,
    pub assume_role: Option<AssumeRole>,
    pub assume_role_with_web_identity: Option<AssumeRoleWithWebIdentity>,
    pub endpoints: Endpoints,
    /// `use_path_style`, or the old `force_path_style`.
    pub use_path_style: bool,
    pub encrypt: bool,
    pub kms_key_id: Option<String>,
    pub sse_customer_key: Option<Secret>,
    pub acl: Option<String>,
    /// OpenTofu's `lock_tags`, encoded for the header `x-amz-tagging`.
    pub lock_tags: Option<String>,
    pub skip_s3_checksum: bool,
    pub custom_ca_bundle: Option<String>,
    /// Whether to skip certificate verification.
    pub insecure: bool,
    /// Secret because it may contain a password. An empty value means no proxy.
    pub http_proxy: Option<Secret>,
    /// Secret because it may contain a password. An empty value means no proxy.
    pub https_proxy: Option<Secret>,
    pub no_proxy: Option<String>,
    pub use_fips_endpoint: Option<bool>,
    pub use_dualstack_endpoint: Option<bool>,
}

/// Custom endpoints as written, with or without a scheme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "one per service")]
pub struct Endpoints {
    pub dynamodb: Option<String>,
    pub s3: Option<String>,
    pub sts: Option<String>,
    pub sso: Option<String>,
}

impl S3Backend {
    pub(super) fn from_config(config: Attributes<'_>) -> Result<Self, AttributeError> {
        let is_on = |name| Ok(config.switch(name)?.unwrap_or(false));
        let prefix = config.possibly_empty_text("workspace_key_prefix")?;
        Ok(Self {
            bucket: config.required_text("bucket")?,
            key: config.required_text("key")?,
            workspace_key_prefix: prefix.unwrap_or_else(|| DEFAULT_WORKSPACE_KEY_PREFIX.to_owned()),
            dynamodb_table: config.text("dynamodb_table")?,
            use_lockfile: is_on("use_lockfile")?,
            region: config.text("region")?,
            sts_region: config.text("sts_region")?,
            profile: config.text("profile")?,
            access_key: config.secret("access_key")?,
            secret_key: config.secret("secret_key")?,
            token: config.secret("token")?,
            ec2_metadata_service_endpoint: config.text("ec2_metadata_service_endpoint")?,
            ec2_metadata_service_endpoint_mode: config
                .text("ec2_metadata_service_endpoint_mode")?,
            skip_metadata_api_check: config.switch("skip_metadata_api_check")?,
            shared_config_files: config.set("shared_config_files")?,
            shared_credentials_files: config.set("shared_credentials_files")?,
            shared_credentials_file: config.text("shared_credentials_file")?,
            assume_role: AssumeRole::from_config(config)?,
            assume_role_with_web_identity: AssumeRoleWithWebIdentity::from_config(config)?,
            endpoints: Endpoints::from_config(config)?,
            use_path_style: is_on("use_path_style")? || is_on("force_path_style")?,
            encrypt: is_on("encrypt")?,
            kms_key_id: config.text("kms_key_id")?,
            sse_customer_key: config.secret("sse_customer_key")?,
            acl: config.text("acl")?,
            lock_tags: tags::encoded(&config.text_map("lock_tags")?),
            skip_s3_checksum: is_on("skip_s3_checksum")?,
            custom_ca_bundle: config.text("custom_ca_bundle")?,
            insecure: is_on("insecure")?,
            http_proxy: config.possibly_empty_secret("http_proxy")?,
            https_proxy: config.possibly_empty_secret("https_proxy")?,
            no_proxy: config.text("no_proxy")?,
            use_fips_endpoint: config.switch("use_fips_endpoint")?,
            use_dualstack_endpoint: config.switch("use_dualstack_endpoint")?,
        })
    }
}

impl Endpoints {
    fn from_config(config: Attributes<'_>) -> Result<Self, AttributeError> {
        let nested = config.object("endpoints")?;
        let either = |name, old| -> Result<Option<String>, AttributeError> {
            let new = match nested {
                Some(endpoints) => endpoints.text(name)?,
                None => None,
            };
            if new.is_some() {
                return Ok(new);
            }
            config.text(old)
        };
        let sso = match nested {
            Some(endpoints) => endpoints.text("sso")?,
            None => None,
        };
        Ok(Self {
            sso,
            dynamodb: either("dynamodb", "dynamodb_endpoint")?,
            s3: either("s3", "endpoint")?,
            sts: either("sts", "sts_endpoint")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::backend::Backend;
    use serde_json::{Value, json};

    fn s3(config: Value) -> Result<S3Backend, AttributeError> {
        Backend::of_json("s3", config).s3().map(Option::unwrap)
    }

    #[test]
    fn unset_attributes_have_terraforms_defaults() {
        let backend = s3(
            json!({"bucket": "b", "key": "k", "region": null, "encrypt": null, "endpoints": null}),
        )
        .unwrap();
        assert_eq!(backend.workspace_key_prefix, "env:");
        assert_eq!(backend.region, None);
        assert!(!backend.use_lockfile && !backend.encrypt && !backend.use_path_style);
        assert_eq!(backend.endpoints, Endpoints::default());
        assert_eq!(backend.assume_role, None);
    }

    #[test]
    fn an_empty_string_is_unset_except_for_the_workspace_prefix() {
        let config =
            json!({"bucket": "b", "key": "k", "dynamodb_table": "", "workspace_key_prefix": ""});
        let backend = s3(config).unwrap();
        assert_eq!(backend.dynamodb_table, None);
        assert_eq!(backend.workspace_key_prefix, "");
    }

    #[test]
    fn nested_endpoints_beat_the_old_ones() {
        let backend = s3(json!({
            "bucket": "b", "key": "k",
            "endpoints": {"dynamodb": "http://new", "s3": null},
            "dynamodb_endpoint": "http://old", "endpoint": "http://s3", "sts_endpoint": "http://sts",
        })).unwrap();
        assert_eq!(backend.endpoints.dynamodb.as_deref(), Some("http://new"));
        assert_eq!(backend.endpoints.s3.as_deref(), Some("http://s3"));
        assert_eq!(backend.endpoints.sts.as_deref(), Some("http://sts"));
    }

    #[test]
    fn old_attribute_names_are_read_too() {
        let backend = s3(json!({
            "bucket": "b", "key": "k", "force_path_style": true, "shared_credentials_file": "c",
            "use_lockfile": "true",
        }))
        .unwrap();
        assert!(backend.use_path_style && backend.use_lockfile);
        assert_eq!(backend.shared_credentials_file.as_deref(), Some("c"));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let shown = format!("{:?}", s3(json!({
            "bucket": "b", "key": "k", "access_key": "hunter2", "secret_key": "hunter2", "token": "hunter2",
            "sse_customer_key": "hunter2", "https_proxy": "http://u:hunter2@p", "http_proxy": "http://u:hunter2@p",
            "assume_role_with_web_identity": {"web_identity_token": "hunter2"},
        })).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(shown.matches("<secret>").count(), 7);
    }

    #[test]
    fn errors_name_the_attribute_and_not_its_value() {
        let error = s3(json!({"bucket": "b"})).unwrap_err();
        assert_eq!(error, AttributeError::Missing { name: "key" });
        let error = s3(json!({"bucket": "b", "key": "k", "token": ["hunter2"]})).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert!(error.to_string().contains("`token`"));
    }
}

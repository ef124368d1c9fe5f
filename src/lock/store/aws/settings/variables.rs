//! The environment variables that AWS access depends on.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The variables that decide who signs a request and where it goes, as they were at the start. Files may change during
/// a run; these do not.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<&'static str, String>);

const NAMES: [&str; 40] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_METADATA_URL",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUEST_METHOD",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

impl Variables {
    /// Reads them from `environment`.
    pub fn of(environment: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let names = NAMES.into_iter();
        let set = names.filter_map(|name| {
            let value = environment(name)?.to_string_lossy().into_owned();
            Some((name, value))
        });
        Self(set.collect())
    }

    /// The value of a variable; as in Go, an empty one counts as unset.
    pub(in super::super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    pub(in super::super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether it is set at all, even to nothing.
    pub(in super::super) fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

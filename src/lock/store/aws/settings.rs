//! What is known about the access to AWS before anything is asked of it: what a backend recorded, and the files and
//! the region that follow from it. Nothing here makes a connection.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::Region;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::Credentials;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

/// What a backend recorded about its AWS access. Everything is optional; what is absent comes from the usual
/// environment variables and files.
#[derive(Clone, Default)]
pub struct AwsSettings {
    /// AWS region.
    pub region: Option<String>,
    /// Profile of the shared files; named here it goes before keys in the environment.
    pub profile: Option<String>,
    /// Access key, secret key and session token, where they were recorded.
    pub keys: Option<StaticKeys>,
    /// Endpoint URL of DynamoDB.
    pub dynamodb_endpoint: Option<String>,
    /// Endpoint URL of S3.
    pub s3_endpoint: Option<String>,
    /// Endpoint URL of STS.
    pub sts_endpoint: Option<String>,
    /// Region of STS, where it is another.
    pub sts_region: Option<String>,
    /// Files in the place of `~/.aws/config`.
    pub shared_config_files: Vec<PathBuf>,
    /// Files in the place of `~/.aws/credentials`.
    pub shared_credentials_files: Vec<PathBuf>,
    /// PEM file of the only authorities to trust.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for `http` endpoints.
    pub http_proxy: Option<String>,
    /// Proxy for `https` endpoints.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without a proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// FIPS endpoints.
    pub use_fips: Option<bool>,
    /// Dual-stack endpoints.
    pub use_dual_stack: Option<bool>,
    /// Buckets in the path, not in the host name.
    pub path_style: bool,
    /// A role to assume with a web identity token; it comes before `assume_role`.
    pub web_identity: Option<WebIdentity>,
    /// A role to assume.
    pub role: Option<Role>,
}

/// Keys that stand in the backend's record.
#[derive(Clone)]
pub struct StaticKeys {
    /// Access key ID.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token.
    pub token: Option<String>,
}

/// terraform's `assume_role`.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// Session name.
    pub session_name: Option<String>,
    /// External ID.
    pub external_id: Option<String>,
    /// How long the session lasts.
    pub duration: Option<Duration>,
    /// Session policy as JSON.
    pub policy: Option<String>,
    /// ARNs of session policies.
    pub policy_arns: Vec<String>,
    /// Source identity.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: Vec<(String, String)>,
    /// Keys of tags that go on to chained roles.
    pub transitive_tag_keys: Vec<String>,
}

/// terraform's `assume_role_with_web_identity`.
#[derive(Clone)]
pub struct WebIdentity {
    /// The role; of its fields ARN, session name, duration and policies are used.
    pub role: Role,
    /// Where the token comes from.
    pub token: WebIdentityToken,
}

/// A web identity token.
#[derive(Clone)]
pub enum WebIdentityToken {
    /// The token itself.
    Literal(String),
    /// A file that is read each time, because it is renewed.
    File(PathBuf),
}

impl AwsSettings {
    /// The shared files: those that were recorded, else the user's.
    pub(super) fn profile_files(&self) -> EnvConfigFiles {
        let mut builder = EnvConfigFiles::builder();
        if self.shared_config_files.is_empty() {
            builder = builder.include_default_config_file(true);
        }
        for file in &self.shared_config_files {
            builder = builder.with_file(EnvConfigFileKind::Config, file);
        }
        if self.shared_credentials_files.is_empty() {
            builder = builder.include_default_credentials_file(true);
        }
        for file in &self.shared_credentials_files {
            builder = builder.with_file(EnvConfigFileKind::Credentials, file);
        }
        builder.build()
    }

    /// The recorded region, else that of the environment, else the profile's. Not the metadata service's: asking
    /// it takes seconds where there is none, and terraform does not ask it either.
    pub(super) async fn region(&self) -> Option<Region> {
        if let Some(region) = &self.region {
            return Some(Region::new(region.clone()));
        }
        let mut profile = ProfileFileRegionProvider::builder().profile_files(self.profile_files());
        if let Some(name) = &self.profile {
            profile = profile.profile_name(name);
        }
        // A variable that is set to nothing is how CI systems leave one out.
        let is_set = |region: &Region| !region.as_ref().is_empty();
        let variable = EnvironmentVariableRegionProvider::new().region().await;
        match variable.filter(is_set) {
            Some(region) => Some(region),
            None => profile.build().region().await.filter(is_set),
        }
    }
}

impl StaticKeys {
    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(
            &self.access_key,
            &self.secret_key,
            self.token.clone(),
            None,
            "backend record",
        )
    }
}

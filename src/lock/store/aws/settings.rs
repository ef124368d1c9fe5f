//! The settings for access to AWS, before any request: the backend's record, with variables and files as defaults.
//! Nothing here makes a connection.

mod variables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_credential_types::Credentials;

pub use self::variables::Variables;

/// A backend's recorded AWS settings and the environment. Everything is optional.
#[derive(Clone, Default)]
pub struct AwsSettings {
    /// AWS region.
    pub region: Option<String>,
    /// Profile of the shared files; set here, it beats keys in the environment.
    pub profile: Option<String>,
    /// Recorded access key, secret key and session token.
    pub keys: Option<StaticKeys>,
    /// Endpoint URL of DynamoDB.
    pub dynamodb_endpoint: Option<String>,
    /// Endpoint URL of S3.
    pub s3_endpoint: Option<String>,
    /// Endpoint URL of STS.
    pub sts_endpoint: Option<String>,
    /// Endpoint URL of IAM Identity Center.
    pub sso_endpoint: Option<String>,
    /// Region of STS, if different.
    pub sts_region: Option<String>,
    /// Address of the instance metadata service.
    pub metadata_endpoint: Option<String>,
    /// `IPv4` or `IPv6`: which of its default addresses.
    pub metadata_endpoint_mode: Option<String>,
    /// Whether not to use the instance metadata service.
    pub skip_metadata: Option<bool>,
    /// Files instead of `~/.aws/config`.
    pub shared_config_files: Option<Vec<PathBuf>>,
    /// Files instead of `~/.aws/credentials`.
    pub shared_credentials_files: Option<Vec<PathBuf>>,
    /// PEM file of the only certificate authorities to trust.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for `http` endpoints; an empty one means none.
    pub http_proxy: Option<String>,
    /// Proxy for `https` endpoints; an empty one means none.
    pub https_proxy: Option<String>,
    /// Hosts to reach without a proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// Whether to use FIPS endpoints.
    pub use_fips: Option<bool>,
    /// Whether to use dual-stack endpoints.
    pub use_dual_stack: Option<bool>,
    /// Whether buckets go into the path, not the host name.
    pub path_style: bool,
    /// A role to assume with a web identity token; it comes before `assume_role`.
    pub web_identity: Option<WebIdentity>,
    /// A role to assume.
    pub role: Option<Role>,
    /// The environment.
    pub variables: Variables,
    /// terraform's working directory: the base of relative paths in variables and files.
    pub directory: PathBuf,
}

/// Keys from a backend's record, a variable or a file.
#[derive(Clone)]
pub struct StaticKeys {
    /// Access key ID.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token.
    pub token: Option<String>,
}

/// Hides the keys.
impl std::fmt::Debug for StaticKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StaticKeys").finish_non_exhaustive()
    }
}

/// terraform's `assume_role`, or the role of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// Session name.
    pub session_name: Option<String>,
    /// External ID.
    pub external_id: Option<String>,
    /// Duration of the session.
    pub duration: Option<Duration>,
    /// Session policy as JSON.
    pub policy: Option<String>,
    /// ARNs of session policies.
    pub policy_arns: Vec<String>,
    /// Source identity.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: Vec<(String, String)>,
    /// Keys of tags that are passed on to chained roles.
    pub transitive_tag_keys: Vec<String>,
}

/// terraform's `assume_role_with_web_identity`, or the identity of a pod or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentity {
    /// The role; only its ARN, session name, duration and policies are used.
    pub role: Role,
    /// Where the token comes from.
    pub token: WebIdentityToken,
}

/// A web identity token.
#[derive(Clone, PartialEq, Eq)]
pub enum WebIdentityToken {
    /// The token itself.
    Literal(String),
    /// A file that is read each time, because it gets renewed.
    File(PathBuf),
}

/// Hides the token.
impl std::fmt::Debug for WebIdentityToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(_) => formatter.write_str("Literal"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
        }
    }
}

impl AwsSettings {
    /// The files used as `~/.aws/config`; the last one wins.
    pub(super) fn config_files(&self) -> Vec<PathBuf> {
        self.files(
            self.shared_config_files.as_ref(),
            "AWS_CONFIG_FILE",
            "config",
        )
    }

    /// The files used as `~/.aws/credentials`; the last one wins.
    pub(super) fn credentials_files(&self) -> Vec<PathBuf> {
        let recorded = self.shared_credentials_files.as_ref();
        self.files(recorded, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    }

    fn files(&self, recorded: Option<&Vec<PathBuf>>, variable: &str, name: &str) -> Vec<PathBuf> {
        if let Some(recorded) = recorded.filter(|files| !files.is_empty()) {
            return recorded.clone();
        }
        if let Some(named) = self.variables.get(variable) {
            return vec![self.path(named)];
        }
        let home = self.home();
        home.map(|home| home.join(".aws").join(name))
            .into_iter()
            .collect()
    }

    /// The user's home directory: HOME, else from the system's user database.
    pub(super) fn home(&self) -> Option<PathBuf> {
        if let Some(home) = self.variables.get("HOME") {
            return Some(self.path(home));
        }
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        user.ok().flatten().map(|user| user.dir)
    }

    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }

    /// Whether to use FIPS endpoints. terraform takes any value of the variable as a yes; the SDK below it takes
    /// `true`, whatever the backend says, and then the profile's setting.
    pub(super) fn fips(&self, profile: Option<bool>) -> bool {
        self.switched_on(self.use_fips, "AWS_USE_FIPS_ENDPOINT", profile)
    }

    /// Whether to use dual-stack endpoints, by the same rules.
    pub(super) fn dual_stack(&self, profile: Option<bool>) -> bool {
        self.switched_on(self.use_dual_stack, "AWS_USE_DUALSTACK_ENDPOINT", profile)
    }

    fn switched_on(&self, recorded: Option<bool>, variable: &str, profile: Option<bool>) -> bool {
        match (recorded, self.variables.get(variable)) {
            (Some(true), _) | (None, Some(_)) => true,
            (Some(false), Some(value)) => value.eq_ignore_ascii_case("true"),
            (_, None) => profile.unwrap_or(false),
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
            "static keys",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn terraform_takes_any_value_of_a_switch_as_yes() {
        for (recorded, variable, profile, on) in [
            (None, None, None, false),
            (None, None, Some(true), true),
            (None, Some("false"), None, true),
            (Some(true), None, Some(false), true),
            (Some(false), None, Some(true), true),
            (Some(false), Some("false"), Some(true), false),
            (Some(false), Some("true"), None, true),
            (None, Some(""), Some(false), false),
        ] {
            let environment = |name: &str| {
                let value = variable.filter(|_| name == "AWS_USE_FIPS_ENDPOINT")?;
                Some(OsString::from(value))
            };
            let settings = AwsSettings {
                use_fips: recorded,
                variables: Variables::of(&environment),
                ..AwsSettings::default()
            };
            assert_eq!(
                settings.fips(profile),
                on,
                "{recorded:?} {variable:?} {profile:?}"
            );
        }
    }
}

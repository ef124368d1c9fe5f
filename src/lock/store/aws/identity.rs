//! Whose credentials sign the requests: terraform's choice among all sources, as a plan.
//!
//! Pure, apart from the files read before. `docs/aws-identity.md` has the rules as a table with their sources:
//! terraform's S3 backend, `credentials.go` of aws-sdk-go-base and `config/resolve_credentials.go` of aws-sdk-go-v2.

mod choice;
mod of_profile;
mod surroundings;

use std::path::PathBuf;

pub(super) use self::choice::{current_profile, resolve};
use super::endpoints::Endpoint;
use super::profile::ProfileError;
use super::settings::{Role, StaticKeys, WebIdentity};

/// The source of the first credentials, and the roles to assume, each with the credentials of the one before.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) source: Source,
    pub(super) roles: Vec<Assumed<Role>>,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Keys(StaticKeys),
    WebIdentity(Assumed<WebIdentity>),
    SingleSignOn(SingleSignOn),
    Process(Process),
    Container(Container),
    InstanceMetadata(InstanceMetadata),
}

/// A role, and the STS endpoint to assume it at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assumed<T> {
    pub(super) role: T,
    pub(super) endpoint: Option<Endpoint>,
    /// The region, if not the run's.
    pub(super) region: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SingleSignOn {
    pub(super) profile: String,
    /// The `sso-session`; without one the token belongs to the start URL and cannot be renewed.
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
    pub(super) endpoint: Option<Endpoint>,
    /// The endpoint that renews tokens.
    pub(super) token_endpoint: Option<Endpoint>,
    /// The directory of cached tokens.
    pub(super) cache: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) profile: String,
    pub(super) command: String,
    pub(super) directory: PathBuf,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) url: String,
    pub(super) authorization: Option<String>,
    /// A file that is read each time, and beats the text.
    pub(super) authorization_file: Option<PathBuf>,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Container");
        shown.field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstanceMetadata {
    pub(super) endpoint: String,
    /// Whether to fall back to version 1, without a session token.
    pub(super) first_version: bool,
}

/// Why there are no credentials; terraform would have none either.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// A profile is unusable.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// One of a pair of keys is missing.
    #[error(
        "the backend's `access_key`, `secret_key` and `token` belong together, but one of the keys is missing"
    )]
    HalfAPair,
    /// A token without a role.
    #[error("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")]
    NoRoleForToken,
    /// `credential_source = Environment` without keys in the environment.
    #[error("the profile `{profile}` takes its keys from the environment, but there are none")]
    NoKeysInEnvironment {
        /// The profile.
        profile: String,
    },
    /// A container endpoint on the network without TLS.
    #[error("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither `https` nor on this machine")]
    ForeignContainer,
    /// An unknown address mode of the instance metadata service.
    #[error("the mode of the EC2 metadata endpoint is `{mode}`; it must be `IPv4` or `IPv6`")]
    MetadataMode {
        /// The value.
        mode: String,
    },
    /// No source of credentials is set, and the instance metadata service is switched off.
    #[error("no AWS credentials were found: no keys, no profile with credentials, no role")]
    Nothing,
}

impl From<Source> for Identity {
    fn from(source: Source) -> Self {
        Self {
            source,
            roles: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;

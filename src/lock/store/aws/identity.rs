//! Whose credentials sign the requests: terraform's choice among everything that could, as a plan.
//!
//! Pure but for the files that were read before. `docs/aws-identity.md` has the rules as a table with their sources:
//! terraform's S3 backend, `credentials.go` of aws-sdk-go-base and `config/resolve_credentials.go` of aws-sdk-go-v2.

mod choice;
mod of_profile;
mod surroundings;

use std::path::PathBuf;

pub(super) use self::choice::{current_profile, resolve};
use super::endpoints::Endpoint;
use super::profile::ProfileError;
use super::settings::{Role, StaticKeys, WebIdentity};

/// Where the first credentials come from, and the roles that are assumed with them, each with those of the one before.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) source: Source,
    pub(super) roles: Vec<Assumed<Role>>,
}

/// The first credentials.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Keys(StaticKeys),
    WebIdentity(Assumed<WebIdentity>),
    SingleSignOn(SingleSignOn),
    Process(Process),
    Container(Container),
    InstanceMetadata(InstanceMetadata),
}

/// A role, and the STS that hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assumed<T> {
    pub(super) role: T,
    pub(super) endpoint: Option<Endpoint>,
    /// Where it is not the run's own.
    pub(super) region: Option<String>,
}

/// A role of IAM Identity Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SingleSignOn {
    pub(super) profile: String,
    /// The `sso-session`; without one the token belongs to the start URL and is never renewed.
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
    pub(super) endpoint: Option<Endpoint>,
    /// Of the service that renews tokens.
    pub(super) token_endpoint: Option<Endpoint>,
    /// Where tokens are kept.
    pub(super) cache: Option<PathBuf>,
}

/// A program that prints credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) profile: String,
    pub(super) command: String,
    /// Where it is started.
    pub(super) directory: PathBuf,
}

/// An endpoint that gives a container its credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) url: String,
    pub(super) authorization: Option<String>,
    /// A file that is read each time, and goes before the text.
    pub(super) authorization_file: Option<PathBuf>,
}

/// Without the authorization.
impl std::fmt::Debug for Container {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Container");
        shown.field("url", &self.url).finish_non_exhaustive()
    }
}

/// The metadata service of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstanceMetadata {
    pub(super) endpoint: String,
    /// Whether it may be asked without a session token where it knows none.
    pub(super) first_version: bool,
}

/// Why there are no credentials. terraform has none either.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// A profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Half of a pair of keys.
    #[error(
        "the backend's `access_key`, `secret_key` and `token` count together, and one of the keys is missing"
    )]
    HalfAPair,
    /// A token without a role.
    #[error("AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not")]
    NoRoleForToken,
    /// `credential_source = Environment` without keys in the environment.
    #[error("the profile `{profile}` takes its keys from the environment, and there are none")]
    NoKeysInEnvironment {
        /// The profile.
        profile: String,
    },
    /// A container's endpoint that would be told to the network in clear.
    #[error("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither `https` nor on this machine")]
    ForeignContainer,
    /// Which address of the instance metadata service is meant cannot be told.
    #[error("the mode of the EC2 metadata endpoint is `{mode}`, and not `IPv4` or `IPv6`")]
    MetadataMode {
        /// What was given.
        mode: String,
    },
    /// Nothing names credentials, and the instance metadata service is switched off.
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

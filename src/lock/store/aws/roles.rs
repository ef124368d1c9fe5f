//! Roles that are assumed before a lock is touched: terraform's `assume_role` and `assume_role_with_web_identity`.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};

use super::classify::classify;
use super::settings::{AwsSettings, Role, WebIdentity, WebIdentityToken};
use crate::lock::store::StoreErrorKind;

/// How soon before their end a role's credentials are fetched anew is the SDK's affair; this is what a role
/// whose answer names no end is taken to last.
const UNNAMED_SESSION: Duration = Duration::from_mins(15);

/// The same configuration with the credentials of the roles that the settings name, each assumed with those of the
/// one before.
pub(super) fn with_roles(mut config: SdkConfig, settings: &AwsSettings) -> SdkConfig {
    let web_identity = settings.web_identity.clone().map(Assumed::WebIdentity);
    let role = settings.role.clone().map(Assumed::Role);
    for assumed in web_identity.into_iter().chain(role) {
        let provider = RoleCredentials {
            client: sts_client(&config, settings),
            assumed,
        };
        config = config
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .build();
    }
    config
}

fn sts_client(config: &SdkConfig, settings: &AwsSettings) -> aws_sdk_sts::Client {
    let mut builder = aws_sdk_sts::config::Builder::from(config);
    if let Some(endpoint) = &settings.sts_endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    if let Some(region) = &settings.sts_region {
        builder = builder.region(Region::new(region.clone()));
    }
    aws_sdk_sts::Client::from_conf(builder.build())
}

#[derive(Clone)]
enum Assumed {
    Role(Role),
    WebIdentity(WebIdentity),
}

/// Credentials of an assumed role. The SDK's own provider lacks source identity and transitive tags.
struct RoleCredentials {
    client: aws_sdk_sts::Client,
    assumed: Assumed,
}

impl std::fmt::Debug for RoleCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RoleCredentials")
            .finish_non_exhaustive()
    }
}

impl RoleCredentials {
    async fn assume(&self) -> provider::Result {
        let credentials = match &self.assumed {
            Assumed::Role(role) => self.assume_role(role).await,
            Assumed::WebIdentity(identity) => self.assume_with_web_identity(identity).await,
        }?
        .ok_or_else(|| CredentialsError::unhandled("STS answered without credentials"))?;
        let expires = SystemTime::try_from(credentials.expiration)
            .unwrap_or_else(|_| SystemTime::now() + UNNAMED_SESSION);
        Ok(Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            Some(expires),
            "assumed role",
        ))
    }

    async fn assume_role(
        &self,
        role: &Role,
    ) -> Result<Option<aws_sdk_sts::types::Credentials>, CredentialsError> {
        let tags = role
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(CredentialsError::invalid_configuration)?;
        let answer = self
            .client
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(session_name(role))
            .set_external_id(role.external_id.clone())
            .set_duration_seconds(session_seconds(role))
            .set_policy(role.policy.clone())
            .set_policy_arns(policy_arns(role))
            .set_source_identity(role.source_identity.clone())
            .set_tags(Some(tags).filter(|tags| !tags.is_empty()))
            .set_transitive_tag_keys(
                Some(role.transitive_tag_keys.clone()).filter(|keys| !keys.is_empty()),
            )
            .send()
            .await
            .map_err(|error| refused("AssumeRole", &role.arn, &error))?;
        Ok(answer.credentials)
    }

    async fn assume_with_web_identity(
        &self,
        identity: &WebIdentity,
    ) -> Result<Option<aws_sdk_sts::types::Credentials>, CredentialsError> {
        let token = match &identity.token {
            WebIdentityToken::Literal(token) => token.clone(),
            WebIdentityToken::File(path) => std::fs::read_to_string(path).map_err(|error| {
                CredentialsError::invalid_configuration(format!(
                    "web identity token file `{}`: {error}",
                    path.display()
                ))
            })?,
        };
        let role = &identity.role;
        let answer = self
            .client
            .assume_role_with_web_identity()
            .role_arn(&role.arn)
            .role_session_name(session_name(role))
            .web_identity_token(token.trim())
            .set_duration_seconds(session_seconds(role))
            .set_policy(role.policy.clone())
            .set_policy_arns(policy_arns(role))
            .send()
            .await
            .map_err(|error| refused("AssumeRoleWithWebIdentity", &role.arn, &error))?;
        Ok(answer.credentials)
    }
}

impl ProvideCredentials for RoleCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

fn session_name(role: &Role) -> String {
    role.session_name
        .clone()
        .unwrap_or_else(|| "tflock".to_owned())
}

fn session_seconds(role: &Role) -> Option<i32> {
    i32::try_from(role.duration?.as_secs()).ok()
}

fn policy_arns(role: &Role) -> Option<Vec<PolicyDescriptorType>> {
    let arns: Vec<_> = role
        .policy_arns
        .iter()
        .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
        .collect();
    Some(arns).filter(|arns| !arns.is_empty())
}

fn refused<E>(action: &'static str, arn: &str, error: &SdkError<E>) -> CredentialsError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, message) = classify(error);
    CredentialsError::provider_error(RoleRefused {
        action,
        arn: arn.to_owned(),
        kind,
        message,
    })
}

/// A role that STS did not hand out.
#[derive(Debug, thiserror::Error)]
#[error("{action} of `{arn}`: {message}")]
pub(super) struct RoleRefused {
    action: &'static str,
    arn: String,
    pub(super) kind: StoreErrorKind,
    message: String,
}

//! Assumes roles through the Security Token Service. The SDK's own provider lacks source identity and transitive tags.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};

use super::classify::classify;
use super::endpoints::at;
use super::identity::Assumed;
use super::refused::IdentityRefused;
use super::settings::{Role, WebIdentity, WebIdentityToken};
use crate::lock::store::StoreErrorKind;

/// The assumed duration of a session whose answer has no expiry.
const UNNAMED_SESSION: Duration = Duration::from_mins(15);

/// Assumes a role with the credentials of `caller`.
pub(super) async fn assume(
    config: &SdkConfig,
    caller: Credentials,
    assumed: &Assumed<Role>,
) -> Result<Credentials, IdentityRefused> {
    let role = &assumed.role;
    let tags = role
        .tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            let message = format!("the tags of the role `{}`: {error}", role.arn);
            IdentityRefused::new(StoreErrorKind::CredentialsMissing, message)
        })?;
    let caller = SharedCredentialsProvider::new(caller);
    let signing = config.to_builder().credentials_provider(caller).build();
    let answer = client(&signing, assumed)
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
    keys(answer.credentials)
}

pub(super) async fn assume_with_web_identity(
    config: &SdkConfig,
    assumed: &Assumed<WebIdentity>,
) -> Result<Credentials, IdentityRefused> {
    let token = match &assumed.role.token {
        WebIdentityToken::Literal(token) => token.clone(),
        WebIdentityToken::File(path) => std::fs::read_to_string(path).map_err(|error| {
            let message = format!("web identity token file `{}`: {error}", path.display());
            IdentityRefused::new(StoreErrorKind::CredentialsMissing, message)
        })?,
    };
    let role = &assumed.role.role;
    let answer = client(config, assumed)
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
    keys(answer.credentials)
}

fn client<T>(config: &SdkConfig, assumed: &Assumed<T>) -> aws_sdk_sts::Client {
    let own = assumed.endpoint.as_ref();
    let mut builder = aws_sdk_sts::config::Builder::from(&at(own, config));
    builder.set_endpoint_url(own.map(|own| own.url().to_owned()));
    if let Some(region) = &assumed.region {
        builder = builder.region(Region::new(region.clone()));
    }
    aws_sdk_sts::Client::from_conf(builder.build())
}

fn keys(answered: Option<aws_sdk_sts::types::Credentials>) -> Result<Credentials, IdentityRefused> {
    let keys = answered.ok_or_else(|| {
        let message = "STS answered without credentials";
        IdentityRefused::new(StoreErrorKind::CredentialsRejected, message)
    })?;
    let expires = SystemTime::try_from(keys.expiration)
        .unwrap_or_else(|_| SystemTime::now() + UNNAMED_SESSION);
    Ok(Credentials::new(
        keys.access_key_id,
        keys.secret_access_key,
        Some(keys.session_token),
        Some(expires),
        "assumed role",
    ))
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

fn refused<E>(action: &'static str, arn: &str, error: &SdkError<E>) -> IdentityRefused
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, message) = classify(error);
    let kind = match kind {
        // STS denies the role to these credentials.
        kind if kind.is_transient() || kind == StoreErrorKind::Untrusted => kind,
        _ => StoreErrorKind::CredentialsRejected,
    };
    IdentityRefused::new(kind, format!("{action} of `{arn}`: {message}"))
}

//! What the S3 backend recorded, in the order of precedence that terraform gives it, as settings for the clients.

use std::path::{Path, PathBuf};

use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::aws::{AwsSettings, Role, StaticKeys, WebIdentity, WebIdentityToken};
use crate::lock::store::s3::Encryption;
use crate::terraform::Environment;
use crate::terraform::backend::{AssumeRole, AssumeRoleWithWebIdentity, S3Backend, Secret};

/// The settings of a backend; without one, those of the environment that the SDK does not read by itself.
pub(super) fn of(
    s3: Option<&S3Backend>,
    environment: Environment<'_>,
    directory: &Path,
) -> Result<AwsSettings, Failure> {
    let endpoint = |recorded: Option<&String>, service: &str| {
        recorded.map(|url| with_scheme(url)).or_else(|| {
            // The old variable counts only where the new one is not set, which the SDK reads.
            text(environment, &format!("AWS_ENDPOINT_URL_{service}"))
                .is_none()
                .then(|| text(environment, &format!("AWS_{service}_ENDPOINT")))
                .flatten()
        })
    };
    let Some(s3) = s3 else {
        return Ok(AwsSettings {
            dynamodb_endpoint: endpoint(None, "DYNAMODB"),
            s3_endpoint: endpoint(None, "S3"),
            sts_endpoint: endpoint(None, "STS"),
            ca_bundle: text(environment, "AWS_CA_BUNDLE").map(PathBuf::from),
            ..AwsSettings::default()
        });
    };
    if s3.insecure {
        return Err(Failure::new(
            exit_code::CONFIGURATION,
            "the backend's `insecure` is not supported: a lock is worth nothing if anybody can answer for it",
        )
        .hint("name the server's certificate authority with `custom_ca_bundle`"));
    }
    let file = |path: &String| expand(path, directory, environment);
    Ok(AwsSettings {
        region: s3.region.clone(),
        profile: s3.profile.clone(),
        keys: keys(s3),
        dynamodb_endpoint: endpoint(s3.endpoints.dynamodb.as_ref(), "DYNAMODB"),
        s3_endpoint: endpoint(s3.endpoints.s3.as_ref(), "S3"),
        sts_endpoint: endpoint(s3.endpoints.sts.as_ref(), "STS"),
        sts_region: s3.sts_region.clone(),
        shared_config_files: s3.shared_config_files.iter().map(file).collect(),
        shared_credentials_files: s3.shared_credentials_files.iter().map(file).collect(),
        ca_bundle: s3
            .custom_ca_bundle
            .as_ref()
            .map(file)
            .or_else(|| text(environment, "AWS_CA_BUNDLE").map(PathBuf::from)),
        http_proxy: s3.http_proxy.as_ref().map(exposed),
        https_proxy: s3.https_proxy.as_ref().map(exposed),
        no_proxy: s3.no_proxy.clone(),
        use_fips: s3.use_fips_endpoint,
        use_dual_stack: s3.use_dualstack_endpoint,
        path_style: s3.use_path_style,
        web_identity: s3
            .assume_role_with_web_identity
            .as_ref()
            .and_then(|identity| web_identity(identity, environment, directory))
            .or_else(|| ambient_identity(s3, environment)),
        role: s3.assume_role.as_ref().map(role),
    })
}

/// How terraform has its objects encrypted: keys count only where `encrypt` is on (`putObject` in
/// `internal/backend/remote-state/s3/client.go`).
pub(super) fn encryption(s3: &S3Backend, environment: Environment<'_>) -> Encryption {
    if !s3.encrypt {
        return Encryption::NotAsked;
    }
    if let Some(id) = &s3.kms_key_id {
        return Encryption::KmsKey(id.clone());
    }
    let recorded = s3.sse_customer_key.as_ref().map(exposed);
    recorded
        .or_else(|| text(environment, "AWS_SSE_CUSTOMER_KEY"))
        .map_or(Encryption::S3Key, Encryption::CustomerKey)
}

fn exposed(secret: &Secret) -> String {
    secret.expose().to_owned()
}

fn keys(s3: &S3Backend) -> Option<StaticKeys> {
    Some(StaticKeys {
        access_key: exposed(s3.access_key.as_ref()?),
        secret_key: exposed(s3.secret_key.as_ref()?),
        token: s3.token.as_ref().map(exposed),
    })
}

fn role(role: &AssumeRole) -> Role {
    Role {
        arn: role.role_arn.clone(),
        session_name: role.session_name.clone(),
        external_id: role.external_id.clone(),
        duration: role.duration,
        policy: role.policy.clone(),
        policy_arns: role.policy_arns.clone(),
        source_identity: role.source_identity.clone(),
        tags: role.tags.clone().into_iter().collect(),
        transitive_tag_keys: role.transitive_tag_keys.clone(),
    }
}

fn web_identity(
    identity: &AssumeRoleWithWebIdentity,
    environment: Environment<'_>,
    directory: &Path,
) -> Option<WebIdentity> {
    let token = match (
        &identity.web_identity_token,
        &identity.web_identity_token_file,
    ) {
        (Some(token), _) => WebIdentityToken::Literal(exposed(token)),
        (None, Some(path)) => WebIdentityToken::File(expand(path, directory, environment)),
        (None, None) => WebIdentityToken::File(PathBuf::from(text(
            environment,
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        )?)),
    };
    let arn = identity
        .role_arn
        .clone()
        .or_else(|| text(environment, "AWS_ROLE_ARN"))?;
    Some(WebIdentity {
        role: Role {
            arn,
            session_name: identity
                .session_name
                .clone()
                .or_else(|| text(environment, "AWS_ROLE_SESSION_NAME")),
            duration: identity.duration,
            policy: identity.policy.clone(),
            policy_arns: identity.policy_arns.clone(),
            ..Role::default()
        },
        token,
    })
}

/// The identity that a pod or a job was given, in its place among Go's credentials: after keys and a profile that
/// was named, before the default profile. The SDK would look at the default profile first, and would not ask the
/// STS that the backend names.
fn ambient_identity(s3: &S3Backend, environment: Environment<'_>) -> Option<WebIdentity> {
    let recorded = s3.access_key.is_some() || s3.profile.is_some();
    let named = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"]
        .into_iter()
        .any(|name| text(environment, name).is_some());
    if recorded || named {
        return None;
    }
    Some(WebIdentity {
        role: Role {
            arn: text(environment, "AWS_ROLE_ARN")?,
            session_name: text(environment, "AWS_ROLE_SESSION_NAME"),
            ..Role::default()
        },
        token: WebIdentityToken::File(PathBuf::from(text(
            environment,
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        )?)),
    })
}

/// The value of a variable, if it is set to something that is text.
pub(super) fn text(environment: Environment<'_>, name: &str) -> Option<String> {
    environment(name)?
        .into_string()
        .ok()
        .filter(|value| !value.is_empty())
}

/// terraform takes an endpoint without a scheme for `https`.
fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    }
}

/// A path as terraform reads it: `~` is the home directory, all else is relative to where terraform works.
fn expand(path: &str, directory: &Path, environment: Environment<'_>) -> PathBuf {
    match (path.strip_prefix("~/"), environment("HOME")) {
        (Some(inside), Some(home)) => PathBuf::from(home).join(inside),
        _ => directory.join(path),
    }
}

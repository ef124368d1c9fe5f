//! AWS client settings from the S3 backend's record, with terraform's order of precedence.

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::aws::{
    AwsSettings, Role, StaticKeys, Variables, WebIdentity, WebIdentityToken,
};
use crate::lock::store::s3::Encryption;
use crate::terraform::backend::{AssumeRole, AssumeRoleWithWebIdentity, S3Backend, Secret};

/// The settings of a backend; without one, of the environment alone.
pub(super) fn of(
    s3: Option<&S3Backend>,
    environment: Environment<'_>,
    directory: &Path,
) -> Result<AwsSettings, Failure> {
    let endpoint = |recorded: Option<&String>, variables: [&str; 2]| {
        let mut variables = variables.into_iter();
        recorded
            .cloned()
            .or_else(|| variables.find_map(|name| text(environment, name)))
            .map(|url| with_scheme(&url))
    };
    let file = |path: &String| expand(path, directory, environment);
    // terraform reads this variable, and the SDK below it the one with the right name.
    let files = |recorded: Option<&Vec<String>>, variable: &str| match recorded {
        Some(recorded) => Some(recorded.iter().map(file).collect()),
        None => text(environment, variable).map(|path| vec![file(&path)]),
    };
    let none = S3Backend::default();
    let s3 = s3.unwrap_or(&none);
    if s3.insecure {
        return Err(Failure::new(
            exit_code::CONFIGURATION,
            "the backend's `insecure` is not supported: without certificate checks anyone could answer for the lock",
        )
        .hint("set `custom_ca_bundle` to the server's certificate authority"));
    }
    let ca_bundle = s3.custom_ca_bundle.clone();
    let endpoints = &s3.endpoints;
    Ok(AwsSettings {
        region: s3.region.clone(),
        profile: s3.profile.clone(),
        keys: keys(s3),
        dynamodb_endpoint: endpoint(
            endpoints.dynamodb.as_ref(),
            ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_DYNAMODB_ENDPOINT"],
        ),
        s3_endpoint: endpoint(
            endpoints.s3.as_ref(),
            ["AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT"],
        ),
        sts_endpoint: endpoint(
            endpoints.sts.as_ref(),
            ["AWS_ENDPOINT_URL_STS", "AWS_STS_ENDPOINT"],
        ),
        sso_endpoint: endpoint(endpoints.sso.as_ref(), ["AWS_ENDPOINT_URL_SSO"; 2]),
        sts_region: s3.sts_region.clone(),
        metadata_endpoint: s3.ec2_metadata_service_endpoint.clone(),
        metadata_endpoint_mode: s3.ec2_metadata_service_endpoint_mode.clone(),
        skip_metadata: s3.skip_metadata_api_check,
        shared_config_files: files(s3.shared_config_files.as_ref(), "AWS_SHARED_CONFIG_FILE"),
        shared_credentials_files: files(
            s3.shared_credentials_files.as_ref(),
            "AWS_SHARED_CREDENTIALS_FILE",
        )
        .or_else(|| {
            let old = s3.shared_credentials_file.as_ref();
            old.map(|path| vec![file(path)])
        }),
        ca_bundle: ca_bundle
            .or_else(|| text(environment, "AWS_CA_BUNDLE"))
            .map(|path| file(&path)),
        http_proxy: s3.http_proxy.as_ref().map(exposed),
        https_proxy: s3.https_proxy.as_ref().map(exposed),
        no_proxy: s3.no_proxy.clone(),
        use_fips: s3.use_fips_endpoint,
        use_dual_stack: s3.use_dualstack_endpoint,
        path_style: s3.use_path_style,
        web_identity: s3
            .assume_role_with_web_identity
            .as_ref()
            .and_then(|identity| web_identity(identity, environment, directory)),
        role: s3.assume_role.as_ref().map(role),
        variables: Variables::of(environment),
        directory: directory.to_owned(),
    })
}

/// How terraform encrypts its objects: keys count only if `encrypt` is on (`putObject` in
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

/// The recorded keys: any of the three makes terraform ignore the environment's.
fn keys(s3: &S3Backend) -> Option<StaticKeys> {
    let (access_key, secret_key, token) = (&s3.access_key, &s3.secret_key, &s3.token);
    if access_key.is_none() && secret_key.is_none() && token.is_none() {
        return None;
    }
    let text = |secret: &Option<Secret>| secret.as_ref().map(exposed).unwrap_or_default();
    Some(StaticKeys {
        access_key: text(access_key),
        secret_key: text(secret_key),
        token: token.as_ref().map(exposed),
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

/// The value of a variable, if it is non-empty UTF-8.
pub(super) fn text(environment: Environment<'_>, name: &str) -> Option<String> {
    environment(name)?
        .into_string()
        .ok()
        .filter(|value| !value.is_empty())
}

/// Without a scheme, terraform uses `https`.
fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    }
}

/// A path as terraform expands it: variables, `~` for the home directory, relative to its working directory.
fn expand(path: &str, directory: &Path, environment: Environment<'_>) -> PathBuf {
    let path = with_variables(path, environment);
    let inside = path
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (inside, environment("HOME")) {
        (Some(inside), Some(home)) => PathBuf::from(home).join(inside.trim_start_matches('/')),
        _ => directory.join(path),
    }
}

/// Replaces `$NAME` and `${NAME}` like Go's `os.ExpandEnv`; unset variables become empty.
fn with_variables(path: &str, environment: Environment<'_>) -> String {
    let mut expanded = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let end = |text: &str| {
            let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
            text.find(|character| !is_part(character))
                .unwrap_or(text.len())
        };
        let (name, left) = match after
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
        {
            Some(found) => found,
            None => after.split_at(end(after)),
        };
        if name.is_empty() {
            expanded.push('$');
        }
        expanded.push_str(&text(environment, name).unwrap_or_default());
        rest = left;
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_expanded_as_terraform_does() {
        let environment = |name: &str| match name {
            "HOME" => Some("/home/ana".into()),
            "DIR" => Some("d".into()),
            _ => None,
        };
        for (path, expanded) in [
            ("a/b", "/work/a/b"),
            ("/a", "/a"),
            ("~/a", "/home/ana/a"),
            ("~ana/a", "/work/~ana/a"),
            ("$HOME/a", "/home/ana/a"),
            ("${DIR}x/$DIR/$NONE", "/work/dx/d/"),
            ("$", "/work/$"),
        ] {
            let found = expand(path, Path::new("/work"), &environment);
            assert_eq!(found, Path::new(expanded), "{path}");
        }
    }
}

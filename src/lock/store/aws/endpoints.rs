//! The endpoint of each service: its own, else the one for all services, by the rules of Go's SDK.
//!
//! Sources: `Configure` in terraform's `internal/backend/remote-state/s3/backend.go`, `resolveBaseEndpoint` in each
//! service and in `config/resolve.go` of aws-sdk-go-v2.

use aws_config::SdkConfig;

use super::profile::Profile;
use super::settings::AwsSettings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Dynamodb,
    S3,
    Sts,
    Sso,
    SsoOidc,
}

/// An endpoint that is not Amazon's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Set for that service, in the backend or in a variable that terraform reads.
    Own(String),
    /// Found by the SDK itself.
    Configured(String),
}

impl Service {
    /// Its name in a `services` section.
    fn name(self) -> &'static str {
        match self {
            Self::Dynamodb => "dynamodb",
            Self::S3 => "s3",
            Self::Sts => "sts",
            Self::Sso => "sso",
            Self::SsoOidc => "sso_oidc",
        }
    }
}

/// Which part of the SDK looks for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The credential chain, which does not know the endpoint for all services yet.
    Chain,
    /// A client, later.
    Client,
}

impl Endpoint {
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Own(url) | Self::Configured(url) => url,
        }
    }
}

/// The configuration for a client with that endpoint; a custom one ignores the FIPS and dual-stack settings.
pub(super) fn at(endpoint: Option<&Endpoint>, config: &SdkConfig) -> SdkConfig {
    let config = config.to_builder();
    match endpoint {
        Some(Endpoint::Own(_)) => config.use_fips(false).use_dual_stack(false).build(),
        _ => config.build(),
    }
}

/// The endpoint of a service; `None` for Amazon's.
pub(super) fn endpoint(
    settings: &AwsSettings,
    profile: Option<&Profile>,
    service: Service,
    asker: Asker,
) -> Option<Endpoint> {
    let own = match service {
        Service::Dynamodb => &settings.dynamodb_endpoint,
        Service::S3 => &settings.s3_endpoint,
        Service::Sts => &settings.sts_endpoint,
        Service::Sso => &settings.sso_endpoint,
        Service::SsoOidc => &None,
    };
    if let Some(own) = own {
        return Some(Endpoint::Own(own.clone()));
    }
    let variables = &settings.variables;
    let ignored = match variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        Some(value) => value.eq_ignore_ascii_case("true"),
        None => profile
            .and_then(|profile| profile.switch("ignore_configured_endpoint_urls"))
            .unwrap_or(false),
    };
    if ignored {
        return None;
    }
    let general = variables
        .get("AWS_ENDPOINT_URL")
        .or_else(|| profile?.text("endpoint_url"))
        .filter(|_| asker == Asker::Client);
    let variable = format!("AWS_ENDPOINT_URL_{}", service.name().to_uppercase());
    let special = variables
        .get(&variable)
        .or_else(|| profile?.service_endpoint(service.name()))
        // A variable for all services, even an empty one, beats a profile's setting for one.
        .filter(|_| !variables.is_set("AWS_ENDPOINT_URL") || variables.is_set(&variable));
    let configured = special.or(general)?;
    Some(Endpoint::Configured(configured.to_owned()))
}

//! AWS clients as terraform's S3 backend would create them: recorded settings first, then the usual environment
//! variables and files. Each request is attempted once: the protocol above retries, because the caller must know when a
//! conditional write was repeated.
//!
//! The SDK is kept from reading variables and files: its rules differ from terraform's, and it panics on some values.
//! `docs/aws-identity.md` has the rules used instead.

mod answers;
mod checkup;
mod classify;
mod clients;
mod connection;
mod container;
mod credentials;
mod endpoints;
mod fetch;
mod http;
mod identity;
mod ini;
mod instance_metadata;
mod json_keys;
mod process;
mod profile;
mod proxies;
mod refused;
mod roles;
mod settings;
mod single_sign_on;
mod wire;

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

pub use self::checkup::{Caller, ClockDifference};
pub(super) use self::classify::classify;
pub(super) use self::connection::Connection;
use self::credentials::{Found, Outcome, SharedIdentity};
use self::endpoints::{Asker, Endpoint, Service};
use self::fetch::Fetch;
use self::http::ConnectOnDemand;
use self::identity::{IdentityError, current_profile};
use self::profile::{Profile, Profiles};
use self::proxies::Proxies;
use self::refused::IdentityRefused;
pub use self::settings::{AwsSettings, Role, StaticKeys, Variables, WebIdentity, WebIdentityToken};
pub(super) use self::wire::{Server, Wire};
use super::{SET_UP, StoreError, StoreErrorKind};

/// How long one request may take; lock requests take milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Configuration and endpoints of one run's clients.
#[derive(Clone)]
pub struct AwsAccess {
    settings: AwsSettings,
    fetch: Fetch,
    apart: SharedHttpClient,
    region: Region,
    dynamodb: Option<Endpoint>,
    s3: Option<Endpoint>,
    sts: Option<Endpoint>,
    config: SdkConfig,
    identity: SharedIdentity,
    wire: Wire,
}

impl AwsAccess {
    /// Sets up region, credentials and HTTP client. Runs a program that provides credentials; sends no requests.
    ///
    /// # Errors
    /// A missing region or profile, unavailable credentials, an unreadable CA bundle, an unusable proxy.
    pub async fn load(settings: AwsSettings) -> Result<Self, StoreError> {
        let profiles =
            Profiles::read(&settings).map_err(|error| refused(IdentityError::from(error)))?;
        let profile = current_profile(&settings, &profiles)
            .map_err(|error| refused(IdentityError::from(error)))?;
        let profile = profile.as_ref();
        let http_client = http_client(&settings, profile)?;
        let apart = SharedHttpClient::new(http_client.apart());
        let fetch = Fetch {
            as_aws: SharedHttpClient::new(http_client),
            by_environment: SharedHttpClient::new(ConnectOnDemand::new(
                Proxies::of_environment(&settings.variables),
                None,
            )?),
        };
        let region = region(&settings, profile).ok_or_else(|| {
            settings_error(
                StoreErrorKind::RegionMissing,
                "no AWS region is set".to_owned(),
            )
        })?;
        let config = sdk_config(&settings, profile, &fetch.as_aws, &region);
        let endpoint = |service| endpoints::endpoint(&settings, profile, service, Asker::Client);
        let access = Self {
            identity: shared_identity(&settings, &profiles, &config, &fetch),
            dynamodb: endpoint(Service::Dynamodb),
            s3: endpoint(Service::S3),
            sts: endpoint(Service::Sts),
            config,
            fetch,
            apart,
            region,
            settings,
            wire: Wire::default(),
        };
        access.identity.check().await.map_err(refused)?;
        Ok(access)
    }

    /// The same access that looks for credentials again: found credentials are cached, and so are the files.
    fn with_new_credentials(&self) -> Self {
        let identity = match Profiles::read(&self.settings) {
            Ok(profiles) => shared_identity(&self.settings, &profiles, &self.config, &self.fetch),
            Err(error) => SharedIdentity::new(
                Err(IdentityError::from(error).into()),
                self.config.clone(),
                self.fetch.clone(),
            ),
        };
        Self {
            identity,
            ..self.clone()
        }
    }

    /// The same access with its own watch on the connection, for one store.
    pub(super) fn watched(&self) -> Self {
        Self {
            wire: Wire::default(),
            ..self.clone()
        }
    }

    /// The same access with its own connections, for concurrent requests: a shared connection would first have to become
    /// free, or another be made just then.
    pub(super) fn apart(&self) -> Self {
        let mut access = self.clone();
        access.fetch.as_aws = self.apart.clone();
        access
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    async fn credentials(&self) -> Outcome {
        self.identity.credentials().await
    }

    /// The same access for clients that sign with exactly these credentials.
    fn signing_with(&self, found: Outcome) -> Self {
        let provider = SharedCredentialsProvider::new(Found(found));
        Self {
            config: self
                .config
                .to_builder()
                .credentials_provider(provider)
                .build(),
            ..self.clone()
        }
    }

    /// The configuration of a client. A client without credentials fetches them itself.
    fn client_config(&self) -> SdkConfig {
        let config = self.config.to_builder();
        let config = config.http_client(self.wire.around(&self.fetch.as_aws));
        if self.config.credentials_provider().is_some() {
            return config.build();
        }
        let provider = SharedCredentialsProvider::new(self.identity.clone());
        config.credentials_provider(provider).build()
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }
}

fn http_client(
    settings: &AwsSettings,
    profile: Option<&Profile>,
) -> Result<ConnectOnDemand, StoreError> {
    let recorded = [&settings.http_proxy, &settings.https_proxy];
    let mut recorded = recorded
        .into_iter()
        .flatten()
        .filter(|proxy| !proxy.is_empty());
    // The value may contain a password.
    if !recorded.all(|proxy| http::is_address(proxy)) {
        return Err(StoreError {
            remedy: Some(
                "correct `http_proxy` and `https_proxy` in the backend and run `tflock init`"
                    .to_owned(),
            ),
            ..settings_error(
                StoreErrorKind::Unsuitable,
                "the backend's proxy is not a URL".to_owned(),
            )
        });
    }
    let of_profile = profile.and_then(|profile| profile.text("ca_bundle"));
    let ca_bundle = settings
        .ca_bundle
        .clone()
        .or_else(|| of_profile.map(|path| settings.path(path)));
    let proxies = Proxies::of(settings);
    ConnectOnDemand::new(proxies, ca_bundle.as_deref())
}

/// The recorded region, else the environment's, else the profile's. Never the metadata service's: asking it takes
/// seconds if there is none, and terraform does not ask either.
fn region(settings: &AwsSettings, profile: Option<&Profile>) -> Option<Region> {
    let variables = &settings.variables;
    let named = settings
        .region
        .as_deref()
        .or_else(|| variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
        .or_else(|| profile?.text("region"));
    named.map(|name| Region::new(name.to_owned()))
}

fn sdk_config(
    settings: &AwsSettings,
    profile: Option<&Profile>,
    http_client: &SharedHttpClient,
    region: &Region,
) -> SdkConfig {
    let of_profile = |key| profile.and_then(|profile| profile.switch(key));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client.clone())
        .region(region.clone())
        .use_fips(settings.fips(of_profile("use_fips_endpoint")))
        .use_dual_stack(settings.dual_stack(of_profile("use_dualstack_endpoint")))
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .retry_config(RetryConfig::standard())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        .build()
}

fn shared_identity(
    settings: &AwsSettings,
    profiles: &Profiles,
    config: &SdkConfig,
    fetch: &Fetch,
) -> SharedIdentity {
    let plan = identity::resolve(settings, profiles).map_err(IdentityRefused::from);
    SharedIdentity::new(plan, config.clone(), fetch.clone())
}

fn refused(refused: impl Into<IdentityRefused>) -> StoreError {
    let refused = refused.into();
    StoreError {
        remedy: refused.remedy.clone(),
        ..settings_error(refused.kind, refused.to_string())
    }
}

fn settings_error(kind: StoreErrorKind, message: String) -> StoreError {
    StoreError {
        action: SET_UP,
        place: "AWS".to_owned(),
        kind,
        message,
        remedy: None,
    }
}

//! AWS clients as terraform's S3 backend would make them: what the backend recorded comes first, then the
//! usual environment variables and files. One attempt for each call, because whoever repeats a conditional
//! write must know that it did; the protocol above does.

mod answers;
mod classify;
mod connection;
mod http;
mod roles;
mod settings;
mod wire;

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub(super) use self::classify::classify;
pub(super) use self::connection::Connection;
use self::http::ConnectOnDemand;
use self::roles::with_roles;
pub use self::settings::{AwsSettings, Role, StaticKeys, WebIdentity, WebIdentityToken};
pub(super) use self::wire::{Server, Wire};
use super::{SET_UP, StoreError, StoreErrorKind};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take; the lock's requests take milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The services that keep locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A table.
    DynamoDb,
    /// A bucket.
    S3,
}

/// Configuration and endpoints for the clients of one run.
#[derive(Clone)]
pub struct AwsAccess {
    settings: AwsSettings,
    http_client: SharedHttpClient,
    region: Region,
    config: SdkConfig,
    wire: Wire,
}

impl AwsAccess {
    /// Puts together region, credentials and HTTP client; makes no connection.
    ///
    /// # Errors
    /// A region that is missing, a CA bundle that cannot be read, a proxy that is no URL.
    pub async fn load(settings: AwsSettings) -> Result<Self, StoreError> {
        let http_client = SharedHttpClient::new(ConnectOnDemand::new(&settings)?);
        let region = settings.region().await.ok_or_else(|| {
            settings_error(
                StoreErrorKind::RegionMissing,
                "no AWS region is set".to_owned(),
            )
        })?;
        Ok(Self {
            config: sdk_config(&settings, &http_client, &region).await,
            settings,
            http_client,
            region,
            wire: Wire::default(),
        })
    }

    /// The same with credentials that are looked for anew: the SDK keeps those that it has found once, and the
    /// files that it has read.
    async fn with_new_credentials(&self) -> Self {
        let config = sdk_config(&self.settings, &self.http_client, &self.region).await;
        Self {
            config,
            ..self.clone()
        }
    }

    /// The same access, watched apart from all others: for one store.
    pub(super) fn watched(&self) -> Self {
        Self {
            wire: Wire::default(),
            ..self.clone()
        }
    }

    /// What is known of its requests.
    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The region that was found.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// What tells the endpoint of a service from others: its address where it is not the region's own.
    #[must_use]
    pub fn endpoint_of(&self, service: Service) -> String {
        let own = match service {
            Service::DynamoDb => &self.settings.dynamodb_endpoint,
            Service::S3 => &self.settings.s3_endpoint,
        };
        let general = self.config.endpoint_url();
        let address = own.as_deref().or(general).unwrap_or_default();
        let is = |set: Option<bool>| set.unwrap_or_default();
        format!(
            "{address} fips={} dualstack={}",
            is(self.config.use_fips()),
            is(self.config.use_dual_stack())
        )
    }

    /// A DynamoDB client that tries each request once.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.config)
            .http_client(self.wire.around(&self.http_client))
            .retry_config(RetryConfig::disabled());
        if let Some(endpoint) = &self.settings.dynamodb_endpoint {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// An S3 client that tries each request once.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.config)
            .http_client(self.wire.around(&self.http_client))
            .retry_config(RetryConfig::disabled())
            .force_path_style(self.settings.path_style);
        if let Some(endpoint) = &self.settings.s3_endpoint {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }
}

async fn sdk_config(
    settings: &AwsSettings,
    http_client: &SharedHttpClient,
    region: &Region,
) -> SdkConfig {
    let files = settings.profile_files();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client.clone())
        .region(region.clone())
        .profile_files(files.clone())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        );
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(keys) = &settings.keys {
        loader = loader.credentials_provider(keys.credentials());
    } else if let Some(profile) = &settings.profile {
        let provider_config = ProviderConfig::without_region()
            .with_http_client(http_client.clone())
            .with_region(Some(region.clone()));
        loader = loader.credentials_provider(
            ProfileFileCredentialsProvider::builder()
                .configure(&provider_config)
                .profile_files(files)
                .profile_name(profile)
                .build(),
        );
    }
    if let Some(fips) = settings.use_fips {
        loader = loader.use_fips(fips);
    }
    if let Some(dual_stack) = settings.use_dual_stack {
        loader = loader.use_dual_stack(dual_stack);
    }
    with_roles(loader.load().await, settings)
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

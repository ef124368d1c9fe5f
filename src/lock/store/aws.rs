//! AWS clients as terraform's S3 backend would make them: what the backend recorded comes first, then the
//! usual environment variables and files. One attempt for each call, because whoever repeats a conditional
//! write must know that it did; the protocol above does.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_smithy_http_client::proxy::{ProxyConfig, ProxyError};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{SET_UP, StoreError, StoreErrorKind};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take; the lock's requests take milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon before their end a role's credentials are fetched anew is the SDK's affair; this is what a role
/// whose answer names no end is taken to last.
const UNNAMED_SESSION: Duration = Duration::from_mins(15);

/// What a backend recorded about its AWS access. Everything is optional; what is absent comes from the usual
/// environment variables and files.
#[derive(Clone, Default)]
pub struct AwsSettings {
    /// AWS region.
    pub region: Option<String>,
    /// Profile of the shared files; named here it goes before keys in the environment.
    pub profile: Option<String>,
    /// Access key, secret key and session token, where they were recorded.
    pub keys: Option<StaticKeys>,
    /// Endpoint URL of DynamoDB.
    pub dynamodb_endpoint: Option<String>,
    /// Endpoint URL of S3.
    pub s3_endpoint: Option<String>,
    /// Endpoint URL of STS.
    pub sts_endpoint: Option<String>,
    /// Region of STS, where it is another.
    pub sts_region: Option<String>,
    /// Files in the place of `~/.aws/config`.
    pub shared_config_files: Vec<PathBuf>,
    /// Files in the place of `~/.aws/credentials`.
    pub shared_credentials_files: Vec<PathBuf>,
    /// PEM file of the only authorities to trust.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for `http` endpoints.
    pub http_proxy: Option<String>,
    /// Proxy for `https` endpoints.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without a proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// FIPS endpoints.
    pub use_fips: Option<bool>,
    /// Dual-stack endpoints.
    pub use_dual_stack: Option<bool>,
    /// Buckets in the path, not in the host name.
    pub path_style: bool,
    /// A role to assume with a web identity token; it comes before `assume_role`.
    pub web_identity: Option<WebIdentity>,
    /// A role to assume.
    pub role: Option<Role>,
}

/// Keys that stand in the backend's record.
#[derive(Clone)]
pub struct StaticKeys {
    /// Access key ID.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token.
    pub token: Option<String>,
}

/// terraform's `assume_role`.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// Session name.
    pub session_name: Option<String>,
    /// External ID.
    pub external_id: Option<String>,
    /// How long the session lasts.
    pub duration: Option<Duration>,
    /// Session policy as JSON.
    pub policy: Option<String>,
    /// ARNs of session policies.
    pub policy_arns: Vec<String>,
    /// Source identity.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: Vec<(String, String)>,
    /// Keys of tags that go on to chained roles.
    pub transitive_tag_keys: Vec<String>,
}

/// terraform's `assume_role_with_web_identity`.
#[derive(Clone)]
pub struct WebIdentity {
    /// The role; of its fields ARN, session name, duration and policies are used.
    pub role: Role,
    /// Where the token comes from.
    pub token: WebIdentityToken,
}

/// A web identity token.
#[derive(Clone)]
pub enum WebIdentityToken {
    /// The token itself.
    Literal(String),
    /// A file that is read each time, because it is renewed.
    File(PathBuf),
}

/// Configuration and endpoints for the clients of one run.
#[derive(Clone)]
pub struct AwsAccess {
    config: SdkConfig,
    settings: AwsSettings,
}

impl AwsAccess {
    /// Puts together region, credentials and HTTP client; makes no connection.
    ///
    /// # Errors
    /// A region that is missing, a CA bundle that cannot be read, a proxy that is no URL.
    pub async fn load(settings: AwsSettings) -> Result<Self, StoreError> {
        let http_client = SharedHttpClient::new(ConnectOnDemand::new(&settings)?);
        let files = profile_files(&settings);
        let region = region(&settings, &files).await.ok_or_else(|| {
            settings_error(
                StoreErrorKind::RegionMissing,
                "no AWS region is set".to_owned(),
            )
        })?;
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
                .with_http_client(http_client)
                .with_region(Some(region));
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
        let mut config = loader.load().await;
        for assumed in assumed_roles(&settings) {
            let provider = RoleCredentials {
                client: sts_client(&config, &settings),
                assumed,
            };
            config = config
                .into_builder()
                .credentials_provider(SharedCredentialsProvider::new(provider))
                .build();
        }
        Ok(Self { config, settings })
    }

    /// A DynamoDB client that tries each request once.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.config)
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
            .retry_config(RetryConfig::disabled())
            .force_path_style(self.settings.path_style);
        if let Some(endpoint) = &self.settings.s3_endpoint {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_s3::Client::from_conf(config.build())
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

fn profile_files(settings: &AwsSettings) -> EnvConfigFiles {
    let mut builder = EnvConfigFiles::builder();
    if settings.shared_config_files.is_empty() {
        builder = builder.include_default_config_file(true);
    }
    for file in &settings.shared_config_files {
        builder = builder.with_file(EnvConfigFileKind::Config, file);
    }
    if settings.shared_credentials_files.is_empty() {
        builder = builder.include_default_credentials_file(true);
    }
    for file in &settings.shared_credentials_files {
        builder = builder.with_file(EnvConfigFileKind::Credentials, file);
    }
    builder.build()
}

/// The recorded region, else that of the environment, else the profile's. Not the metadata service's: asking
/// it takes seconds where there is none, and terraform does not ask it either.
async fn region(settings: &AwsSettings, files: &EnvConfigFiles) -> Option<Region> {
    if let Some(region) = &settings.region {
        return Some(Region::new(region.clone()));
    }
    let mut profile = ProfileFileRegionProvider::builder().profile_files(files.clone());
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .region()
        .await
}

impl StaticKeys {
    fn credentials(&self) -> Credentials {
        Credentials::new(
            &self.access_key,
            &self.secret_key,
            self.token.clone(),
            None,
            "backend record",
        )
    }
}

/// The roles to assume, each with the credentials of the one before.
fn assumed_roles(settings: &AwsSettings) -> Vec<Assumed> {
    let web_identity = settings.web_identity.clone().map(Assumed::WebIdentity);
    let role = settings.role.clone().map(Assumed::Role);
    web_identity.into_iter().chain(role).collect()
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
struct RoleRefused {
    action: &'static str,
    arn: String,
    kind: StoreErrorKind,
    message: String,
}

/// An HTTP client that loads certificates when the first secure connection is made: reading the system's
/// takes longer than all else that a start does, and an `http` endpoint needs none.
#[derive(Clone, Debug)]
struct ConnectOnDemand(Arc<Clients>);

struct Clients {
    plain: SharedHttpClient,
    secure: OnceLock<SharedHttpClient>,
    proxy: ProxyConfig,
    ca_bundle: Option<Vec<u8>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl ConnectOnDemand {
    fn new(settings: &AwsSettings) -> Result<Self, StoreError> {
        let ca_bundle = match &settings.ca_bundle {
            Some(path) => Some(read_ca_bundle(path)?),
            None => None,
        };
        let no_proxy = settings.no_proxy.as_deref();
        let proxy = proxy_config(settings.http_proxy.as_deref(), no_proxy, ProxyConfig::http)?;
        let plain = Builder::new().build_with_connector_fn(move |settings, components| {
            connector(settings, components, &proxy).build_http()
        });
        Ok(Self(Arc::new(Clients {
            plain,
            secure: OnceLock::new(),
            proxy: proxy_config(
                settings.https_proxy.as_deref(),
                no_proxy,
                ProxyConfig::https,
            )?,
            ca_bundle,
        })))
    }
}

impl Clients {
    fn for_uri(&self, uri: &str) -> Result<&SharedHttpClient, ConnectorError> {
        if uri.starts_with("http:") {
            return Ok(&self.plain);
        }
        if let Some(secure) = self.secure.get() {
            return Ok(secure);
        }
        let trust = match &self.ca_bundle {
            Some(pem) => TrustStore::empty().with_pem_certificate(pem.as_slice()),
            None => TrustStore::default(),
        };
        let context = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let proxy = self.proxy.clone();
        let secure = Builder::new().build_with_connector_fn(move |settings, components| {
            connector(settings, components, &proxy)
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(context.clone())
                .build()
        });
        Ok(self.secure.get_or_init(|| secure))
    }
}

impl HttpClient for ConnectOnDemand {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(OnDemandConnector {
            clients: Arc::clone(&self.0),
            settings: settings.clone(),
            components: components.clone(),
        })
    }
}

#[derive(Debug)]
struct OnDemandConnector {
    clients: Arc<Clients>,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for OnDemandConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.clients.for_uri(request.uri()) {
            Ok(client) => client
                .http_connector(&self.settings, &self.components)
                .call(request),
            Err(error) => HttpConnectorFuture::ready(Err(error)),
        }
    }
}

fn connector(
    settings: Option<&HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
    proxy: &ProxyConfig,
) -> ConnectorBuilder {
    let mut builder = Connector::builder()
        .enable_tcp_nodelay(true)
        .proxy_config(proxy.clone());
    builder.set_connector_settings(settings.cloned());
    builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    builder
}

/// The certificates of a bundle that can be used. Go leaves out the others without a word, and a client that is
/// given one panics.
fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, StoreError> {
    let unusable = |reason: String| {
        StoreError {
            remedy: Some(
                "name a PEM file of certificates with `custom_ca_bundle` in the backend or AWS_CA_BUNDLE"
                    .to_owned(),
            ),
            ..settings_error(
                StoreErrorKind::Unsuitable,
                format!("the CA bundle `{}` {reason}", path.display()),
            )
        }
    };
    let pem = std::fs::read(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let mut known = RootCertStore::empty();
    let mut usable = String::new();
    for certificate in CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok) {
        let base64 = aws_smithy_types::base64::encode(&certificate);
        if known.add(certificate).is_ok() {
            let _ = writeln!(
                usable,
                "-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----"
            );
        }
    }
    if usable.is_empty() {
        return Err(unusable("holds no PEM certificate".to_owned()));
    }
    Ok(usable.into_bytes())
}

fn proxy_config(
    url: Option<&str>,
    no_proxy: Option<&str>,
    of_scheme: fn(String) -> Result<ProxyConfig, ProxyError>,
) -> Result<ProxyConfig, StoreError> {
    let Some(url) = url else {
        return Ok(ProxyConfig::from_env());
    };
    // What was written may hold a password.
    let proxy = of_scheme(url.to_owned()).map_err(|_| StoreError {
        remedy: Some(
            "correct `http_proxy` and `https_proxy` in the backend and run `tflock init`"
                .to_owned(),
        ),
        ..settings_error(
            StoreErrorKind::Unsuitable,
            "the proxy that the backend names is not a URL".to_owned(),
        )
    })?;
    Ok(match no_proxy {
        Some(hosts) => proxy.no_proxy(hosts),
        None => proxy,
    })
}

/// The kind of a failure and its cause in one line, by the error codes that the AWS services document.
pub(super) fn classify<E>(error: &SdkError<E>) -> (StoreErrorKind, String)
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(credentials) = find_cause::<CredentialsError>(error) {
        return (
            kind_of_credentials_error(credentials),
            root_cause(credentials),
        );
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = error.code().unwrap_or_default();
            let message = match (code, error.message()) {
                ("", _) => format!("HTTP status {status}"),
                (code, Some(message)) if !message.is_empty() => format!("{code}: {message}"),
                (code, _) => code.to_owned(),
            };
            (kind_of_code(code, status), message)
        }
        SdkError::TimeoutError(_) => (
            StoreErrorKind::Unreachable,
            format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs()),
        ),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            (StoreErrorKind::Unsuitable, root_cause(error))
        }
        SdkError::DispatchFailure(_) => (kind_of_broken_connection(error), root_cause(error)),
        SdkError::ResponseError(response) => (
            StoreErrorKind::Unreachable,
            format!(
                "the answer (HTTP status {}) cannot be read: {}",
                response.raw().status().as_u16(),
                root_cause(error)
            ),
        ),
        _ => (StoreErrorKind::Rejected, root_cause(error)),
    }
}

/// Credentials that could not be had for the moment are not refused ones: the lock must still be released.
fn kind_of_credentials_error(error: &CredentialsError) -> StoreErrorKind {
    match find_cause::<RoleRefused>(error).map(|refused| refused.kind) {
        Some(StoreErrorKind::Untrusted) => return StoreErrorKind::Untrusted,
        Some(kind) if kind.is_transient() => return StoreErrorKind::NotCarriedOut,
        _ => {}
    }
    match error {
        CredentialsError::ProviderTimedOut(_) => StoreErrorKind::NotCarriedOut,
        CredentialsError::ProviderError(_) if find_cause::<ConnectorError>(error).is_some() => {
            match kind_of_broken_connection(error) {
                StoreErrorKind::Untrusted => StoreErrorKind::Untrusted,
                _ => StoreErrorKind::NotCarriedOut,
            }
        }
        CredentialsError::ProviderError(_) => StoreErrorKind::CredentialsRejected,
        _ => StoreErrorKind::CredentialsMissing,
    }
}

/// A request that found no connection was not carried out; of all others nobody knows.
fn kind_of_broken_connection(error: &(dyn Error + 'static)) -> StoreErrorKind {
    let connecting = find_cause::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect);
    if !connecting {
        return StoreErrorKind::Unreachable;
    }
    match find_cause(error) {
        Some(rustls::Error::InvalidCertificate(_)) => StoreErrorKind::Untrusted,
        _ => StoreErrorKind::NotCarriedOut,
    }
}

fn kind_of_code(code: &str, status: u16) -> StoreErrorKind {
    match code {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TransactionConflictException"
        | "SlowDown"
        | "TooManyRequestsException" => StoreErrorKind::Throttled,
        "ResourceNotFoundException" | "NoSuchBucket" => StoreErrorKind::NotFound,
        "AccessDeniedException" | "AccessDenied" | "AllAccessDisabled" => {
            StoreErrorKind::AccessDenied
        }
        "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => StoreErrorKind::CredentialsRejected,
        _ if status >= 500 => StoreErrorKind::ServerFailure,
        _ if status == 429 => StoreErrorKind::Throttled,
        "" if status == 403 => StoreErrorKind::AccessDenied,
        _ => StoreErrorKind::Rejected,
    }
}

fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = cause_of(error);
    }
    None
}

/// The next cause in the chain. An I/O error counts not what it wraps among its causes, but the causes of that.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The last cause in the chain, on one line: the ones above it only say that something failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = cause_of(last) {
        last = cause;
    }
    let text = last.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

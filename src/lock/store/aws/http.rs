//! How AWS is reached: connections, proxies, and whose certificates are trusted.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

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

use super::settings::AwsSettings;
use super::{answers, settings_error};
use crate::lock::store::{StoreError, StoreErrorKind};

/// An HTTP client that loads certificates when the first secure connection is made: reading the system's
/// takes longer than all else that a start does, and an `http` endpoint needs none.
#[derive(Clone, Debug)]
pub(super) struct ConnectOnDemand(Arc<Clients>);

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
    pub(super) fn new(settings: &AwsSettings) -> Result<Self, StoreError> {
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
            Ok(client) => {
                let connector = client.http_connector(&self.settings, &self.components);
                answers::bounded(&connector, request)
            }
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

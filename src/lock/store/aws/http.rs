//! How AWS is reached: connections, proxies, and trusted certificates.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_smithy_http_client::proxy::ProxyConfig;
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

use super::proxies::Proxies;
use super::{answers, settings_error};
use crate::lock::store::{StoreError, StoreErrorKind};

/// An HTTP client that loads certificates for the first secure connection: reading the system's takes longer than the
/// rest of the start-up, and an `http` endpoint needs none.
#[derive(Clone, Debug)]
pub(super) struct ConnectOnDemand(Arc<Clients>);

struct Clients {
    /// Without TLS: direct and by proxy.
    plain: [OnceLock<SharedHttpClient>; 2],
    /// With TLS: direct and by proxy.
    secure: [OnceLock<SharedHttpClient>; 2],
    proxies: Proxies,
    ca_bundle: Option<Vec<u8>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl ConnectOnDemand {
    pub(super) fn new(proxies: Proxies, ca_bundle: Option<&Path>) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Clients {
            plain: Default::default(),
            secure: Default::default(),
            proxies,
            ca_bundle: ca_bundle.map(read_ca_bundle).transpose()?,
        })))
    }
}

/// Whether that could be a proxy's address, even of an unsupported kind.
pub(super) fn is_address(proxy: &str) -> bool {
    let rest = proxy.split_once("://").map_or(proxy, |(_, rest)| rest);
    ProxyConfig::all(format!("http://{rest}")).is_ok()
}

impl Clients {
    fn for_uri(&self, uri: &str) -> Result<&SharedHttpClient, ConnectorError> {
        let secure = !uri.starts_with("http:");
        let proxy = self.proxy(uri, secure)?;
        let by = usize::from(!proxy.is_disabled());
        if !secure {
            return Ok(self.plain[by].get_or_init(|| {
                Builder::new().build_with_connector_fn(move |settings, components| {
                    connector(settings, components, &proxy).build_http()
                })
            }));
        }
        if let Some(known) = self.secure[by].get() {
            return Ok(known);
        }
        let trust = match &self.ca_bundle {
            Some(pem) => TrustStore::empty().with_pem_certificate(pem.as_slice()),
            None => TrustStore::default(),
        };
        let context = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let client = Builder::new().build_with_connector_fn(move |settings, components| {
            connector(settings, components, &proxy)
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(context.clone())
                .build()
        });
        Ok(self.secure[by].get_or_init(|| client))
    }

    /// The proxy for that request. Its value may contain a password, and is not shown.
    fn proxy(&self, uri: &str, secure: bool) -> Result<ProxyConfig, ConnectorError> {
        let proxy = self.proxies.both()[usize::from(secure)];
        let authority = uri.split("://").nth(1).unwrap_or_default();
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let default = if secure { "443" } else { "80" };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (authority, default),
        };
        let Some(proxy) = proxy.filter(|_| self.proxies.apply_to(host, port)) else {
            return Ok(ProxyConfig::disabled());
        };
        ProxyConfig::all(proxy.to_owned())
            .map_err(|_| ConnectorError::user(Box::new(UnknownProxy { secure })))
    }
}

/// A proxy of an unsupported kind.
#[derive(Debug, thiserror::Error)]
#[error("the proxy for `{}` is not an `http` or `https` URL: see {} and the backend's `{}`",
    .secure.then_some("https").unwrap_or("http"),
    .secure.then_some("HTTPS_PROXY").unwrap_or("HTTP_PROXY"),
    .secure.then_some("https_proxy").unwrap_or("http_proxy"))]
struct UnknownProxy {
    secure: bool,
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

/// The usable certificates of a bundle. Go silently skips the others, on which our client panics.
fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, StoreError> {
    let unusable = |reason: String| {
        StoreError {
            remedy: Some(
                "set `custom_ca_bundle` in the backend or AWS_CA_BUNDLE to a PEM file with certificates"
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
        return Err(unusable("has no PEM certificate".to_owned()));
    }
    Ok(usable.into_bytes())
}

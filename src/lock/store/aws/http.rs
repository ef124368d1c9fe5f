//! The HTTP client for AWS: connections, proxies, trusted certificates. The SDK's own client does not accept a certificate
//! verifier, and so refuses some certificates that terraform accepts.

mod certificate;
mod connector;
mod trust;

use std::path::Path;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::header::PROXY_AUTHORIZATION;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::connector::{Connector, NoConnection};
use self::trust::Trust;
use super::answers;
use super::classify::find_cause;
use super::proxies::Proxies;
use crate::lock::store::StoreError;

pub(super) use self::connector::is_address;

/// An HTTP client that reads the machine's certificates only for the first TLS connection: reading them takes longer than
/// the rest of the start, and an `http` endpoint needs none.
#[derive(Clone)]
pub(super) struct ConnectOnDemand {
    connector: Connector,
    client: Client<Connector, SdkBody>,
}

impl std::fmt::Debug for ConnectOnDemand {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConnectOnDemand")
            .finish_non_exhaustive()
    }
}

impl ConnectOnDemand {
    pub(super) fn new(proxies: Proxies, ca_bundle: Option<&Path>) -> Result<Self, StoreError> {
        Ok(Self::on(Connector::new(proxies, Trust::new(ca_bundle)?)))
    }

    fn on(connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector.clone());
        Self { connector, client }
    }

    /// A client with the same settings and its own connections.
    pub(super) fn apart(&self) -> Self {
        Self::on(self.connector.clone())
    }

    /// Sends a request unless something is wrong with it.
    fn send(&self, request: HttpRequest) -> Result<HttpConnectorFuture, ConnectorError> {
        let user = |error| ConnectorError::user(error);
        let mut request = request
            .try_into_http1x()
            .map_err(|error| user(error.into()))?;
        let proxy = self.connector.proxy(request.uri());
        let proxy = proxy.map_err(|error| user(error.into()))?;
        // For `https`, the tunnel authenticates to the proxy.
        if request.uri().scheme() == Some(&http::uri::Scheme::HTTP)
            && let Some(authorization) = proxy.as_ref().and_then(|proxy| proxy.basic_auth())
        {
            let headers = request.headers_mut();
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata(&connection));
        }
        let answer = self.client.request(request);
        Ok(HttpConnectorFuture::new(async {
            let answer = answer.await.map_err(connector_error)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        }))
    }
}

/// Lets the SDK discard a connection that has failed.
fn metadata(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    let is_proxied = connection.connection_metadata().as_ref()?.is_proxied();
    let connection = connection.clone();
    let metadata = ConnectionMetadata::builder()
        .proxied(is_proxied)
        .poison_fn(move || {
            if let Some(connected) = connection.connection_metadata().as_ref() {
                connected.poison();
            }
        });
    Some(metadata.build())
}

/// Tells the SDK what kind of failure it was.
fn connector_error(error: hyper_util::client::legacy::Error) -> ConnectorError {
    let of_http = find_cause::<hyper::Error>(&error);
    if find_cause::<NoConnection>(&error).is_some() {
        ConnectorError::timeout(error.into())
    } else if of_http.is_some_and(hyper::Error::is_user) {
        ConnectorError::user(error.into())
    } else if of_http.is_some_and(hyper::Error::is_incomplete_message) {
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    } else {
        ConnectorError::io(error.into())
    }
}

impl HttpClient for ConnectOnDemand {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for ConnectOnDemand {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        answers::bounded(request, |request| self.send(request))
    }
}

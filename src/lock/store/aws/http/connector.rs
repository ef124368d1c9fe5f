//! Connects to a server: directly or through a proxy, with TLS or without.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tower_service::Service;

use super::super::proxies::Proxies;
use super::trust::Trust;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The protocols for a service, in order of preference.
const TO_SERVICES: &[&[u8]] = &[b"h2", b"http/1.1"];
/// Only in HTTP/1.1 do all proxies support `CONNECT` and whole URLs.
const TO_PROXIES: &[&[u8]] = &[b"http/1.1"];

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    proxies: Arc<Proxies>,
    trust: Arc<Trust>,
    tcp: HttpConnector,
}

impl Connector {
    pub(super) fn new(proxies: Proxies, trust: Trust) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        Self {
            proxies: Arc::new(proxies),
            trust: Arc::new(trust),
            tcp,
        }
    }

    /// The proxy for requests to that server, if any. Its address may contain a password, so it is never shown.
    pub(super) fn proxy(&self, to: &Uri) -> Result<Option<Intercept>, UnknownProxy> {
        let secure = is_secure(to);
        let default = if secure { "443" } else { "80" };
        let port = to.port();
        let port = port.as_ref().map_or(default, |port| port.as_str());
        let host = to.host().unwrap_or_default();
        match self.proxies.both()[usize::from(secure)] {
            Some(proxy) if self.proxies.apply_to(host, port) => intercept(proxy, to)
                .map(Some)
                .ok_or(UnknownProxy { secure }),
            _ => Ok(None),
        }
    }

    async fn connect(mut self, to: Uri) -> Result<Stream, BoxError> {
        let Some(proxy) = self.proxy(&to)? else {
            return self.reach(to, TO_SERVICES).await;
        };
        if !is_secure(&to) {
            let stream = self.reach(proxy.uri().clone(), TO_PROXIES).await?;
            return Ok(Stream {
                is_proxy: true,
                ..stream
            });
        }
        let to_proxy = HttpsConnector::from((self.tcp, self.trust.config(TO_PROXIES)?));
        let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let config = self.trust.config(TO_SERVICES)?;
        Stream::of(HttpsConnector::from((tunnel, config)).call(to)).await
    }

    /// Connects directly.
    async fn reach(&mut self, to: Uri, protocols: &[&[u8]]) -> Result<Stream, BoxError> {
        if !is_secure(&to) {
            return Stream::of(self.tcp.call(to)).await;
        }
        let config = self.trust.config(protocols)?;
        Stream::of(HttpsConnector::from((self.tcp.clone(), config)).call(to)).await
    }
}

fn is_secure(to: &Uri) -> bool {
    to.scheme() != Some(&Scheme::HTTP)
}

/// The proxy with that address, for requests to a server.
fn intercept(proxy: &str, to: &Uri) -> Option<Intercept> {
    let found = Matcher::builder().all(proxy).build().intercept(to)?;
    let scheme = found.uri().scheme()?;
    [Scheme::HTTP, Scheme::HTTPS]
        .contains(scheme)
        .then_some(found)
}

/// Whether that could be the address of a proxy, even one whose scheme we do not support.
pub(in super::super) fn is_address(proxy: &str) -> bool {
    let rest = proxy.split_once("://").map_or(proxy, |(_, rest)| rest);
    intercept(
        &format!("http://{rest}"),
        &Uri::from_static("http://server"),
    )
    .is_some()
}

/// A proxy whose scheme is not supported.
#[derive(Debug, thiserror::Error)]
#[error("the proxy for `{}` is not an `http` or `https` URL: see {} and the backend's `{}`",
    .secure.then_some("https").unwrap_or("http"),
    .secure.then_some("HTTPS_PROXY").unwrap_or("HTTP_PROXY"),
    .secure.then_some("https_proxy").unwrap_or("http_proxy"))]
pub(super) struct UnknownProxy {
    secure: bool,
}

/// No connection in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
pub(super) struct NoConnection;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.clone().connect(to);
        Box::pin(async {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(NoConnection.into()),
            }
        })
    }
}

trait Transport: Read + Write + Connection + Send + Unpin {}

impl<T: Read + Write + Connection + Send + Unpin> Transport for T {}

/// A connection of any kind.
pub(super) struct Stream {
    transport: Box<dyn Transport>,
    /// Whether it goes to a proxy that forwards each request, not to the server.
    is_proxy: bool,
}

impl Stream {
    async fn of<T, E>(connecting: impl Future<Output = Result<T, E>>) -> Result<Self, BoxError>
    where
        T: Transport + 'static,
        E: Into<BoxError>,
    {
        Ok(Self {
            transport: Box::new(connecting.await.map_err(Into::into)?),
            is_proxy: false,
        })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.transport.connected().proxy(self.is_proxy)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(context, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_http_is_spoken_to_in_clear() {
        for (url, expected) in [
            ("http://localhost:8000/", false),
            ("https://localhost:8000/", true),
            ("localhost:8000", true),
            ("HTTP://localhost/", false),
        ] {
            assert_eq!(is_secure(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_connection_gets_five_seconds() {
        assert_eq!(NoConnection.to_string(), "no connection within 5 s");
    }
}

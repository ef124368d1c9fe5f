//! Watches one store's requests: whose server they go to, and whether the last write may have arrived.
//!
//! Without a connection nothing was sent, however the attempt ended: missing credentials, an unknown host, a server
//! that refuses connections. Only the HTTP client can tell.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::answers::ServerClock;
use super::checkup::ClockDifference;
use crate::lock::store::StoreErrorKind;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lock::store) enum Server {
    /// Amazon's own: behaves as documented.
    Amazon,
    /// Anyone's: documented features may be missing or ignored.
    Other,
}

/// The domains of AWS's partitions (`partitions.json` of the AWS SDKs, `dnsSuffix` and `dualStackDnsSuffix`).
const AMAZON: [&str; 12] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "api.aws.ic.gov",
    "api.aws.hci.ic.gov",
];

impl Server {
    /// Whose an endpoint is.
    pub(super) fn of_url(url: &str) -> Self {
        Self::of(host_of(url))
    }

    fn of(host: &str) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_under = |domain: &str| {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if AMAZON.iter().any(|domain| is_under(domain)) {
            Self::Amazon
        } else {
            Self::Other
        }
    }
}

/// What is known about a store's requests. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::lock::store) struct Wire(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    server: Option<Server>,
    last: Last,
    clock: Option<ClockDifference>,
}

#[derive(Debug, Default)]
enum Last {
    /// A read, or no request at all.
    #[default]
    Harmless,
    /// A write without an answer yet, with what is known of its connection.
    Write(CaptureSmithyConnection),
    Answered,
}

impl Wire {
    pub(in crate::lock::store) fn begin(&self) {
        self.known().last = Last::Harmless;
    }

    /// Whose server got the last request; `Other` before the first one.
    pub(in crate::lock::store) fn server(&self) -> Server {
        self.known().server.unwrap_or(Server::Other)
    }

    /// Whether there is an unanswered write that had a connection.
    pub(in crate::lock::store) fn may_have_arrived(&self) -> bool {
        matches!(&self.known().last, Last::Write(connection) if connection.get().is_some())
    }

    /// How far the server's clock was ahead in its last answer.
    pub(in crate::lock::store) fn clock(&self) -> Option<ClockDifference> {
        self.known().clock
    }

    /// Refines the kind of a failure by whether anything was sent.
    pub(in crate::lock::store) fn refine(&self, kind: StoreErrorKind) -> StoreErrorKind {
        let answered = matches!(self.known().last, Last::Answered);
        if kind == StoreErrorKind::Unreachable && !answered && !self.may_have_arrived() {
            StoreErrorKind::NotCarriedOut
        } else {
            kind
        }
    }

    /// The same client, watched.
    pub(super) fn around(&self, client: &SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Watched {
            client: client.clone(),
            wire: self.clone(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Watched {
    client: SharedHttpClient,
    wire: Wire,
}

impl HttpClient for Watched {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(WatchedConnector {
            connector: self.client.http_connector(settings, components),
            wire: self.wire.clone(),
        })
    }
}

#[derive(Debug)]
struct WatchedConnector {
    connector: SharedHttpConnector,
    wire: Wire,
}

impl HttpConnector for WatchedConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let known = request.extension::<CaptureSmithyConnection>().cloned();
        let connection = known.unwrap_or_default();
        request.add_extension(connection.clone());
        let is_write = is_write(&request);
        {
            let mut known = self.wire.known();
            known.server = Some(Server::of_url(request.uri()));
            known.last = if is_write {
                Last::Write(connection)
            } else {
                Last::Harmless
            };
        }
        let answer = self.connector.call(request);
        let wire = self.wire.clone();
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            if let Some(clock) = answer
                .as_ref()
                .ok()
                .and_then(HttpResponse::extension::<ServerClock>)
            {
                wire.known().clock = Some(ClockDifference(clock.of_machine));
            }
            if is_write && answer.is_ok() {
                wire.known().last = Last::Answered;
            }
            answer
        })
    }
}

/// When in doubt, it is.
fn is_write(request: &HttpRequest) -> bool {
    let looks = ["GetItem", "DescribeTable"];
    match request.headers().get("x-amz-target") {
        Some(target) => !looks.contains(&target.rsplit('.').next().unwrap_or_default()),
        None => !matches!(request.method(), "GET" | "HEAD"),
    }
}

/// Host and port of a URI, without a user.
pub(super) fn host_and_port_of(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn host_of(uri: &str) -> &str {
    let host = host_and_port_of(uri);
    match host.find(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_servers_are_recognised_by_domain() {
        for (host, server) in [
            ("s3.eu-west-1.amazonaws.com", Server::Amazon),
            ("bucket.s3.eu-west-1.amazonaws.com", Server::Amazon),
            ("S3.EU-WEST-1.AMAZONAWS.COM.", Server::Amazon),
            (
                "bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com",
                Server::Amazon,
            ),
            ("s3.cn-north-1.amazonaws.com.cn", Server::Amazon),
            ("s3.eusc-de-east-1.amazonaws.eu", Server::Amazon),
            ("s3.us-iso-east-1.c2s.ic.gov", Server::Amazon),
            ("localhost", Server::Other),
            ("127.0.0.1", Server::Other),
            ("[::1]", Server::Other),
            ("minio.example.com", Server::Other),
            ("notamazonaws.com", Server::Other),
            ("amazonaws.com.example.com", Server::Other),
            ("s3.localhost.localstack.cloud", Server::Other),
            ("", Server::Other),
        ] {
            assert_eq!(Server::of(host), server, "{host}");
        }
    }

    #[test]
    fn a_host_excludes_port_and_user() {
        for (uri, host) in [
            ("http://127.0.0.1:80/a/b?c=d", "127.0.0.1"),
            ("https://a.b", "a.b"),
            ("https://u:p@a.b:1?x=@c", "a.b"),
            ("http://[::1]:9/x", "[::1]"),
        ] {
            assert_eq!(host_of(uri), host);
        }
    }

    #[test]
    fn reads_are_not_writes() {
        let request = |method: &str, target: Option<&str>| {
            let mut request = HttpRequest::empty();
            request.set_method(method).unwrap();
            if let Some(target) = target {
                let target = format!("DynamoDB_20120810.{target}");
                request.headers_mut().insert("x-amz-target", target);
            }
            is_write(&request)
        };
        for (method, target, write) in [
            ("GET", None, false),
            ("HEAD", None, false),
            ("PUT", None, true),
            ("DELETE", None, true),
            ("POST", Some("GetItem"), false),
            ("POST", Some("DescribeTable"), false),
            ("POST", Some("PutItem"), true),
            ("POST", Some("DeleteItem"), true),
            ("POST", Some("Unknown"), true),
        ] {
            assert_eq!(request(method, target), write, "{method} {target:?}");
        }
    }

    #[test]
    fn without_a_connection_nothing_was_carried_out() {
        let wire = Wire::default();
        assert_eq!(
            wire.refine(StoreErrorKind::Unreachable),
            StoreErrorKind::NotCarriedOut
        );
        let connection = CaptureSmithyConnection::new();
        wire.known().last = Last::Write(connection.clone());
        assert!(!wire.may_have_arrived());
        let known = aws_smithy_runtime_api::client::connection::ConnectionMetadata::builder()
            .proxied(false)
            .poison_fn(|| {})
            .build();
        connection.set_connection_retriever(move || Some(known.clone()));
        assert!(wire.may_have_arrived());
        for kind in [StoreErrorKind::Unreachable, StoreErrorKind::ServerFailure] {
            assert_eq!(wire.refine(kind), kind);
        }
        // An unreadable answer still means that the write may have been carried out.
        wire.known().last = Last::Answered;
        assert!(!wire.may_have_arrived());
        assert_eq!(
            wire.refine(StoreErrorKind::Unreachable),
            StoreErrorKind::Unreachable
        );
        wire.begin();
        assert_eq!(
            wire.refine(StoreErrorKind::Unreachable),
            StoreErrorKind::NotCarriedOut
        );
    }
}

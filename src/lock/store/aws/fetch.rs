//! A plain HTTP request with its complete answer, for the endpoints that give machines and containers their
//! credentials.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;

use super::classify::root_cause;
use super::refused::IdentityRefused;
use crate::lock::store::StoreErrorKind;
use crate::text::Address;

/// How long a local endpoint may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of attempts, as in Go's SDK.
const ATTEMPTS: usize = 3;

/// The HTTP clients for such endpoints.
#[derive(Clone)]
pub(super) struct Fetch {
    /// As for AWS: with the backend's proxies and certificate authorities.
    pub(super) as_aws: SharedHttpClient,
    /// With only the environment's proxies and the machine's certificate authorities.
    pub(super) by_environment: SharedHttpClient,
}

#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Hides the body, which holds keys.
impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Answer");
        shown.field("status", &self.status).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no answer")
    }
}

impl std::error::Error for Unanswered {}

/// Sends a request, retrying server errors.
pub(super) async fn send(
    client: &SharedHttpClient,
    request: &Request,
) -> Result<Answer, IdentityRefused> {
    let mut last = once(client, request).await;
    for _ in 1..ATTEMPTS {
        match &last {
            Ok(answer) if answer.status < 500 && answer.status != 429 => break,
            _ => last = once(client, request).await,
        }
    }
    last
}

async fn once(client: &SharedHttpClient, request: &Request) -> Result<Answer, IdentityRefused> {
    let unusable = |reason: String| {
        let message = format!("{}: {reason}", Address::of(&request.url));
        IdentityRefused::new(StoreErrorKind::CredentialsMissing, message)
    };
    let mut prepared = HttpRequest::new(SdkBody::empty());
    prepared
        .set_method(request.method)
        .map_err(|error| unusable(error.to_string()))?;
    prepared
        .set_uri(path(&request.url))
        .map_err(|error| unusable(error.to_string()))?;
    for (name, value) in &request.headers {
        let added = prepared.headers_mut().try_insert(*name, value.clone());
        added.map_err(|_| unusable(format!("`{name}` cannot be sent")))?;
    }
    let origin = origin(&request.url);
    let operation = Operation::builder()
        .service_name("credentials")
        .operation_name("fetch")
        .http_client(client.clone())
        .endpoint_url(&origin)
        .no_auth()
        .no_retry()
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
        .serializer(|request: HttpRequest| Ok(request))
        .deserializer(|response: &HttpResponse| {
            let body = response.body().bytes().unwrap_or_default().to_vec();
            Ok::<_, OrchestratorError<Unanswered>>(Answer {
                status: response.status().as_u16(),
                body,
            })
        })
        .build();
    operation.invoke(prepared).await.map_err(|error| {
        let reason = match &error {
            SdkError::TimeoutError(_) => format!("no answer within {} s", PATIENCE.as_secs()),
            _ => root_cause(&error),
        };
        let message = format!("{}: {reason}", Address::of(&request.url));
        IdentityRefused::new(StoreErrorKind::NotCarriedOut, message)
    })
}

pub(super) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    format!("{scheme}://{}", &rest[..end])
}

fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let start = rest.find(['/', '?']).unwrap_or(rest.len());
    match &rest[start..] {
        "" => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        for (url, first, second) in [
            ("http://a:1/b?c=d", "http://a:1", "/b?c=d"),
            ("https://u:p@a", "https://u:p@a", "/"),
        ] {
            assert_eq!((origin(url).as_str(), path(url)), (first, second));
        }
    }
}

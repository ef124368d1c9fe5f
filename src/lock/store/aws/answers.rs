//! Answers are not trusted. Each is bounded in length and in total time, and answers of something other than the
//! service are detected: a captive portal, a proxy that asks for a login, a server that never stops sending.

use std::time::SystemTime;

use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::date_time::Format;
use chrono::NaiveDateTime;

use super::ATTEMPT_TIMEOUT;
use super::wire::host_and_port_of;

/// The longest accepted answer. DynamoDB's longest item (400 kB) is at most six times as long in JSON; a lock object is
/// a few kB.
const LONGEST_ANSWER: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(
        "something else answers at {endpoint}: {what} (HTTP status {status}), not {service}; a login page of the \
         network or of a proxy?"
    )]
    Another {
        endpoint: String,
        what: &'static str,
        status: u16,
        service: &'static str,
    },
    #[error(
        "the proxy on the way to {endpoint} asks for a user name and password (HTTP status 407)"
    )]
    Proxy { endpoint: String },
    #[error(
        "the answer of {endpoint} is longer than {} MB; is that really {service}?",
        LONGEST_ANSWER >> 20
    )]
    TooLong {
        endpoint: String,
        service: &'static str,
    },
    /// It did not arrive completely in time.
    #[error("no answer within {} s", ATTEMPT_TIMEOUT.as_secs())]
    TooSlow,
}

/// Clock differences from an answer, in seconds; positive if the server is ahead. Attached to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerClock {
    /// Ahead of the time that the request was signed with.
    pub(super) of_signature: i64,
    /// Ahead of this machine's clock.
    pub(super) of_machine: i64,
}

/// Sends a request, and accepts only a complete answer of the service.
pub(super) fn bounded(
    request: HttpRequest,
    send: impl FnOnce(HttpRequest) -> Result<HttpConnectorFuture, ConnectorError>,
) -> HttpConnectorFuture {
    let asked = Asked::of(&request);
    let answer = match send(request) {
        Ok(answer) => answer,
        Err(error) => return HttpConnectorFuture::ready(Err(error)),
    };
    HttpConnectorFuture::new(async move {
        let whole = async { asked.whole(answer.await?).await };
        match tokio::time::timeout(ATTEMPT_TIMEOUT, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(ConnectorError::timeout(NoAnswer::TooSlow.into())),
        }
    })
}

struct Asked {
    endpoint: String,
    service: &'static str,
    is_head: bool,
    /// Not the metadata service of a machine or container, whose errors can be web pages.
    is_aws: bool,
    signed: Option<DateTime>,
}

impl Asked {
    fn of(request: &HttpRequest) -> Self {
        let header = |name| request.headers().get(name).unwrap_or_default();
        let signed = NaiveDateTime::parse_from_str(header("x-amz-date"), "%Y%m%dT%H%M%SZ");
        Self {
            endpoint: endpoint_of(request.uri()),
            service: service_of(header("authorization")),
            is_head: request.method() == "HEAD",
            is_aws: header("authorization").starts_with("AWS4-") || request.method() == "POST",
            signed: signed
                .ok()
                .map(|time| DateTime::from_secs(time.and_utc().timestamp())),
        }
    }

    async fn whole(self, mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
        if let Some(not) = self.not_the_service(&answer) {
            return Err(ConnectorError::other(not.into(), None));
        }
        let too_long = || {
            let (endpoint, service) = (self.endpoint.clone(), self.service);
            ConnectorError::other(NoAnswer::TooLong { endpoint, service }.into(), None)
        };
        let announced = answer.headers().get("content-length");
        let announced = announced.and_then(|length| length.parse::<u64>().ok());
        // The answer to a HEAD announces a body that never comes.
        if !self.is_head && announced.is_some_and(|length| length > LONGEST_ANSWER as u64) {
            return Err(too_long());
        }
        let mut stream = ByteStream::new(answer.take_body());
        let mut body = Vec::new();
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| ConnectorError::io(error.into()))?;
            if body.len() + bytes.len() > LONGEST_ANSWER {
                return Err(too_long());
            }
            body.extend_from_slice(&bytes);
        }
        *answer.body_mut() = SdkBody::from(body);
        if let Some(clock) = self.clock(&answer) {
            answer.add_extension(clock);
        }
        Ok(answer)
    }

    /// Who answered, if not the service. Gateway errors (5xx) are left to the SDK: the gateway may have passed the
    /// request on.
    fn not_the_service(&self, answer: &HttpResponse) -> Option<NoAnswer> {
        let header = |name| answer.headers().get(name).unwrap_or_default();
        let status = answer.status().as_u16();
        let endpoint = self.endpoint.clone();
        if status == 407 {
            return Some(NoAnswer::Proxy { endpoint });
        }
        let signed_by_the_service = ["x-amz-request-id", "x-amzn-requestid", "x-amz-id-2"]
            .iter()
            .any(|name| answer.headers().contains_key(*name));
        let kind = header("content-type").trim_start().to_ascii_lowercase();
        let is_page = kind.starts_with("text/html") || kind.starts_with("application/xhtml");
        let what = match status {
            _ if signed_by_the_service || !self.is_aws => return None,
            // Network Authentication Required (RFC 6585): always a portal's.
            511 => "a network that asks for a login",
            500.. => return None,
            _ if is_page => "a web page",
            301 | 302 | 303 | 307 | 308 if !kind.contains("xml") && !kind.contains("json") => {
                "a redirect"
            }
            _ => return None,
        };
        Some(NoAnswer::Another {
            endpoint,
            what,
            status,
            service: self.service,
        })
    }

    fn clock(&self, answer: &HttpResponse) -> Option<ServerClock> {
        // A cached answer has an old time.
        if answer.headers().contains_key("age") {
            return None;
        }
        let date = answer.headers().get("date")?;
        let server = DateTime::from_str(date, Format::HttpDate).ok()?.secs();
        let machine = DateTime::from(SystemTime::now()).secs();
        Some(ServerClock {
            of_signature: server - self.signed?.secs(),
            of_machine: server - machine,
        })
    }
}

/// The service that a signature is for: the fourth part of its scope.
fn service_of(authorization: &str) -> &'static str {
    let scope = authorization
        .split("Credential=")
        .nth(1)
        .unwrap_or_default();
    match scope
        .split(',')
        .next()
        .unwrap_or_default()
        .rsplit('/')
        .nth(1)
    {
        Some("dynamodb") => "DynamoDB",
        Some("s3") => "S3",
        Some("sts") => "STS",
        _ => "the AWS service",
    }
}

/// Scheme, host and port: no path, no query, no user.
fn endpoint_of(uri: &str) -> String {
    let scheme = uri.split_once("://").map_or("http", |(scheme, _)| scheme);
    format!("{scheme}://{}", host_and_port_of(uri))
}

/// A duration in words: `40 s`, `10 min`, `3 h`, `2 days`.
pub(super) fn duration_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;

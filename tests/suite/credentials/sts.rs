//! A Security Token Service for a test: records each call with its parameters and its signer, and hands out keys
//! that show which call they came from. It grants everything or refuses everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{SecondsFormat, TimeDelta, Utc};

use super::Signer;
use crate::support::server::{Server, loopback_listener};

/// A running service. It stops when this is dropped.
pub struct Sts {
    url: String,
    state: Arc<Service>,
    _server: Server,
}

struct Service {
    answer: Answer,
    calls: Mutex<Vec<Call>>,
}

/// The answer to every call.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Keys that are good for this long.
    Keys(TimeDelta),
    /// `AccessDenied`.
    Denied,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// All parameters by name, except the API version.
    pub parameters: BTreeMap<String, String>,
    /// `None` where the call needs no signature.
    pub signer: Option<Signer>,
}

impl Sts {
    /// A service that hands out keys for an hour.
    pub fn start() -> Self {
        Self::answering(Answer::Keys(TimeDelta::hours(1)))
    }

    pub fn answering(answer: Answer) -> Self {
        let (listener, address) = loopback_listener();
        let state = Arc::new(Service {
            answer,
            calls: Mutex::default(),
        });
        let app = Router::new().fallback(reply).with_state(Arc::clone(&state));
        let server = Server::start("sts", listener, |listener| async move {
            axum::serve(listener, app).await.expect("axum serves");
        });
        Self {
            url: format!("http://{address}"),
            state,
            _server: server,
        }
    }

    /// The value for `endpoints.sts`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every call, in order.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.state.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only call.
    #[track_caller]
    pub fn only_call(&self) -> Call {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls.remove(0)
    }
}

async fn reply(
    State(state): State<Arc<Service>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut parameters = form(&body);
    parameters.remove("Version");
    let action = parameters.get("Action").cloned().unwrap_or_default();
    let call = Call {
        signer: text("authorization")
            .map(|signed| Signer::from_headers(signed, text("x-amz-security-token"))),
        parameters,
    };
    let number = {
        let mut calls = state.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        calls.len()
    };
    match state.answer {
        Answer::Denied => (
            StatusCode::FORBIDDEN,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
             <Message>ana is not authorized to perform this</Message></Error></ErrorResponse>"
                .to_owned(),
        ),
        Answer::Keys(lifetime) => {
            let end = (Utc::now() + lifetime).to_rfc3339_opts(SecondsFormat::Secs, true);
            let keys = format!(
                "<Credentials><AccessKeyId>ROLE{number}</AccessKeyId>\
                 <SecretAccessKey>s</SecretAccessKey><SessionToken>token-{number}</SessionToken>\
                 <Expiration>{end}</Expiration></Credentials>"
            );
            let answer = format!(
                "<{action}Response><{action}Result>{keys}</{action}Result></{action}Response>"
            );
            (StatusCode::OK, answer)
        }
    }
}

/// The fields of a form.
fn form(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two hex digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}

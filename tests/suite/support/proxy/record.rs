//! The log: what arrived, what was done to it, how it ended.

use std::time::Duration;

use super::Fault;
use crate::support::http::Message;

/// One request and its fate.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When it arrived, since the proxy started.
    pub at: Duration,
    /// `PutItem` and its like, or the method and path.
    pub action: String,
    /// The headers of the request.
    pub headers: Vec<(String, String)>,
    /// The body of the request.
    pub request: String,
    /// What was done to it, if anything.
    pub fault: Option<Fault>,
    pub outcome: Outcome,
}

impl Exchange {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body of a DynamoDB request.
    pub fn input(&self) -> serde_json::Value {
        serde_json::from_str(&self.request).expect("a DynamoDB request is JSON")
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended yet.
    UnderWay,
    /// The engine answered with this status, and the client was sent that answer.
    Answered(u16),
    /// The engine carried it out and answered with this status; the client did not get that answer whole.
    AnswerLost(u16),
    /// The engine never saw it; the client was sent this status.
    MadeUp(u16),
    /// The engine never saw it; the client got nothing.
    Lost,
    /// The engine did not answer.
    EngineFailed(String),
}

/// The name under which a request is counted.
pub fn action_of(request: &Message) -> String {
    match request.header("x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap_or(target).to_owned(),
        None => format!("{} {}", request.method(), request.path()),
    }
}

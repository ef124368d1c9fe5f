//! What can happen to a request, and how that is done.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::connection::Engine;
use super::{Outcome, Shared};
use crate::support::http::Message;
use crate::support::waiting::PATIENCE;

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The engine never sees it; the connection is closed.
    DropRequest,
    /// The engine carries it out; the connection is closed without an answer.
    DropReply,
    /// The engine carries it out; the answer ends in the middle of its body.
    TruncateReply,
    /// The engine never sees it; the connection stays silent for this long and is closed.
    Hang(Duration),
    /// The engine carries it out; the connection stays silent for this long and is closed.
    HangReply(Duration),
    /// The engine never sees it; the connection is reset (RST).
    Reset,
    /// The connection is closed at once, and after this long the engine carries the request out anyway.
    Straggle(Duration),
    /// The connection is closed at once, and the engine carries the request out when the test says so.
    Late(Late),
    /// The engine carries it out twice; the client gets the second answer.
    Repeat,
    /// It waits at a gate that the test opens, and is then forwarded.
    Hold(Gate),
    /// `InternalServerError` (500); `InternalError` of S3.
    InternalError,
    /// `ServiceUnavailable` (503).
    Unavailable,
    /// `ProvisionedThroughputExceededException` (400); `SlowDown` (503) of S3.
    Throttled,
    /// `ExpiredTokenException` (400); `ExpiredToken` of S3.
    ExpiredToken,
    /// `AccessDeniedException` (400); `AccessDenied` (403) of S3.
    AccessDenied,
    /// `TransactionConflictException` (400); `ConditionalRequestConflict` (409) of S3.
    Conflict,
    /// `ResourceNotFoundException` (400); `NoSuchBucket` (404) of S3.
    NotFound,
}

/// What the client is sent, and what the log says.
#[derive(Debug)]
pub struct Verdict {
    pub reply: Reply,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Reply {
    Whole(Vec<u8>),
    /// These bytes, then the end of the connection.
    Cut(Vec<u8>),
    Close,
    Reset,
}

/// Lets a request through.
pub fn pass(engine: &mut Engine<'_>, request: &Message) -> Verdict {
    match engine.exchange(request) {
        Ok(answer) => Verdict {
            outcome: Outcome::Answered(answer.status()),
            reply: Reply::Whole(bytes_of(&answer, request)),
        },
        Err(error) => Verdict {
            outcome: Outcome::EngineFailed(error.to_string()),
            reply: Reply::Close,
        },
    }
}

impl Fault {
    pub(super) fn spoil(
        &self,
        shared: &Shared,
        engine: &mut Engine<'_>,
        request: &Message,
    ) -> Verdict {
        match self {
            Self::DropRequest => lost(Reply::Close),
            Self::Reset => lost(Reply::Reset),
            Self::Hang(time) => {
                shared.pause(*time);
                lost(Reply::Close)
            }
            Self::DropReply => answer_lost(engine, request, |_| Reply::Close),
            Self::TruncateReply => answer_lost(engine, request, |answer| {
                let mut half = answer.clone();
                half.body.truncate(answer.body.len() / 2);
                Reply::Cut(half.to_bytes_announcing(answer.body.len().max(1)))
            }),
            Self::HangReply(time) => {
                let verdict = answer_lost(engine, request, |_| Reply::Close);
                shared.pause(*time);
                verdict
            }
            Self::Late(late) => {
                late.take(shared, request);
                lost(Reply::Close)
            }
            Self::Straggle(time) => {
                straggle(shared, *time, request);
                lost(Reply::Close)
            }
            Self::Repeat => match engine.exchange(request) {
                Ok(_) => pass(engine, request),
                Err(error) => Verdict {
                    outcome: Outcome::EngineFailed(error.to_string()),
                    reply: Reply::Close,
                },
            },
            Self::Hold(gate) => {
                gate.pass();
                pass(engine, request)
            }
            made_up => {
                let answer = made_up.answer_to(request);
                Verdict {
                    outcome: Outcome::MadeUp(answer.status()),
                    reply: Reply::Whole(bytes_of(&answer, request)),
                }
            }
        }
    }

    /// The answer of a service that refuses, in the dialect of the request: JSON for DynamoDB, XML for S3.
    fn answer_to(&self, request: &Message) -> Message {
        let dynamodb = request.header("x-amz-target").is_some();
        let (status, code) = match (self, dynamodb) {
            (Self::InternalError, true) => (500, "InternalServerError"),
            (Self::InternalError, false) => (500, "InternalError"),
            (Self::Unavailable, _) => (503, "ServiceUnavailable"),
            (Self::Throttled, true) => (400, "ProvisionedThroughputExceededException"),
            (Self::Throttled, false) => (503, "SlowDown"),
            (Self::ExpiredToken, true) => (400, "ExpiredTokenException"),
            (Self::ExpiredToken, false) => (400, "ExpiredToken"),
            (Self::AccessDenied, true) => (400, "AccessDeniedException"),
            (Self::AccessDenied, false) => (403, "AccessDenied"),
            (Self::Conflict, true) => (400, "TransactionConflictException"),
            (Self::Conflict, false) => (409, "ConditionalRequestConflict"),
            (Self::NotFound, true) => (400, "ResourceNotFoundException"),
            (Self::NotFound, false) => (404, "NoSuchBucket"),
            (other, _) => unreachable!("{other:?} is not an answer"),
        };
        if dynamodb {
            let namespace = match self {
                Self::ExpiredToken | Self::AccessDenied => "com.amazon.coral.service",
                _ => "com.amazonaws.dynamodb.v20120810",
            };
            let document =
                format!("{{\"__type\":\"{namespace}#{code}\",\"message\":\"by the proxy\"}}");
            Message::response(status, code, document)
                .with("content-type", "application/x-amz-json-1.0")
        } else {
            let document =
                format!("<Error><Code>{code}</Code><Message>by the proxy</Message></Error>");
            Message::response(status, code, document).with("content-type", "application/xml")
        }
    }
}

fn lost(reply: Reply) -> Verdict {
    Verdict {
        outcome: Outcome::Lost,
        reply,
    }
}

fn answer_lost(
    engine: &mut Engine<'_>,
    request: &Message,
    reply: impl FnOnce(&Message) -> Reply,
) -> Verdict {
    match engine.exchange(request) {
        Ok(answer) => Verdict {
            outcome: Outcome::AnswerLost(answer.status()),
            reply: reply(&answer),
        },
        Err(error) => Verdict {
            outcome: Outcome::EngineFailed(error.to_string()),
            reply: Reply::Close,
        },
    }
}

/// Sends the request to the engine later, when nothing waits for the answer any more.
fn straggle(shared: &Shared, time: Duration, request: &Message) {
    let upstream = shared.upstream.clone();
    let request = request.clone();
    std::thread::spawn(move || {
        std::thread::sleep(time);
        // The engine may be gone by then, and a test that cares looks at the engine.
        let _ = Engine::new(&upstream).exchange(&request);
    });
}

/// A request that is under way for longer than its client waits for the answer.
#[derive(Debug, Clone, Default)]
pub struct Late(Arc<Mutex<Option<(String, Message)>>>);

impl Late {
    /// Lets it arrive now, and returns the status of the engine's answer, which goes nowhere.
    #[track_caller]
    pub fn arrive(&self) -> u16 {
        let taken = self.request().take();
        let (upstream, request) = taken.expect("a request that is under way");
        let answer = Engine::new(&upstream).exchange(&request);
        answer.expect("an answer of the engine").status()
    }

    fn take(&self, shared: &Shared, request: &Message) {
        *self.request() = Some((shared.upstream.clone(), request.clone()));
    }

    fn request(&self) -> MutexGuard<'_, Option<(String, Message)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of an answer. That to a HEAD announces a body and has none.
fn bytes_of(answer: &Message, request: &Message) -> Vec<u8> {
    if request.method() != "HEAD" {
        return answer.to_bytes();
    }
    let length = answer.header("content-length");
    let length = length.and_then(|length| length.parse().ok());
    let bodiless = Message {
        body: Vec::new(),
        ..answer.clone()
    };
    bodiless.to_bytes_announcing(length.unwrap_or(answer.body.len()))
}

/// Makes the close that follows a reset: with a linger time of zero the kernel sends RST instead of FIN.
pub fn reset_when_closed(client: &TcpStream) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(client, sockopt::Linger, &linger)?;
    Ok(())
}

/// Where a request waits until the test lets it go.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    reached: bool,
    open: bool,
}

impl Gate {
    /// Waits until the request stands at the gate.
    #[track_caller]
    pub fn wait_until_reached(&self) {
        assert!(
            self.wait(|state| state.reached),
            "no request came to the gate"
        );
    }

    /// Lets the request go on, now or when it comes.
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    fn pass(&self) {
        self.change(|state| state.reached = true);
        // If nobody opens it in time the test has failed already, and says so itself.
        self.wait(|state| state.open);
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        let (state, changed) = &*self.0;
        change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    fn wait(&self, condition: impl Fn(&GateState) -> bool) -> bool {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = changed.wait_timeout_while(state, PATIENCE, |state| !condition(state));
        !waiting
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .timed_out()
    }
}

//! The proxy's faults are what they claim: for each, what the client saw, what the engine holds, and what
//! the log says.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dynamodb::{Dynamodb, Table};
use crate::support::http::{self, Message};
use crate::support::proxy::{Delay, Fault, Outcome, Proxy};
use crate::support::s3::{BUCKET, S3};
use crate::support::server::refusing_url;
use crate::support::waiting::wait_until;

struct Stage {
    _dynamodb: Dynamodb,
    table: Table,
    proxy: Proxy,
}

impl Stage {
    fn new() -> Self {
        let dynamodb = Dynamodb::start();
        Self {
            table: dynamodb.create_table("faults"),
            proxy: Proxy::before(dynamodb.url()),
            _dynamodb: dynamodb,
        }
    }

    fn put(&self) -> Result<Message, ErrorKind> {
        let input = json!({ "TableName": self.table.name(), "Item": { "LockID": { "S": "x" } } });
        let request = Message::request("POST", "/", input.to_string())
            .with("content-type", "application/x-amz-json-1.0")
            .with("x-amz-date", "20260101T000000Z")
            .with("x-amz-target", "DynamoDB_20120810.PutItem");
        http::send(&self.proxy.url(), &request).map_err(|error| error.kind())
    }

    /// The client's view, whether the engine holds the item, and the log's last outcome.
    fn put_under(&self, fault: Fault) -> (Result<u16, ErrorKind>, Holds, Outcome) {
        self.table.delete("x");
        self.proxy.on("PutItem").next(fault);
        let seen = self.put().map(|answer| answer.status());
        let last = self.proxy.log().pop().expect("one exchange");
        (seen, self.holds(), last.outcome)
    }

    fn holds(&self) -> Holds {
        match self.table.item("x") {
            Some(_) => Holds::Item,
            None => Holds::Nothing,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Holds {
    Item,
    Nothing,
}

#[test]
fn each_fault_is_what_it_claims() {
    let stage = Stage::new();
    let short = Duration::from_millis(50);
    let eof = Err(ErrorKind::UnexpectedEof);
    let reset = Err(ErrorKind::ConnectionReset);
    let cases = [
        (Fault::DropRequest, eof, Holds::Nothing, Outcome::Lost),
        (Fault::DropReply, eof, Holds::Item, Outcome::AnswerLost(200)),
        (
            Fault::TruncateReply,
            eof,
            Holds::Item,
            Outcome::AnswerLost(200),
        ),
        (Fault::Hang(short), eof, Holds::Nothing, Outcome::Lost),
        (
            Fault::HangReply(short),
            eof,
            Holds::Item,
            Outcome::AnswerLost(200),
        ),
        (Fault::Reset, reset, Holds::Nothing, Outcome::Lost),
        (Fault::Repeat, Ok(200), Holds::Item, Outcome::Answered(200)),
        (
            Fault::InternalError,
            Ok(500),
            Holds::Nothing,
            Outcome::MadeUp(500),
        ),
        (
            Fault::Unavailable,
            Ok(503),
            Holds::Nothing,
            Outcome::MadeUp(503),
        ),
        (
            Fault::Throttled,
            Ok(400),
            Holds::Nothing,
            Outcome::MadeUp(400),
        ),
    ];
    for (fault, seen, holds, outcome) in cases {
        let shown = format!("{fault:?}");
        assert_eq!(stage.put_under(fault), (seen, holds, outcome), "{shown}");
    }
    assert_eq!(stage.put().expect("no fault is left").status(), 200);
}

#[test]
fn a_hang_is_silent_for_as_long_as_it_was_told() {
    let stage = Stage::new();
    let time = Duration::from_millis(200);
    let began = Instant::now();
    let (seen, _, _) = stage.put_under(Fault::Hang(time));
    assert_eq!(seen, Err(ErrorKind::UnexpectedEof));
    assert!(began.elapsed() >= time);
}

#[test]
fn a_straggler_reaches_the_engine_after_the_client_has_given_up() {
    let stage = Stage::new();
    let seen = stage.put_under(Fault::Straggle(Duration::from_millis(200)));
    assert_eq!(
        seen,
        (Err(ErrorKind::UnexpectedEof), Holds::Nothing, Outcome::Lost)
    );
    wait_until("the straggler", || stage.holds() == Holds::Item);
}

#[test]
fn a_held_request_goes_on_when_its_gate_opens() {
    let stage = Stage::new();
    let gate = stage.proxy.on("PutItem").hold();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| stage.put().map(|answer| answer.status()));
        gate.wait_until_reached();
        assert_eq!(stage.holds(), Holds::Nothing);
        assert_eq!(stage.proxy.log()[0].outcome, Outcome::UnderWay);
        gate.open();
        assert_eq!(put.join().expect("no panic"), Ok(200));
    });
    assert_eq!(stage.holds(), Holds::Item);
}

#[test]
fn refusals_speak_the_dialect_of_the_service() {
    let stage = Stage::new();
    let s3 = S3::start();
    let before_s3 = Proxy::before(s3.url());
    let cases = [
        (
            Fault::Throttled,
            400,
            "ProvisionedThroughputExceededException",
            503,
            "SlowDown",
        ),
        (
            Fault::ExpiredToken,
            400,
            "ExpiredTokenException",
            400,
            "ExpiredToken",
        ),
        (
            Fault::AccessDenied,
            400,
            "AccessDeniedException",
            403,
            "AccessDenied",
        ),
        (
            Fault::Conflict,
            400,
            "TransactionConflictException",
            409,
            "ConditionalRequestConflict",
        ),
        (
            Fault::NotFound,
            400,
            "ResourceNotFoundException",
            404,
            "NoSuchBucket",
        ),
    ];
    for (fault, status, code, s3_status, s3_code) in cases {
        stage.proxy.on("PutItem").next(fault.clone());
        let answer = stage.put().expect("an answer");
        let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let seen = document["__type"].as_str().unwrap_or_default();
        assert_eq!(
            (answer.status(), seen.rsplit('#').next()),
            (status, Some(code))
        );

        before_s3.on("PUT *.tflock").next(fault);
        let request = Message::request("PUT", &format!("/{BUCKET}/a.tflock?x-id=PutObject"), "");
        let answer = http::send(&before_s3.url(), &request).expect("an answer");
        assert_eq!(answer.status(), s3_status);
        assert!(answer.text().contains(&format!("<Code>{s3_code}</Code>")));
    }
    assert_eq!(stage.holds(), Holds::Nothing);
    assert_eq!(s3.keys(), Vec::<String>::new());
    assert_eq!(before_s3.actions(), ["PUT /states/a.tflock"; 5]);
}

#[test]
fn a_fault_strikes_the_request_it_was_meant_for() {
    let stage = Stage::new();
    let statuses = |count: usize| -> Vec<u16> {
        let puts = (0..count).map(|_| stage.put().expect("an answer").status());
        puts.collect()
    };
    stage.proxy.on("PutItem").nth(2, Fault::InternalError);
    stage.proxy.on("DeleteItem").next(Fault::InternalError);
    assert_eq!(statuses(3), [200, 500, 200]);
    stage.proxy.on("PutItem").times(2, &Fault::Unavailable);
    assert_eq!(statuses(3), [503, 503, 200]);
    stage.proxy.on("*").every(Fault::Unavailable);
    assert_eq!(statuses(3), [503, 503, 503]);
    stage.proxy.heal();
    assert_eq!(statuses(1), [200]);
    assert_eq!(
        (stage.proxy.count("PutItem"), stage.proxy.count("*")),
        (10, 10)
    );
    assert_eq!(stage.proxy.log()[0].input()["Item"]["LockID"]["S"], "x");
}

#[test]
fn an_engine_that_is_gone_is_no_answer() {
    let proxy = Proxy::before(&refusing_url());
    let seen = http::send(&proxy.url(), &Message::request("GET", "/states/x", ""));
    assert_eq!(
        seen.map_err(|error| error.kind()),
        Err(ErrorKind::UnexpectedEof)
    );
    let outcome = proxy.log()[0].outcome.clone();
    assert!(matches!(outcome, Outcome::EngineFailed(_)), "{outcome:?}");
}

#[test]
fn the_wire_costs_what_it_was_set_to() {
    let stage = Stage::new();
    let time_of_put = || {
        let began = Instant::now();
        assert_eq!(stage.put().expect("an answer").status(), 200);
        began.elapsed()
    };
    time_of_put();
    let trip = Duration::from_millis(100);
    stage.proxy.set_delay(Delay::requests_only(trip));
    let one = time_of_put();
    stage.proxy.set_delay(Delay::round_trip(trip));
    let two = time_of_put();
    assert!(one >= trip && two >= 2 * trip, "{one:?} {two:?}");
}

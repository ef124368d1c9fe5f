//! A machine whose clock is wrong: signatures are corrected by the server's time, and if that does not help, the
//! error names the clock.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::json;

use crate::support::dynamodb::Dynamodb;
use crate::support::http::{self, Message};
use crate::support::odd_server::OddServer;
use crate::support::process::Finished;
use crate::support::recorded::s3_workspace;
use crate::support::s3::S3;

/// A service whose clock is ahead of ours, and which, like DynamoDB, accepts no signature that is five minutes off.
fn ahead_by(ahead: TimeDelta, engine: String, refusal: fn(&str) -> Message) -> OddServer {
    OddServer::answering(move |request, wire| {
        let now = Utc::now() + ahead;
        let answer = if (signed(request) - now).abs() <= TimeDelta::minutes(5) {
            let mut answer = http::send(&engine, request)?;
            answer.remove_header("date");
            answer.remove_header("connection");
            answer
        } else {
            refusal("Signature expired: 20261127T103205Z is now earlier than 20261127T104205Z")
        };
        wire.write(&answer.with("date", http_date(now)).to_bytes())
    })
}

fn signed(request: &Message) -> DateTime<Utc> {
    let signed = request.header("x-amz-date").expect("a signed request");
    let signed = NaiveDateTime::parse_from_str(signed, "%Y%m%dT%H%M%SZ");
    signed.expect("a time").and_utc()
}

fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn dynamodb_refusal(message: &str) -> Message {
    let document = format!(
        r#"{{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"{message}"}}"#
    );
    Message::response(400, "Bad Request", document)
        .with("content-type", "application/x-amz-json-1.0")
}

fn s3_refusal(_: &str) -> Message {
    let document =
        "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>".to_owned();
    Message::response(403, "Forbidden", document).with("content-type", "application/xml")
}

/// Half an hour either way.
fn differences() -> [TimeDelta; 2] {
    [TimeDelta::minutes(30), TimeDelta::minutes(-30)]
}

#[test]
fn a_run_over_dynamodb_corrects_its_clock() {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    for ahead in differences() {
        let server = ahead_by(ahead, engine.url().to_owned(), dynamodb_refusal);
        let workspace = s3_workspace(&json!({
            "region": "us-east-1", "dynamodb_table": table.name(),
            "endpoints": { "dynamodb": server.url() },
        }));
        let run = workspace.tflock(["exec", "--", "true"]).run();
        assert_eq!(run, Finished::silent(0), "{ahead}");
        assert_eq!(server.requests().len(), 3, "one more than ever");
        let status = workspace.tflock(["status"]).run();
        status.succeeded().with_stdout("free");
        assert_eq!(table.locks(), Vec::<String>::new());
    }
}

#[test]
fn a_run_over_s3_corrects_its_clock() {
    let engine = S3::start();
    for ahead in differences() {
        let server = ahead_by(ahead, engine.url().to_owned(), s3_refusal);
        let workspace = s3_workspace(&json!({
            "region": "us-east-1", "use_lockfile": true, "endpoints": { "s3": server.url() },
        }));
        let run = workspace.tflock(["exec", "--", "true"]).run();
        assert_eq!(run, Finished::silent(0), "{ahead}");
        let status = workspace.tflock(["status"]).run();
        status.succeeded().with_stdout("free");
        assert_eq!(engine.locks(), Vec::<String>::new());
    }
}

#[test]
fn where_no_correction_helps_the_clock_is_named() {
    let server = OddServer::answering(|_, wire| {
        let refusal = dynamodb_refusal("Signature expired: it is now earlier than");
        let now = Utc::now() + TimeDelta::minutes(30) + TimeDelta::seconds(5);
        wire.write(&refusal.with("date", http_date(now)).to_bytes())
    });
    let workspace = s3_workspace(&json!({
        "region": "us-east-1", "dynamodb_table": "locks",
        "endpoints": { "dynamodb": server.url() },
    }));
    for arguments in [&["status"][..], &["exec", "--", "true"]] {
        let refused = workspace.tflock([]).args(arguments).run().ended_with(77);
        let words =
            "your clock is off by 30 min (behind the service's): InvalidSignatureException: ";
        let refused = refused
            .with_stderr(words)
            .with_stderr("hint: set the clock (`timedatectl set-ntp true` on Linux)");
        assert!(!refused.stderr.contains("log in"), "{refused}");
        assert!(!refused.stderr.contains("left behind"), "{refused}");
    }
}

#[test]
fn a_clock_that_a_role_is_refused_for_is_named_too() {
    let sts = OddServer::answering(|_, wire| {
        let document = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                        <Code>SignatureDoesNotMatch</Code><Message>Signature expired: it is now earlier than\
                        </Message></Error><RequestId>0</RequestId></ErrorResponse>";
        let now = Utc::now() + TimeDelta::minutes(30) + TimeDelta::seconds(5);
        let refusal = Message::response(403, "Forbidden", document)
            .with("content-type", "text/xml")
            .with("date", http_date(now));
        wire.write(&refusal.to_bytes())
    });
    let workspace = s3_workspace(&json!({
        "region": "us-east-1", "dynamodb_table": "locks",
        "endpoints": { "sts": sts.url() },
        "assume_role": { "role_arn": "arn:aws:iam::123456789012:role/locker" },
    }));
    let refused = workspace.tflock(["status"]).run().ended_with(77);
    refused.with_stderr("your clock is off by 30 min (behind the service's)");
}

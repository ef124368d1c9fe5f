//! The engines are as strict as the services they stand for.

use std::sync::Barrier;
use std::thread;

use serde_json::json;

use crate::support::dynamodb::Dynamodb;
use crate::support::http::{self, Message};
use crate::support::s3::{BUCKET, S3};

const ROUNDS: usize = 200;
const RACERS: usize = 6;

fn put(key: &str, body: &str) -> Message {
    Message::request("PUT", &format!("/{BUCKET}/{key}"), body)
}

fn status(s3: &S3, request: &Message) -> u16 {
    http::send(s3.url(), request).expect("an answer").status()
}

#[test]
fn each_of_200_raced_conditional_puts_has_one_winner() {
    let s3 = S3::start();
    let line = Barrier::new(RACERS);
    let won: Vec<Vec<bool>> = thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (line, s3) = (&line, &s3);
                scope.spawn(move || {
                    let mut wins = Vec::new();
                    for round in 0..ROUNDS {
                        let request = put(&format!("round/{round}"), &racer.to_string())
                            .with("if-none-match", "*");
                        line.wait();
                        wins.push(status(s3, &request) == 200);
                    }
                    wins
                })
            })
            .collect();
        let joined = racers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|wins| wins.expect("no racer panics")).collect()
    });
    for round in 0..ROUNDS {
        let ahead = won.iter().enumerate().filter(|(_, wins)| wins[round]);
        let winners: Vec<_> = ahead.map(|(racer, _)| racer).collect();
        let stored = s3.object(&format!("round/{round}")).expect("somebody won");
        let stored: usize = stored.text().parse().expect("the winner's number");
        assert_eq!(winners, [stored], "round {round}");
    }
}

#[test]
fn s3_changes_an_object_only_under_the_tag_it_has() {
    let s3 = S3::start();
    s3.put("key", "old");
    let old = s3.object("key").expect("an object").etag;
    assert_eq!(status(&s3, &put("none", "new").with("if-match", &old)), 404);
    assert_eq!(status(&s3, &put("key", "new").with("if-match", &old)), 200);
    assert_eq!(
        status(&s3, &put("key", "newer").with("if-match", &old)),
        412
    );
    let delete = Message::request("DELETE", &format!("/{BUCKET}/key"), "");
    assert_eq!(status(&s3, &delete.clone().with("if-match", &old)), 412);
    let new = s3.object("key").expect("an object").etag;
    assert_eq!(status(&s3, &delete.clone().with("if-match", &new)), 204);
    assert_eq!(status(&s3, &delete.clone().with("if-match", &new)), 404);
    assert_eq!(status(&s3, &delete), 204);
    assert_eq!(s3.keys(), Vec::<String>::new());
}

#[test]
fn s3_keeps_type_metadata_and_encryption_key_of_an_object() {
    let s3 = S3::start();
    let sse_c = "x-amz-server-side-encryption-customer-key-md5";
    let request = put("dir/a%20b", "text")
        .with("content-type", "application/json")
        .with("x-amz-meta-holder", "ana")
        .with(sse_c, "digest-of-key");
    assert_eq!(status(&s3, &request), 200);
    let get = Message::request("GET", &format!("/{BUCKET}/dir/a%20b"), "");
    assert_eq!(status(&s3, &get), 400);
    assert_eq!(status(&s3, &get.clone().with(sse_c, "other")), 403);
    let answer = http::send(s3.url(), &get.with(sse_c, "digest-of-key")).expect("an answer");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "text"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-amz-meta-holder"), Some("ana"));
    assert_eq!(s3.keys(), ["dir/a b"]);
}

#[test]
fn s3_refuses_a_body_that_is_not_what_its_checksum_says() {
    let s3 = S3::start();
    let sha256_of_hello = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let good = put("key", "hello").with("x-amz-checksum-sha256", sha256_of_hello);
    assert_eq!(status(&s3, &good), 200);
    let bad = put("key", "jello").with("x-amz-checksum-sha256", sha256_of_hello);
    let answer = http::send(s3.url(), &bad).expect("an answer");
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("<Code>BadDigest</Code>"));
    let crc32_of_check = put("key", "123456789").with("x-amz-checksum-crc32", "y/Q5Jg==");
    assert_eq!(status(&s3, &crc32_of_check), 200);
    let unknown = put("key", "hello").with("x-amz-checksum-sha1", "?");
    assert_eq!(status(&s3, &unknown), 501);
    assert_eq!(s3.object("key").expect("an object").text(), "123456789");
}

#[test]
fn s3_unwraps_a_body_in_chunks_with_a_trailing_checksum() {
    let s3 = S3::start();
    let wrapped = |checksum: &str| {
        let body =
            format!("3\r\n123\r\n6\r\n456789\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n");
        put("key", &body)
            .with("content-encoding", "aws-chunked")
            .with("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .with("x-amz-decoded-content-length", "9")
    };
    assert_eq!(status(&s3, &wrapped("y/Q5Jg==")), 200);
    assert_eq!(s3.object("key").expect("an object").text(), "123456789");
    assert_eq!(status(&s3, &wrapped("AAAAAA==")), 400);
}

#[test]
fn s3_lists_page_by_page_with_prefix_and_delimiter() {
    let s3 = S3::start();
    for key in ["a/1", "a/2", "a/x/3", "a/x/4", "a/y/5", "b/6"] {
        s3.put(key, "");
    }
    let mut token = String::new();
    let mut pages = Vec::new();
    loop {
        let query = format!("list-type=2&prefix=a%2F&delimiter=%2F&max-keys=3{token}");
        let request = Message::request("GET", &format!("/{BUCKET}?{query}"), "");
        let page = http::send(s3.url(), &request).expect("an answer").text();
        let rows = ["<Key>", "<CommonPrefixes><Prefix>"]
            .into_iter()
            .flat_map(|tag| page.split(tag).skip(1))
            .map(|rest| rest.split('<').next().unwrap_or_default().to_owned());
        pages.push(rows.collect::<Vec<_>>());
        let Some((_, next)) = page.split_once("<NextContinuationToken>") else {
            break;
        };
        let next = next.split('<').next().unwrap_or_default();
        token = format!("&continuation-token={next}");
    }
    assert_eq!(pages, [vec!["a/1", "a/2", "a/x/"], vec!["a/y/"]]);
    let unknown = Message::request("GET", &format!("/{BUCKET}?list-type=2&versions"), "");
    assert_eq!(status(&s3, &unknown), 501);
}

#[test]
fn s3_answers_in_the_service_s_own_codes() {
    let s3 = S3::start();
    let answer = |path: &str| {
        let request = Message::request("GET", path, "");
        let answer = http::send(s3.url(), &request).expect("an answer");
        (answer.status(), answer.text())
    };
    let (status, text) = answer(&format!("/{BUCKET}/none"));
    assert_eq!(status, 404);
    assert!(text.contains("<Code>NoSuchKey</Code>"), "{text}");
    let (status, text) = answer("/other/none");
    assert_eq!(status, 404);
    assert!(text.contains("<Code>NoSuchBucket</Code>"), "{text}");
    let mut unsigned = Message::request("GET", &format!("/{BUCKET}/none"), "");
    unsigned.remove_header("authorization");
    let answer = http::send(s3.url(), &unsigned).expect("an answer");
    assert_eq!(answer.status(), 403);
}

#[test]
fn dynamodb_brings_the_holder_back_with_a_refusal() {
    let dynamodb = Dynamodb::start();
    let table = dynamodb.create_table("locks");
    table.put_lock("states/key", &json!({ "ID": "1" }));
    let refused = table.call(
        "PutItem",
        &json!({
            "TableName": table.name(),
            "Item": { "LockID": { "S": "states/key" } },
            "ConditionExpression": "attribute_not_exists(LockID)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }),
    );
    let refused = refused.expect_err("the condition does not hold");
    let code = refused["__type"].as_str().unwrap_or_default();
    assert!(code.ends_with("#ConditionalCheckFailedException"), "{code}");
    assert_eq!(refused["Item"]["Info"]["S"], r#"{"ID":"1"}"#);
    assert_eq!(table.locks(), ["states/key"]);
    table.delete("states/key");
    assert_eq!(table.item("states/key"), None);
}

#[test]
fn dynamodb_refuses_terraform_s_key_in_a_table_with_another() {
    let dynamodb = Dynamodb::start();
    let table = dynamodb.create_table_with_other_key("wrong");
    let input = json!({ "TableName": table.name(), "Key": { "LockID": { "S": "x" } } });
    let refused = table.call("GetItem", &input);
    let code = refused.expect_err("the key has another name")["__type"].clone();
    assert!(code.to_string().contains("#ValidationException"), "{code}");
}

//! Answers of whoever is behind an endpoint.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tflock::lock::store::Store;
use tflock::lock::store::aws::{AwsAccess, AwsSettings, StaticKeys};
use tflock::lock::store::dynamodb::DynamoDbStore;
use tflock::lock::store::s3::{ObjectSettings, S3Store};
use tflock::text::printable;

use crate::{assert_printable, fuzz};

/// Answers every request with the body that was put here last: as a success and as a refusal in turn.
struct Server {
    url: String,
    body: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    fn start(content_type: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body = Arc::<Mutex<Vec<u8>>>::default();
        let shown = Arc::clone(&body);
        thread::spawn(move || {
            for (index, client) in listener.incoming().flatten().enumerate() {
                let status = if index % 2 == 0 {
                    "200 OK"
                } else {
                    "400 Bad Request"
                };
                let body = shown.lock().unwrap().clone();
                answer(client, status, content_type, &body);
            }
        });
        Self { url, body }
    }
}

fn answer(mut client: TcpStream, status: &str, content_type: &str, body: &[u8]) {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    // The requests here are short, and end with their headers or in a JSON object.
    let is_whole = |request: &[u8]| {
        request.ends_with(b"}") || (request.ends_with(b"\r\n\r\n") && !request.starts_with(b"POST"))
    };
    while !is_whole(&request) {
        match client.read(&mut part) {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\netag: \"1\"\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = client
        .write_all(head.as_bytes())
        .and_then(|()| client.write_all(body));
}

/// Lets that store read one answer after the other.
fn read_all(
    content_type: &'static str,
    samples: &[&[u8]],
    store: fn(&AwsAccess) -> Box<dyn Store>,
) {
    let server = Server::start(content_type);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let settings = AwsSettings {
        region: Some("us-east-1".to_owned()),
        dynamodb_endpoint: Some(server.url.clone()),
        s3_endpoint: Some(server.url.clone()),
        path_style: true,
        keys: Some(StaticKeys {
            access_key: "a".to_owned(),
            secret_key: "s".to_owned(),
            token: None,
        }),
        shared_config_files: Some(Vec::new()),
        shared_credentials_files: Some(Vec::new()),
        ..AwsSettings::default()
    };
    let access = runtime.block_on(AwsAccess::load(settings)).unwrap();
    let store = store(&access);
    fuzz(samples, |input| {
        *server.body.lock().unwrap() = input.to_vec();
        match runtime.block_on(store.read()) {
            Ok(Some(stored)) => drop(stored.record.lock_info()),
            Ok(None) => {}
            Err(error) => assert_printable(&printable(&error.to_string())),
        }
    });
}

#[test]
fn of_dynamodb() {
    let item = br#"{"Item":{"LockID":{"S":"b/k"},"Info":{"S":"{\"ID\":\"x\"}"},"Heartbeat":{"N":"7"},"Holder":{"M":{"Pid":{"N":"1"}}},"Tags":{"L":[{"BOOL":true},{"NULL":true},{"B":"YQ=="},{"SS":["a"]}]}}}"#;
    let refusal = br#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no such table"}"#;
    read_all(
        "application/x-amz-json-1.0",
        &[item, refusal, b"{}"],
        |access| Box::new(DynamoDbStore::new(access, "locks", "b/k")),
    );
}

#[test]
fn of_s3() {
    let object = br#"{"ID":"x","Operation":"OperationTypeApply","Info":"","Who":"a@b","Version":"1.11.4","Created":"2026-11-27T10:32:05Z","Path":"b/k"}"#;
    let refusal = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no &amp; never</Message><RequestId>1</RequestId></Error>";
    read_all("application/xml", &[object, refusal, b""], |access| {
        Box::new(S3Store::new(
            access,
            "b",
            "k.tflock",
            ObjectSettings::default(),
        ))
    });
}

//! A DynamoDB for a test: dynoxide inside the test process, or any engine that `TFLOCK_TEST_DYNAMODB` names
//! (Amazon's own DynamoDB Local, by `.ci/dynamodb-local`).
//!
//! Tests read tables through this, past every proxy, so that they see what is stored. It must never
//! depend on the text of an engine's messages: engines agree on codes only.
//!
//! Running the tests shows which of them use an engine: each adds its name to the file that
//! `TFLOCK_TEST_DYNAMODB_USERS` names. Only these are worth a run with another engine.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, future, process, thread};

use serde_json::{Value, json};

use super::http::{self, Message};
use super::server::{Server, loopback_listener};

/// The variable that points all suites at another engine, such as `http://127.0.0.1:8000`.
pub const ENGINE_VARIABLE: &str = "TFLOCK_TEST_DYNAMODB";

/// The variable that names the file in which tests record that they use an engine.
const USERS_VARIABLE: &str = "TFLOCK_TEST_DYNAMODB_USERS";

/// An engine. It stops when this is dropped, unless the test only borrows it.
#[derive(Debug)]
pub struct Dynamodb {
    url: String,
    user: User,
    _own: Option<Server>,
}

/// The test that started an engine, if that is being recorded.
#[derive(Debug, Clone)]
struct User(Option<Arc<str>>);

impl User {
    /// The test that runs in this thread, whose name is the test's.
    fn of_this_thread() -> Self {
        let wanted = env::var_os(USERS_VARIABLE).is_some();
        Self(wanted.then(|| {
            let thread = thread::current();
            let name = thread.name().filter(|name| name.contains("::"));
            name.expect(
                "an engine is started by a test's own thread, or by one that `beside` starts",
            )
            .into()
        }))
    }

    fn note(&self) {
        if let Some(test) = &self.0 {
            let path = env::var_os(USERS_VARIABLE).expect("it was there when the engine started");
            let file = File::options().append(true).create(true).open(path);
            // One write: tests that run at once do not mix their lines.
            let line = format!("{test}\n");
            file.and_then(|mut file| file.write_all(line.as_bytes()))
                .expect("the name of the test is noted");
        }
    }
}

impl Dynamodb {
    /// A fresh engine, or the one that [`ENGINE_VARIABLE`] names.
    pub fn start() -> Self {
        let user = User::of_this_thread();
        if let Ok(url) = env::var(ENGINE_VARIABLE) {
            return Self {
                url,
                user,
                _own: None,
            };
        }
        let (listener, address) = loopback_listener();
        let own = Server::start("dynamodb", listener, |listener| async move {
            let tables = dynoxide::Database::memory().expect("an in-memory database");
            dynoxide::server::serve_with_shutdown(listener, tables, future::pending())
                .await
                .expect("dynoxide serves");
        });
        Self {
            url: format!("http://{address}"),
            user,
            _own: Some(own),
        }
    }

    /// The value for `endpoints.dynamodb` or `AWS_ENDPOINT_URL_DYNAMODB`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A table as terraform wants it: the string key `LockID`, nothing else. Its name begins with `stem` and
    /// is like no other on this engine.
    pub fn create_table(&self, stem: &str) -> Table {
        self.user.note();
        self.create_table_in_case(stem)
    }

    /// The same, for a test that may not need it: it is created when its name is asked for.
    pub fn create_table_in_case(&self, stem: &str) -> Table {
        self.create_table_with_key(stem, "LockID")
    }

    /// A table that terraform cannot use, because its key is called `id`.
    pub fn create_table_with_other_key(&self, stem: &str) -> Table {
        self.user.note();
        self.create_table_with_key(stem, "id")
    }

    fn create_table_with_key(&self, stem: &str, key: &'static str) -> Table {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let serial = CREATED.fetch_add(1, Ordering::Relaxed);
        let table = Table {
            url: self.url.clone(),
            user: self.user.clone(),
            name: format!("{stem}-{}-{serial}", process::id()),
            key,
        };
        table.expect(
            "CreateTable",
            &json!({
                "TableName": table.name,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{ "AttributeName": key, "AttributeType": "S" }],
                "KeySchema": [{ "AttributeName": key, "KeyType": "HASH" }],
            }),
        );
        table
    }
}

/// One table of an engine, seen directly.
#[derive(Debug, Clone)]
pub struct Table {
    url: String,
    user: User,
    name: String,
    key: &'static str,
}

impl Table {
    /// The whole name, for `dynamodb_table` or `--table`.
    pub fn name(&self) -> &str {
        self.user.note();
        &self.name
    }

    /// The item in DynamoDB's own JSON (`{"LockID": {"S": …}, …}`), read consistently.
    pub fn item(&self, lock_id: &str) -> Option<Value> {
        let answer = self.expect(
            "GetItem",
            &json!({ "TableName": self.name, "Key": self.key_of(lock_id), "ConsistentRead": true }),
        );
        answer.get("Item").cloned()
    }

    /// A string attribute of the item.
    pub fn text(&self, lock_id: &str, attribute: &str) -> Option<String> {
        let item = self.item(lock_id)?;
        item[attribute]["S"].as_str().map(str::to_owned)
    }

    /// The `Info` attribute, read as JSON. `None` if there is no item or no `Info`.
    pub fn lock_info(&self, lock_id: &str) -> Option<Value> {
        let info = self.text(lock_id, "Info")?;
        Some(serde_json::from_str(&info).expect("`Info` is JSON"))
    }

    /// Every item of the table, in no order.
    pub fn items(&self) -> Vec<Value> {
        let answer = self.expect(
            "Scan",
            &json!({ "TableName": self.name, "ConsistentRead": true }),
        );
        answer["Items"].as_array().cloned().unwrap_or_default()
    }

    /// The keys of all items but terraform's digests and tflock's queues: what is locked right now.
    pub fn locks(&self) -> Vec<String> {
        let keys = self.items().into_iter().filter_map(|item| {
            let key = item[self.key]["S"].as_str()?;
            let is_lock = !key.ends_with("-md5") && !key.ends_with("-tflock-queue");
            is_lock.then(|| key.to_owned())
        });
        keys.collect()
    }

    /// Writes an item in DynamoDB's own JSON, whatever was there.
    pub fn put(&self, item: &Value) {
        self.expect("PutItem", &json!({ "TableName": self.name, "Item": item }));
    }

    /// Writes the lock that a plain terraform would leave behind.
    pub fn put_lock(&self, lock_id: &str, info: &Value) {
        self.put(&json!({ "LockID": { "S": lock_id }, "Info": { "S": info.to_string() } }));
    }

    /// Removes an item, whether it is there or not.
    pub fn delete(&self, lock_id: &str) {
        self.expect(
            "DeleteItem",
            &json!({ "TableName": self.name, "Key": self.key_of(lock_id) }),
        );
    }

    /// Any action of the API.
    ///
    /// # Errors
    /// The engine's error document, whose `__type` ends with the code.
    pub fn call(&self, action: &str, input: &Value) -> Result<Value, Value> {
        let request = Message::request("POST", "/", input.to_string())
            .with("content-type", "application/x-amz-json-1.0")
            .with("x-amz-date", "20260101T000000Z")
            .with("x-amz-target", format!("DynamoDB_20120810.{action}"));
        let answer = http::send(&self.url, &request)
            .unwrap_or_else(|error| panic!("no DynamoDB at {}: {error}", self.url));
        let document = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|_| panic!("not JSON from DynamoDB: {}", answer.text()));
        if answer.status() == 200 {
            Ok(document)
        } else {
            Err(document)
        }
    }

    fn expect(&self, action: &str, input: &Value) -> Value {
        self.call(action, input)
            .unwrap_or_else(|error| panic!("{action} of {input} failed: {error}"))
    }

    fn key_of(&self, lock_id: &str) -> Value {
        json!({ self.key: { "S": lock_id } })
    }
}

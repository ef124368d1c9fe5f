//! A place for one lock in each of the stores, with the engine behind it.

use std::any::Any;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;

use aws_credential_types::Credentials;
use aws_smithy_http_client::Builder;

use tflock::lock::record::Record;
use tflock::lock::store::Store;
use tflock::lock::store::dynamodb::DynamoDbStore;
use tflock::lock::store::local::LocalStore;
use tflock::lock::store::memory::MemoryStore;
use tflock::lock::store::s3::{ObjectSettings, S3Store};

use super::records::without_reason;
use crate::support::backend::{LOCK_ID, LOCK_KEY};
use crate::support::dynamodb::Dynamodb;
use crate::support::s3::{BUCKET, S3};

/// A place, empty at first. Its engine ends with it.
pub struct Place {
    pub store: Rc<dyn Store>,
    /// The place beside it.
    pub neighbour: Rc<dyn Store>,
    /// What reading brings back of a record that was written.
    pub kept: fn(&Record) -> Record,
    _engine: Box<dyn Any>,
}

pub fn memory() -> Place {
    Place {
        store: Rc::new(MemoryStore::default()),
        neighbour: Rc::new(MemoryStore::default()),
        kept: Record::clone,
        _engine: Box::new(()),
    }
}

pub fn local() -> Place {
    let directory = tempfile::tempdir().unwrap();
    // It is the store that makes the directory.
    let inner = directory.path().join("state/tflock");
    Place {
        store: Rc::new(LocalStore::new(&inner, LOCK_ID)),
        neighbour: Rc::new(LocalStore::new(&inner, "another")),
        kept: Record::clone,
        _engine: Box::new(directory),
    }
}

pub fn dynamodb() -> Place {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let client = dynamodb_client(engine.url());
    Place {
        store: Rc::new(DynamoDbStore::new(client.clone(), table.name(), LOCK_ID)),
        neighbour: Rc::new(DynamoDbStore::new(client, table.name(), "another")),
        kept: Record::clone,
        _engine: Box::new(engine),
    }
}

pub fn s3() -> Place {
    let engine = S3::start();
    Place {
        store: Rc::new(s3_store(engine.url(), LOCK_KEY)),
        neighbour: Rc::new(s3_store(engine.url(), "another.tflock")),
        kept: without_reason,
        _engine: Box::new(engine),
    }
}

pub fn local_store(directory: &Path) -> LocalStore {
    LocalStore::new(directory, LOCK_ID)
}

pub fn dynamodb_store(url: &str, table: &str) -> DynamoDbStore {
    DynamoDbStore::new(dynamodb_client(url), table, LOCK_ID)
}

pub fn s3_store(url: &str, object: &str) -> S3Store {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .endpoint_url(url)
        .force_path_style(true)
        .credentials_provider(credentials())
        .http_client(Builder::new().build_http())
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    S3Store::new(client, BUCKET, object, ObjectSettings::default())
}

fn dynamodb_client(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(credentials())
        .http_client(Builder::new().build_http())
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "test")
}

/// Runs a future on this thread, as tflock does.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

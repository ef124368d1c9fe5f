//! A place for one lock in each of the stores, with the engine behind it.

use std::any::Any;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;

use tflock::lock::record::Record;
use tflock::lock::store::Store;
use tflock::lock::store::aws::{AwsAccess, AwsSettings, StaticKeys};
use tflock::lock::store::dynamodb::DynamoDbStore;
use tflock::lock::store::local::LocalStore;
use tflock::lock::store::memory::MemoryStore;
use tflock::lock::store::off_thread::OffThread;
use tflock::lock::store::s3::{ObjectSettings, Renewals, S3Store};

use super::records::without_reason;
use crate::support::backend::{LOCK_ID, LOCK_KEY};
use crate::support::dynamodb::Dynamodb;
use crate::support::s3::{BUCKET, IfMatch, S3, Sort};

/// A place, empty at first. Its engine ends with it.
pub struct Place {
    pub store: Rc<dyn Store>,
    /// The place beside it.
    pub neighbour: Rc<dyn Store>,
    /// What a read returns of a record that was written.
    pub kept: fn(&Record) -> Record,
    _engine: Box<dyn Any>,
}

pub fn memory() -> Place {
    Place {
        store: Rc::new(MemoryStore::with_companions()),
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
        store: Rc::new(OffThread::new(LocalStore::new(&inner, LOCK_ID))),
        neighbour: Rc::new(LocalStore::new(&inner, "another")),
        kept: Record::clone,
        _engine: Box::new(directory),
    }
}

pub fn dynamodb() -> Place {
    let engine = Dynamodb::start();
    let table = engine.create_table("locks");
    let access = access(engine.url());
    Place {
        store: Rc::new(DynamoDbStore::new(&access, table.name(), LOCK_ID)),
        neighbour: Rc::new(DynamoDbStore::new(&access, table.name(), "another")),
        kept: Record::clone,
        _engine: Box::new(engine),
    }
}

pub fn s3() -> Place {
    s3_of_sort(Sort::default())
}

pub fn s3_that_ignores_if_match() -> Place {
    s3_of_sort(Sort::writing(IfMatch::Ignored))
}

pub fn s3_without_if_match() -> Place {
    s3_of_sort(Sort::writing(IfMatch::NotImplemented))
}

pub fn s3_that_calls_if_match_invalid() -> Place {
    s3_of_sort(Sort::deleting(IfMatch::Invalid))
}

pub fn s3_that_never_finds_a_match() -> Place {
    s3_of_sort(Sort::writing(IfMatch::AlwaysFails))
}

pub fn s3_that_feigns_to_overwrite() -> Place {
    s3_of_sort(Sort::overwriting(IfMatch::Feigned))
}

/// A server that compares, as the user has declared.
pub fn s3_that_is_declared_to_compare() -> Place {
    let engine = S3::start();
    Place {
        store: Rc::new(declared_s3_store(engine.url(), LOCK_KEY)),
        neighbour: Rc::new(declared_s3_store(engine.url(), "another.tflock")),
        kept: without_reason,
        _engine: Box::new(engine),
    }
}

fn s3_of_sort(sort: Sort) -> Place {
    let engine = S3::of_sort(sort);
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
    DynamoDbStore::new(&access(url), table, LOCK_ID)
}

pub fn s3_store(url: &str, object: &str) -> S3Store {
    S3Store::new(&access(url), BUCKET, object, ObjectSettings::default())
}

/// The same object of a server that is said to compare on writes, so that it is renewed.
pub fn declared_s3_store(url: &str, object: &str) -> S3Store {
    S3Store::new(&access(url), BUCKET, object, renewed())
}

/// The usual settings of a renewed object.
pub fn renewed() -> ObjectSettings {
    ObjectSettings {
        renewals: Renewals::On,
        ..ObjectSettings::default()
    }
}

/// The same object of Amazon's own server, which is reached through that proxy.
pub fn amazon_s3_store(proxy: &str) -> S3Store {
    amazon_s3_store_with(proxy, renewed())
}

/// The same with these settings.
pub fn amazon_s3_store_with(proxy: &str, object: ObjectSettings) -> S3Store {
    let settings = AwsSettings {
        http_proxy: Some(proxy.to_owned()),
        ..settings("http://s3.us-east-1.amazonaws.com")
    };
    let access = block_on(AwsAccess::load(settings)).unwrap();
    S3Store::new(&access, BUCKET, LOCK_KEY, object)
}

/// The connection to an engine, whichever of the two it is.
fn access(url: &str) -> AwsAccess {
    block_on(AwsAccess::load(settings(url))).unwrap()
}

fn settings(url: &str) -> AwsSettings {
    AwsSettings {
        region: Some("us-east-1".to_owned()),
        keys: Some(StaticKeys {
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
            token: None,
        }),
        dynamodb_endpoint: Some(url.to_owned()),
        s3_endpoint: Some(url.to_owned()),
        path_style: true,
        ..AwsSettings::default()
    }
}

/// Runs a future on this thread, as tflock does.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

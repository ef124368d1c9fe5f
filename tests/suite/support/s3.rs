//! An S3 for a test: buckets in memory whose conditional writes are atomic, because one mutex is held for
//! the whole of each operation.
//!
//! It knows what terraform's backend and tflock use: PUT, GET, HEAD, DELETE of whole objects with their
//! conditions, and `ListObjectsV2`. Any other request is refused with 501: it must never accept a
//! request and ignore a part of it, unless it is of a kind that does. Signatures are not checked, only that there is
//! one.

mod checksum;
mod listing;
mod operation;
mod reply;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use chrono::{DateTime, Utc};

use super::server::{Server, loopback_listener};

/// The bucket that every fake has from the start.
pub const BUCKET: &str = "states";

/// How a server treats `If-Match`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// As S3 does.
    #[default]
    Honoured,
    /// Nothing: the request is carried out.
    Ignored,
    /// 501.
    NotImplemented,
    /// 400.
    Invalid,
    /// 412, to a right tag too.
    AlwaysFails,
    /// 200, and nothing is done.
    Feigned,
}

/// The kind of server that a fake is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sort {
    pub on_delete: IfMatch,
    pub on_put: IfMatch,
}

impl Sort {
    /// One that does this on a DELETE, and all else as S3 does.
    pub fn deleting(on_delete: IfMatch) -> Self {
        Self {
            on_delete,
            ..Self::default()
        }
    }

    /// One that does this on a PUT, and all else as S3 does.
    pub fn overwriting(on_put: IfMatch) -> Self {
        Self {
            on_put,
            ..Self::default()
        }
    }

    /// One that does this on every write.
    pub fn writing(if_match: IfMatch) -> Self {
        Self {
            on_delete: if_match,
            on_put: if_match,
        }
    }
}

/// A running fake with only the bucket [`BUCKET`]. It stops when this is dropped.
#[derive(Debug)]
pub struct S3 {
    url: String,
    buckets: Shared,
    _server: Server,
}

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub body: Vec<u8>,
    pub content_type: Option<String>,
    /// The `x-amz-meta-` headers, without that prefix, in lower case.
    pub metadata: BTreeMap<String, String>,
    /// 32 hex digits with quotes. As in S3, equal contents have equal tags, unless KMS encrypts them.
    pub etag: String,
    pub last_modified: DateTime<Utc>,
    /// The `x-amz-checksum-` headers that came with it, by full name. They were checked.
    pub checksums: BTreeMap<String, String>,
    /// The `x-amz-tagging` header, as it came.
    pub tagging: Option<String>,
    /// The MD5 of the customer's key, if it was stored with SSE-C.
    pub customer_key_md5: Option<String>,
}

impl Object {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, such as a lock file's.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the object holds JSON")
    }
}

type Bucket = BTreeMap<String, Object>;

/// All buckets by name; one lock for everything is what makes the conditions atomic.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<BTreeMap<String, Bucket>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl S3 {
    /// A fresh fake on a free loopback port.
    pub fn start() -> Self {
        Self::of_sort(Sort::default())
    }

    /// The same, as a server of that kind.
    pub fn of_sort(sort: Sort) -> Self {
        let (listener, address) = loopback_listener();
        let buckets = Shared::default();
        buckets.lock().insert(BUCKET.to_owned(), Bucket::new());
        let app = Router::new()
            .fallback(operation::answer)
            .with_state((buckets.clone(), sort));
        let server = Server::start("s3", listener, |listener| async move {
            use axum::serve::ListenerExt;
            let listener = listener.tap_io(|stream| {
                // Best effort: without it a test is slower and nothing else.
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, app).await.expect("axum serves");
        });
        Self {
            url: format!("http://{address}"),
            buckets,
            _server: server,
        }
    }

    /// The value for `endpoints.s3` or `AWS_ENDPOINT_URL_S3`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An object of [`BUCKET`], past every proxy.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.buckets.lock()[BUCKET].get(key).cloned()
    }

    /// All keys of [`BUCKET`], in order.
    pub fn keys(&self) -> Vec<String> {
        self.buckets.lock()[BUCKET].keys().cloned().collect()
    }

    /// The keys of all lock files in [`BUCKET`]: what is locked right now.
    pub fn locks(&self) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| key.ends_with(".tflock"));
        keys
    }

    /// Writes an object to [`BUCKET`], whatever was there.
    pub fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let object = Object::new(body.into());
        self.bucket_mut(|bucket| {
            bucket.insert(key.to_owned(), object);
        });
    }

    /// Removes an object of [`BUCKET`], whether it is there or not.
    pub fn remove(&self, key: &str) {
        self.bucket_mut(|bucket| {
            bucket.remove(key);
        });
    }

    fn bucket_mut(&self, change: impl FnOnce(&mut Bucket)) {
        change(self.buckets.lock().entry(BUCKET.to_owned()).or_default());
    }
}

impl Object {
    fn new(body: Vec<u8>) -> Self {
        Self {
            etag: checksum::etag(&body),
            body,
            content_type: None,
            metadata: BTreeMap::new(),
            last_modified: Utc::now(),
            checksums: BTreeMap::new(),
            tagging: None,
            customer_key_md5: None,
        }
    }
}

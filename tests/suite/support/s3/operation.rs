//! The operations: what each request means, which conditions it has, and how it changes the bucket.
//! The mutex must never be released between looking at an object and changing it.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};

use super::checksum::{self, Received, receive};
use super::reply::{self, Refusal};
use super::{Bucket, IfMatch, Object, Shared, Sort, listing};

const LARGEST_BODY: usize = 64 << 20;

/// Query parameters that change nothing: the SDKs' note of which operation they mean.
const WITHOUT_MEANING: &str = "x-id";

/// Answers any request.
pub async fn answer(
    State((buckets, sort)): State<(Shared, Sort)>,
    request: Request,
) -> Response<Body> {
    let path = percent_decoded(request.uri().path());
    let outcome = carry_out(&buckets, sort, &path, request).await;
    outcome.unwrap_or_else(|refusal| refusal.reply(&path))
}

async fn carry_out(
    buckets: &Shared,
    sort: Sort,
    path: &str,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let query = query_of(head.uri.query().unwrap_or_default());
    if header(&head.headers, "authorization").is_none() {
        return Err(Refusal::access_denied());
    }
    let raw = to_bytes(body, LARGEST_BODY)
        .await
        .map_err(|_| Refusal::bad_request("IncompleteBody"))?;
    let received = receive(&head.headers, &raw)?;

    let mut buckets = buckets.lock();
    let path = path.trim_start_matches('/');
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let bucket = buckets.get_mut(name).ok_or_else(Refusal::no_such_bucket)?;
    if key.is_empty() {
        return match head.method {
            Method::GET => Ok(reply::xml(
                StatusCode::OK,
                listing::list(name, bucket, &query)?,
            )),
            Method::HEAD => Ok(reply::empty(StatusCode::OK, None)),
            other => Err(Refusal::not_implemented(other.as_str())),
        };
    }
    if let Some(unknown) = query.keys().find(|name| *name != WITHOUT_MEANING) {
        return Err(Refusal::not_implemented(unknown));
    }
    let headers = &head.headers;
    match head.method {
        Method::PUT => put(bucket, key, headers, received, sort.on_put),
        Method::GET | Method::HEAD => get(bucket, key, headers),
        Method::DELETE => delete(bucket, key, headers, sort.on_delete),
        other => Err(Refusal::not_implemented(other.as_str())),
    }
}

fn put(
    bucket: &mut Bucket,
    key: &str,
    headers: &HeaderMap,
    received: Received,
    if_match: IfMatch,
) -> Result<Response<Body>, Refusal> {
    if header(headers, "x-amz-copy-source").is_some() {
        return Err(Refusal::not_implemented("x-amz-copy-source"));
    }
    match header(headers, "if-none-match") {
        Some("*") if bucket.contains_key(key) => return Err(Refusal::precondition_failed()),
        None | Some("*") => {}
        Some(_) => return Err(Refusal::not_implemented("if-none-match of a tag")),
    }
    check_if_match(bucket.get(key), headers, if_match)?;
    let mut object = Object::new(received.body);
    if header(headers, "x-amz-server-side-encryption") == Some("aws:kms") {
        object.etag = checksum::etag(&random_bytes());
    }
    object.content_type = header(headers, "content-type").map(str::to_owned);
    object.tagging = header(headers, "x-amz-tagging").map(str::to_owned);
    object.metadata = metadata_of(headers);
    object.checksums = received.checksums.into_iter().collect();
    object.customer_key_md5 = customer_key_md5(headers).map(str::to_owned);
    let reply = reply::empty(StatusCode::OK, Some(&object));
    let is_feigned = if_match == IfMatch::Feigned && header(headers, "if-match").is_some();
    if !is_feigned {
        bucket.insert(key.to_owned(), object);
    }
    Ok(reply)
}

fn get(bucket: &Bucket, key: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let object = bucket.get(key).ok_or_else(Refusal::no_such_key)?;
    match (&object.customer_key_md5, customer_key_md5(headers)) {
        (Some(stored), Some(given)) if stored != given => return Err(Refusal::access_denied()),
        (Some(_), None) | (None, Some(_)) => return Err(Refusal::bad_request("InvalidRequest")),
        _ => {}
    }
    check_if_match(Some(object), headers, IfMatch::Honoured)?;
    if header(headers, "if-none-match").is_some_and(|tag| same_tag(tag, object)) {
        return Ok(reply::empty(StatusCode::NOT_MODIFIED, Some(object)));
    }
    Ok(reply::whole(object))
}

fn delete(
    bucket: &mut Bucket,
    key: &str,
    headers: &HeaderMap,
    if_match: IfMatch,
) -> Result<Response<Body>, Refusal> {
    check_if_match(bucket.get(key), headers, if_match)?;
    let is_feigned = if_match == IfMatch::Feigned && header(headers, "if-match").is_some();
    if !is_feigned {
        bucket.remove(key);
    }
    Ok(reply::empty(StatusCode::NO_CONTENT, None))
}

/// `If-Match` as S3 does it: 412 where the tag differs, 404 where there is nothing to compare with.
fn check_if_match(
    object: Option<&Object>,
    headers: &HeaderMap,
    if_match: IfMatch,
) -> Result<(), Refusal> {
    let Some(tag) = header(headers, "if-match") else {
        return Ok(());
    };
    match if_match {
        IfMatch::Honoured => {}
        IfMatch::Ignored | IfMatch::Feigned => return Ok(()),
        IfMatch::NotImplemented => return Err(Refusal::not_implemented("if-match")),
        IfMatch::Invalid => return Err(Refusal::bad_request("InvalidArgument")),
        IfMatch::AlwaysFails => return Err(Refusal::precondition_failed()),
    }
    match object {
        None => Err(Refusal::no_such_key()),
        Some(object) if same_tag(tag, object) => Ok(()),
        Some(_) => Err(Refusal::precondition_failed()),
    }
}

/// KMS encrypts equal contents differently each time.
fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes
}

fn same_tag(tag: &str, object: &Object) -> bool {
    tag == "*" || tag.trim_matches('"') == object.etag.trim_matches('"')
}

fn customer_key_md5(headers: &HeaderMap) -> Option<&str> {
    header(headers, "x-amz-server-side-encryption-customer-key-md5")
}

fn metadata_of(headers: &HeaderMap) -> BTreeMap<String, String> {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-amz-meta-")?;
        Some((name.to_owned(), value.to_str().ok()?.to_owned()))
    });
    pairs.collect()
}

fn header<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name)?.to_str().ok()
}

fn query_of(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(name, value)| {
            (
                percent_decoded(name),
                percent_decoded(&value.replace('+', " ")),
            )
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..2).and_then(|pair| str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

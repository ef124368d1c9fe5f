//! `ListObjectsV2`: prefix, delimiter and paging.

use std::collections::BTreeMap;

use super::reply::{Refusal, escape};
use super::{Bucket, Object};

/// The known parameters; all others are refused.
const KNOWN: [&str; 8] = [
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "x-id",
];

/// S3's own limit of one page.
const PAGE: usize = 1000;

enum Row<'bucket> {
    Object(&'bucket Object),
    CommonPrefix,
}

/// The document for one page of a bucket.
pub fn list(
    name: &str,
    bucket: &Bucket,
    query: &BTreeMap<String, String>,
) -> Result<String, Refusal> {
    if let Some(unknown) = query.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Refusal::not_implemented(unknown));
    }
    if query.get("list-type").map(String::as_str) != Some("2") {
        return Err(Refusal::not_implemented("only version 2 of the listing"));
    }
    let text = |key: &str| query.get(key).map_or("", String::as_str);
    let (prefix, delimiter) = (text("prefix"), text("delimiter"));
    // The token is the last row of the page before, which S3 does not promise but nobody may look into.
    let after = text("continuation-token").max(text("start-after"));
    let limit = text("max-keys").parse().unwrap_or(PAGE).min(PAGE);

    let mut rows = BTreeMap::new();
    for (key, object) in bucket.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let cut = match delimiter {
            "" => None,
            delimiter => key[prefix.len()..].find(delimiter),
        };
        match cut {
            Some(at) => {
                let end = prefix.len() + at + delimiter.len();
                rows.insert(&key[..end], Row::CommonPrefix);
            }
            None => {
                rows.insert(key, Row::Object(object));
            }
        }
    }
    rows.retain(|row, _| *row > after);

    let mut document = vec![format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{}</Name><Prefix>{}</Prefix><MaxKeys>{limit}</MaxKeys><KeyCount>{}</KeyCount>\
         <IsTruncated>{}</IsTruncated>",
        escape(name),
        escape(prefix),
        rows.len().min(limit),
        rows.len() > limit,
    )];
    if rows.len() > limit
        && let Some(last) = rows.keys().nth(limit.saturating_sub(1))
    {
        let token = escape(last);
        document.push(format!(
            "<NextContinuationToken>{token}</NextContinuationToken>"
        ));
    }
    for (row, kind) in rows.iter().take(limit) {
        let row = escape(row);
        document.push(match kind {
            Row::CommonPrefix => {
                format!("<CommonPrefixes><Prefix>{row}</Prefix></CommonPrefixes>")
            }
            Row::Object(object) => format!(
                "<Contents><Key>{row}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                 <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                object.last_modified.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
                escape(&object.etag),
                object.body.len()
            ),
        });
    }
    document.push("</ListBucketResult>".to_owned());
    Ok(document.concat())
}

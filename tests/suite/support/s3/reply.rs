//! Replies of S3: errors as XML documents, objects as headers and body.

use axum::body::Body;
use axum::http::{HeaderName, Response, StatusCode};

use super::Object;

/// An operation that was not carried out, with S3's own code for it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub fn bad_request(code: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request is not valid.")
    }

    pub fn access_denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")
    }

    pub fn no_such_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchKey", "There is no such key.")
    }

    pub fn no_such_bucket() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NoSuchBucket",
            "There is no such bucket.",
        )
    }

    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            "A condition of the request does not hold.",
        )
    }

    /// What this fake does not know, so that no test passes because it was ignored.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", what)
    }

    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
        }
    }

    /// The reply to a request for `resource`.
    pub fn reply(&self, resource: &str) -> Response<Body> {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
             <Resource>{}</Resource><RequestId>0</RequestId></Error>",
            self.code,
            escape(&self.message),
            escape(resource)
        );
        xml(self.status, document)
    }
}

/// A reply that is an XML document.
pub fn xml(status: StatusCode, document: String) -> Response<Body> {
    let mut reply = Response::new(Body::from(document));
    *reply.status_mut() = status;
    set(&mut reply, "content-type", "application/xml");
    reply
}

/// A reply without a body that tells about an object: what PUT and DELETE get.
pub fn empty(status: StatusCode, object: Option<&Object>) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    if let Some(object) = object {
        describe(&mut reply, object);
    }
    reply
}

/// The object itself: what GET gets, and HEAD without the body.
pub fn whole(object: &Object) -> Response<Body> {
    let mut reply = Response::new(Body::from(object.body.clone()));
    describe(&mut reply, object);
    let content_type = object.content_type.as_deref();
    set(
        &mut reply,
        "content-type",
        content_type.unwrap_or("binary/octet-stream"),
    );
    let modified = object.last_modified.format("%a, %d %b %Y %H:%M:%S GMT");
    set(&mut reply, "last-modified", &modified.to_string());
    for (name, value) in &object.metadata {
        set(&mut reply, &format!("x-amz-meta-{name}"), value);
    }
    reply
}

fn describe(reply: &mut Response<Body>, object: &Object) {
    set(reply, "etag", &object.etag);
    for (name, value) in &object.checksums {
        set(reply, name, value);
    }
    if let Some(md5) = &object.customer_key_md5 {
        let prefix = "x-amz-server-side-encryption-customer";
        set(reply, &format!("{prefix}-algorithm"), "AES256");
        set(reply, &format!("{prefix}-key-md5"), md5);
    }
}

/// Names and values come from requests that were valid HTTP, so they are valid in the reply too.
fn set(reply: &mut Response<Body>, name: &str, value: &str) {
    let name = HeaderName::try_from(name).expect("a header name");
    let value = value.try_into().expect("a header value");
    reply.headers_mut().insert(name, value);
}

/// Text as it may stand in an XML element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

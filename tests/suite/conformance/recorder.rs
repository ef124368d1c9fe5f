//! Every service at once: S3, DynamoDB, STS, IAM Identity Center, the metadata of an instance, the endpoint of a
//! container, and a proxy to all of them. It notes the writes of locks, and hands out keys that tell how it was asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::support::server::{Server, loopback_listener};

/// The addresses `a` and `b` of one recorder. It ends with this value.
pub struct Recorder {
    urls: [String; 2],
    writes: Arc<Mutex<Vec<Write>>>,
    _servers: [Server; 2],
}

/// The write of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `a`, `b`, or another host; after `proxy >` one that was asked for by a proxy.
    host: String,
    path: String,
    /// Table and `LockID` where the path does not name the lock.
    item: Option<(String, String)>,
    access_key: String,
    token: Option<String>,
    region: String,
}

/// In one line, to be read below one another.
impl fmt::Display for Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            path,
            access_key,
            region,
            ..
        } = self;
        write!(formatter, "  {host}{path} by {access_key} in {region}")?;
        if let Some((table, id)) = &self.item {
            write!(formatter, ": {id} in {table}")?;
        }
        if let Some(token) = &self.token {
            write!(formatter, ", token {token}")?;
        }
        writeln!(formatter)
    }
}

impl Write {
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn signer(&self) -> &str {
        &self.access_key
    }
}

/// What one address needs.
#[derive(Clone)]
struct Address {
    name: &'static str,
    hosts: [String; 2],
    writes: Arc<Mutex<Vec<Write>>>,
}

impl Recorder {
    pub fn start() -> Self {
        let listeners = [loopback_listener(), loopback_listener()];
        let hosts = listeners.each_ref().map(|(_, address)| address.to_string());
        let writes = Arc::default();
        let mut names = ["a", "b"].into_iter();
        let servers = listeners.map(|(listener, _)| {
            let address = Address {
                name: names.next().unwrap(),
                hosts: hosts.clone(),
                writes: Arc::clone(&writes),
            };
            let app = Router::new().fallback(answer).with_state(address);
            Server::start("recorder", listener, |listener| async move {
                axum::serve(listener, app).await.expect("axum serves");
            })
        });
        Self {
            urls: hosts.map(|host| format!("http://{host}")),
            writes,
            _servers: servers,
        }
    }

    /// The URLs of `a` and of `b`.
    pub fn urls(&self) -> [&str; 2] {
        self.urls.each_ref().map(String::as_str)
    }

    /// Every write of a lock, in order and without repetitions.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.writes.lock().unwrap().clone();
        writes.dedup();
        writes
    }
}

/// Who signed a request.
struct Signed {
    access_key: String,
    region: String,
    token: Option<String>,
}

impl Signed {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (_, rest) = text("authorization")?.split_once("Credential=")?;
        let mut parts = rest.split(',').next()?.split('/');
        let access_key = parts.next()?.to_owned();
        Some(Self {
            access_key,
            region: parts.nth(1)?.to_owned(),
            token: text("x-amz-security-token").map(str::to_owned),
        })
    }
}

async fn answer(State(address): State<Address>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20)
        .await
        .unwrap_or_default();
    let text = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    // A proxy is asked for a whole URL.
    let proxied = parts.uri.authority().is_some();
    let mut host = match parts.uri.authority() {
        Some(authority) => authority.to_string(),
        None => text("host"),
    };
    for (known, name) in address.hosts.iter().zip(["a", "b"]) {
        if host == *known {
            name.clone_into(&mut host);
        }
    }
    if proxied {
        host = format!("{} proxy > {host}", address.name);
    }
    let path = parts.uri.path().to_owned();
    let asked = Asked {
        address: &address,
        host,
        signed: Signed::of(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    if parts.method == "CONNECT" {
        asked.note("", None);
        return StatusCode::FORBIDDEN.into_response();
    }
    let target = text("x-amz-target");
    if target.starts_with("DynamoDB") {
        return asked.dynamodb(&path, target.ends_with(".PutItem"));
    }
    if asked.body.contains("Action=AssumeRole") {
        return asked.role();
    }
    if let Some(query) = parts
        .uri
        .query()
        .filter(|_| path.ends_with("/federation/credentials"))
    {
        return asked.single_sign_on(query, &text("x-amz-sso_bearer_token"));
    }
    if path.contains("/container") {
        let key = format!("C.{}.{}.{}", asked.host, path, text("authorization"));
        return keys(&key, "Token").into_response();
    }
    match path.as_str() {
        "/latest/api/token" => {
            let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
            ([lifetime], "metadata-token").into_response()
        }
        "/latest/meta-data/iam/security-credentials/" => "instance-role".into_response(),
        "/latest/meta-data/iam/security-credentials/instance-role" => {
            let token = text("x-aws-ec2-metadata-token");
            keys(&format!("I.{}.{token}", asked.host), "Token").into_response()
        }
        _ => {
            let query = parts.uri.query().unwrap_or_default();
            asked.s3(&path, parts.method == "PUT", query.contains("list-type"))
        }
    }
}

struct Asked<'a> {
    address: &'a Address,
    host: String,
    signed: Option<Signed>,
    body: String,
}

impl Asked<'_> {
    fn note(&self, path: &str, item: Option<(String, String)>) {
        let unsigned = || Signed {
            access_key: String::new(),
            region: String::new(),
            token: None,
        };
        let signed = self.signed.as_ref();
        let signed = signed.map_or_else(unsigned, |signed| Signed {
            access_key: signed.access_key.clone(),
            region: signed.region.clone(),
            token: signed.token.clone(),
        });
        self.address.writes.lock().unwrap().push(Write {
            host: self.host.clone(),
            path: path.to_owned(),
            item,
            access_key: signed.access_key,
            token: signed.token,
            region: signed.region,
        });
    }

    /// No table: the run ends here, and nothing is locked.
    fn dynamodb(&self, path: &str, is_put: bool) -> Response {
        if is_put {
            let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let item = (text(&body["TableName"]), text(&body["Item"]["LockID"]["S"]));
            // With or without a slash at its end: a server takes both for the same.
            self.note(path.trim_end_matches('/'), Some(item));
        }
        let refusal = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no such table",
        });
        (StatusCode::BAD_REQUEST, refusal.to_string()).into_response()
    }

    fn s3(&self, path: &str, is_put: bool, is_list: bool) -> Response {
        if is_put && path.ends_with(".tflock") {
            self.note(path, None);
            return (StatusCode::OK, [(header::ETAG, "\"1\"")]).into_response();
        }
        if is_list {
            return "<ListBucketResult></ListBucketResult>".into_response();
        }
        let missing = "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
        (StatusCode::NOT_FOUND, missing).into_response()
    }

    fn role(&self) -> Response {
        let fields: BTreeMap<&str, &str> = self
            .body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let action = field("Action");
        let role = field("RoleArn").rsplit("%2F").next().unwrap_or_default();
        let session = match field("RoleSessionName") {
            // What neither was told is each one's own.
            name if name == "tflock" || name.parse::<u64>().is_ok() => "",
            name if name.starts_with("aws-go-sdk-") => "",
            name => name,
        };
        let duration = match field("DurationSeconds") {
            // Go says what is the service's own rule anyway.
            "900" => "",
            other => other,
        };
        let caller = self.signed.as_ref().map_or_else(
            || field("WebIdentityToken").to_owned(),
            |signed| format!("{}.{}", signed.region, signed.access_key),
        );
        let details = [
            self.host.as_str(),
            session,
            field("ExternalId"),
            duration,
            &caller,
        ];
        let details: Vec<&str> = details
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let key = plain(&format!("R.{role}.{}", details.join(".")));
        let keys = format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>token-of-{role}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
        );
        format!("<{action}Response><{action}Result>{keys}</{action}Result></{action}Response>")
            .into_response()
    }

    fn single_sign_on(&self, query: &str, token: &str) -> Response {
        let mut parts: Vec<&str> = query.split('&').collect();
        parts.sort_unstable();
        let key = plain(&format!("S.{}.{}.{token}", self.host, parts.join(".")));
        let keys = json!({ "roleCredentials": {
            "accessKeyId": key, "secretAccessKey": "s", "sessionToken": "t", "expiration": 4_070_908_800_000_u64,
        } });
        (
            [(header::CONTENT_TYPE, "application/json")],
            keys.to_string(),
        )
            .into_response()
    }
}

fn keys(access_key: &str, token: &str) -> String {
    json!({
        "Code": "Success", "AccessKeyId": plain(access_key), "SecretAccessKey": "s", token: "t",
        "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string()
}

/// A key that a header can bear.
fn plain(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let text = text.replace(|character| !plain(character), ".");
    text.split('.')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(".")
}

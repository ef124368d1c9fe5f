//! Whose credentials sign a request, and where it goes: what the backend recorded, in terraform's order of
//! precedence, then the usual environment and files.

mod endpoints;
mod keys;
mod programs;
mod proxies;
mod refused;
mod roles;
mod single_sign_on;
mod slow_sts;
mod sts;
mod sts_trouble;
mod web_identity;

use serde_json::{Value, json};

use crate::support::backend::Remote;
use crate::support::process::Invocation;
use crate::support::proxy::{Exchange, Proxy};
use crate::support::recorded::s3_workspace;
use crate::support::workspace::Workspace;

/// A lock table behind a proxy that sees who asks.
struct Scene {
    remote: Remote,
    proxy: Proxy,
}

/// Who signed a request, as its `Authorization` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signer {
    access_key: String,
    region: String,
    service: String,
    token: Option<String>,
}

impl Scene {
    fn new() -> Self {
        let remote = Remote::start();
        let proxy = Proxy::before(remote.dynamodb.url());
        Self { remote, proxy }
    }

    /// A directory whose backend locks in the table, with these settings besides.
    fn workspace(&self, settings: Value) -> Workspace {
        let mut config = json!({
            "dynamodb_table": self.remote.table.name(),
            "endpoints": { "dynamodb": self.proxy.url() },
        });
        merge(&mut config, settings);
        s3_workspace(&config)
    }

    /// The signer of both requests of a run, which must succeed and print nothing.
    #[track_caller]
    fn signer(&self, run: Invocation) -> Signer {
        self.proxy.clear_log();
        let run = run.run().succeeded();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
        assert_eq!(self.proxy.actions(), ["PutItem", "DeleteItem"]);
        let signers: Vec<_> = self.proxy.log().iter().map(Signer::of).collect();
        assert_eq!(signers[0], signers[1]);
        signers[0].clone()
    }
}

impl Signer {
    /// Whose signature that request bears.
    fn of(exchange: &Exchange) -> Self {
        let authorization = exchange.header("authorization").expect("a signed request");
        let token = exchange.header("x-amz-security-token");
        Self::from_headers(authorization, token)
    }

    fn from_headers(authorization: &str, token: Option<&str>) -> Self {
        let (_, rest) = authorization.split_once("Credential=").unwrap();
        let scope = rest.split(',').next().unwrap();
        let parts: Vec<_> = scope.split('/').collect();
        let [access_key, _date, region, service, "aws4_request"] = parts.as_slice() else {
            panic!("no credential scope: {scope}")
        };
        Self {
            access_key: (*access_key).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            token: token.map(str::to_owned),
        }
    }

    /// Without a token, for comparisons.
    fn dynamodb(access_key: &str, region: &str) -> Self {
        Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: "dynamodb".to_owned(),
            token: None,
        }
    }

    fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }
}

/// A run that takes the lock and releases it.
fn exec(workspace: &Workspace) -> Invocation {
    workspace.tflock(["exec", "--", "true"])
}

/// The same without the keys that every test's environment has.
fn without_keys(run: Invocation) -> Invocation {
    run.without_env("AWS_ACCESS_KEY_ID")
        .without_env("AWS_SECRET_ACCESS_KEY")
}

/// Settings on top of others; objects are merged.
fn merge(settings: &mut Value, others: Value) {
    match (settings, others) {
        (Value::Object(settings), Value::Object(others)) => {
            for (name, value) in others {
                merge(settings.entry(name).or_insert(Value::Null), value);
            }
        }
        (settings, others) => *settings = others,
    }
}

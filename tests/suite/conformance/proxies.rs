//! By which proxy: Go's rules, and the backend's settings on top.

use serde_json::json;

use super::conform;
use super::row::{Row, row};

/// Both services on a host that only a proxy can reach.
fn far(name: &'static str) -> Row {
    let url = "http://far.example:8000";
    row(name)
        .keys("K")
        .signed_by("K")
        .backend(json!({ "endpoints": { "s3": url, "dynamodb": url } }))
}

/// Both services on this machine.
fn near(name: &'static str) -> Row {
    row(name).keys("K").signed_by("K")
}

#[test]
fn proxies() {
    conform(&[
        near("never to this machine").var("HTTP_PROXY", "{b}"),
        near("never to this machine, whatever the backend says")
            .backend(json!({ "http_proxy": "{b}" })),
        far("HTTP_PROXY").var("HTTP_PROXY", "{b}"),
        far("http_proxy").var("http_proxy", "{b}"),
        far("the capitals go before")
            .var("HTTP_PROXY", "{b}")
            .var("http_proxy", "{a}"),
        far("without a scheme").var("HTTP_PROXY", "{b-host}"),
        far("the backend's goes before")
            .backend(json!({ "http_proxy": "{b}" }))
            .var("HTTP_PROXY", "{a}"),
        far("the exception of another host")
            .var("HTTP_PROXY", "{b}")
            .var("NO_PROXY", "near.example,10.0.0.0/8,far.example:80"),
        far("the backend's exceptions go before")
            .backend(json!({ "no_proxy": "near.example" }))
            .var("HTTP_PROXY", "{b}")
            .var("NO_PROXY", "*"),
        near("ALL_PROXY is not read").var("ALL_PROXY", "http://192.0.2.1:1"),
    ]);
}

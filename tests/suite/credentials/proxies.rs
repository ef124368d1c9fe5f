//! Proxies for plain endpoints: a host that only the proxy knows is reached through it.

use serde_json::{Value, json};

use super::{Scene, exec};
use crate::support::proxy::Proxy;
use crate::support::server::refusing_url;
use crate::support::workspace::Workspace;

/// A name that no resolver knows (RFC 6761).
const UNKNOWN_HOST: &str = "http://dynamodb.invalid:8000";

/// A directory whose table is on a host that only a proxy can reach.
fn unreachable(scene: &Scene, settings: Value) -> Workspace {
    let mut config = json!({
        "region": "us-east-1", "endpoints": { "dynamodb": UNKNOWN_HOST },
    });
    super::merge(&mut config, settings);
    scene.workspace(config)
}

#[test]
fn the_proxy_of_the_backend_goes_before_that_of_the_environment() {
    let scene = Scene::new();
    let workspace = unreachable(&scene, json!({ "http_proxy": scene.proxy.url() }));
    let run = exec(&workspace).env("http_proxy", refusing_url());
    assert_eq!(scene.signer(run).access_key, "test");
    let host = scene.proxy.log()[0].header("host").map(str::to_owned);
    assert_eq!(host.as_deref(), Some("dynamodb.invalid:8000"));
}

#[test]
fn the_proxy_of_the_environment_is_used_where_the_backend_names_none() {
    let scene = Scene::new();
    let workspace = unreachable(&scene, json!({}));
    let run = exec(&workspace).env("http_proxy", scene.proxy.url());
    assert_eq!(scene.signer(run).access_key, "test");
}

#[test]
fn a_proxy_for_secure_endpoints_is_none_for_plain_ones() {
    let scene = Scene::new();
    let workspace = scene.workspace(json!({
        "region": "us-east-1", "https_proxy": refusing_url(),
    }));
    assert_eq!(scene.signer(exec(&workspace)).access_key, "test");
}

#[test]
fn hosts_that_need_no_proxy_are_reached_without() {
    let scene = Scene::new();
    let proxy = Proxy::before(&refusing_url());
    let workspace = scene.workspace(json!({
        "region": "us-east-1", "http_proxy": proxy.url(), "no_proxy": "example.com,127.0.0.1",
    }));
    assert_eq!(scene.signer(exec(&workspace)).access_key, "test");
    assert_eq!(proxy.connections(), 0);
}

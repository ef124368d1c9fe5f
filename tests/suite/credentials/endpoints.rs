//! Endpoints: the backend's, new and old, then the environment's, new and old.

use serde_json::{Value, json};

use super::exec;
use crate::support::backend::Remote;
use crate::support::proxy::Proxy;
use crate::support::recorded::s3_workspace;
use crate::support::server::refusing_url;

/// A service, and the names of its endpoint besides the one in `endpoints`.
struct Service {
    /// How many a run makes.
    requests: usize,
    name: &'static str,
    old_attribute: &'static str,
    variables: [&'static str; 2],
}

/// Removes the preferred settings one by one; each time the next one must be used.
fn the_preferred_is_taken(engine: &str, locking: &Value, service: &Service) {
    let ways: [Proxy; 4] = std::array::from_fn(|_| Proxy::before(engine));
    for first in 0..ways.len() {
        let mut config = json!({ "region": "us-east-1" });
        super::merge(&mut config, locking.clone());
        if first == 0 {
            config["endpoints"] = json!({ service.name: ways[0].url() });
        }
        if first <= 1 {
            config[service.old_attribute] = json!(ways[1].url());
        }
        let workspace = s3_workspace(&config);
        let mut run = exec(&workspace).env("AWS_ENDPOINT_URL", refusing_url());
        for (variable, way) in service.variables.iter().zip(2..) {
            if first <= way {
                run = run.env(variable, ways[way].url());
            }
        }
        run.run().succeeded();
        let taken = ways.each_ref().map(|way| way.log().len());
        let mut expected = [0; 4];
        expected[first] = service.requests;
        assert_eq!(taken, expected);
        ways.iter().for_each(Proxy::clear_log);
    }
}

#[test]
fn dynamodb_is_looked_for_in_terraform_s_order() {
    let remote = Remote::start();
    the_preferred_is_taken(
        remote.dynamodb.url(),
        &json!({ "dynamodb_table": remote.table.name() }),
        &Service {
            requests: 2,
            name: "dynamodb",
            old_attribute: "dynamodb_endpoint",
            variables: ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_DYNAMODB_ENDPOINT"],
        },
    );
}

#[test]
fn s3_is_looked_for_in_terraform_s_order() {
    let remote = Remote::start();
    the_preferred_is_taken(
        remote.s3.url(),
        &json!({ "use_lockfile": true }),
        &Service {
            requests: 3,
            name: "s3",
            old_attribute: "endpoint",
            variables: ["AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT"],
        },
    );
}

#[test]
fn without_any_other_the_endpoint_of_all_services_is_taken() {
    let remote = Remote::start();
    let workspace = s3_workspace(&json!({
        "region": "us-east-1", "dynamodb_table": remote.table.name(),
    }));
    let run = exec(&workspace).env("AWS_ENDPOINT_URL", remote.dynamodb.url());
    run.run().succeeded();
}

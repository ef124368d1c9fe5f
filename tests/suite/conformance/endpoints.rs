//! Where S3 and DynamoDB are, and under which path; table, key and object.

use serde_json::json;

use super::conform;
use super::row::{Row, row};

fn signed(name: &'static str) -> Row {
    row(name).keys("K").signed_by("K")
}

/// Without endpoints in the backend.
fn unset(name: &'static str) -> Row {
    signed(name).backend(json!({ "endpoints": null }))
}

fn s3_and_dynamodb(url: &str) -> serde_json::Value {
    json!({ "endpoints": { "s3": url, "dynamodb": url } })
}

#[test]
fn which_endpoint() {
    conform(&[
        signed("of the backend")
            .var("AWS_ENDPOINT_URL_S3", "{b}")
            .var("AWS_ENDPOINT_URL_DYNAMODB", "{b}")
            .var("AWS_ENDPOINT_URL", "{b}"),
        unset("old attributes")
            .backend(json!({ "endpoint": "{b}", "dynamodb_endpoint": "{a}" }))
            .var("AWS_ENDPOINT_URL_S3", "{a}"),
        unset("variables")
            .var("AWS_ENDPOINT_URL_S3", "{a}")
            .var("AWS_ENDPOINT_URL_DYNAMODB", "{b}"),
        unset("old variables")
            .var("AWS_S3_ENDPOINT", "{a}")
            .var("AWS_DYNAMODB_ENDPOINT", "{b}"),
        unset("one variable for all").var("AWS_ENDPOINT_URL", "{b}"),
        unset("one variable for all, another for one")
            .var("AWS_ENDPOINT_URL", "{b}")
            .var("AWS_ENDPOINT_URL_S3", "{a}"),
        unset("an empty variable for all beside a profile")
            .config("[default]\nendpoint_url = {b}\n")
            .var("AWS_ENDPOINT_URL", ""),
        unset("of a profile").config("[default]\nendpoint_url = {b}\n"),
        unset("of a profile for one service").config(
            "[default]\nservices = lab\nendpoint_url = {b}\n[services lab]\ns3 =\n  endpoint_url = {a}\n",
        ),
        unset("a variable for all goes before a profile's for one")
            .config("[default]\nservices = lab\n[services lab]\ns3 =\n  endpoint_url = {a}\n")
            .var("AWS_ENDPOINT_URL", "{b}"),
        unset("ignored, but read by terraform itself")
            .var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
            .var("AWS_ENDPOINT_URL_S3", "{a}")
            .var("AWS_ENDPOINT_URL_DYNAMODB", "{b}"),
        signed("FIPS beside own endpoints").var("AWS_USE_FIPS_ENDPOINT", "true"),
        signed("FIPS and dual-stack in the backend beside own endpoints")
            .backend(json!({ "use_fips_endpoint": true, "use_dualstack_endpoint": true })),
        signed("FIPS in the profile beside own endpoints")
            .config("[default]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n"),
    ]);
}

#[test]
fn amazon_s_own() {
    let s3 = |name| signed(name).backend(json!({ "endpoints": { "s3": null } }));
    let dynamodb = |name| {
        signed(name).backend(json!({ "endpoints": { "dynamodb": null }, "use_lockfile": null }))
    };
    conform(&[
        s3("S3").asks("s3.eu-west-1.amazonaws.com:443"),
        s3("S3, any value of the variable for FIPS")
            .var("AWS_USE_FIPS_ENDPOINT", "false")
            .asks("s3-fips.eu-west-1.amazonaws.com:443"),
        s3("S3, dual-stack in the profile")
            .config("[default]\nuse_dualstack_endpoint = true\n")
            .asks("s3.dualstack.eu-west-1.amazonaws.com:443"),
        s3("S3, the bucket in the host")
            .backend(json!({ "use_path_style": null }))
            .asks("bkt.s3.eu-west-1.amazonaws.com:443"),
        dynamodb("DynamoDB").asks("dynamodb.eu-west-1.amazonaws.com:443"),
        dynamodb("DynamoDB, FIPS in the backend")
            .backend(json!({ "use_fips_endpoint": true }))
            .asks("dynamodb-fips.eu-west-1.amazonaws.com:443"),
        dynamodb("DynamoDB, FIPS in the profile against the backend")
            .config("[default]\nuse_fips_endpoint = true\n")
            .backend(json!({ "use_fips_endpoint": false }))
            .asks("dynamodb-fips.eu-west-1.amazonaws.com:443"),
        dynamodb("DynamoDB, configured endpoints ignored")
            .var("AWS_ENDPOINT_URL", "{a}")
            .var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
            .asks("dynamodb.eu-west-1.amazonaws.com:443"),
    ]);
}

#[test]
fn paths() {
    conform(&[
        signed("without a slash at its end").backend(s3_and_dynamodb("{a}/storage/v1/s3")),
        signed("with one").backend(s3_and_dynamodb("{a}/storage/v1/s3/")),
        signed("a slash alone").backend(s3_and_dynamodb("{a}/")),
        unset("of a variable")
            .var("AWS_ENDPOINT_URL_S3", "{a}/storage/s3")
            .var("AWS_ENDPOINT_URL_DYNAMODB", "{a}/db"),
        unset("of one variable for all").var("AWS_ENDPOINT_URL", "{a}/all"),
    ]);
}

#[test]
fn names() {
    conform(&[
        signed("table, bucket and key").backend(json!({
            "dynamodb_table": "my.table_1-x", "bucket": "other-bucket", "key": "a b/ü+c/state file",
        })),
        signed("a workspace")
            .var("TF_WORKSPACE", "default")
            .backend(json!({ "workspace_key_prefix": "spaces" })),
    ]);
}

//! Keys of the backend and of the environment.

use serde_json::json;

use super::conform;
use super::row::{Row, row};

const DEFAULT: &str = "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n";

fn with_default(name: &'static str) -> Row {
    row(name).credentials(DEFAULT)
}

#[test]
fn keys() {
    conform(&[
        with_default("the default profile").signed_by("DEFAULT"),
        with_default("keys of the environment")
            .keys("ENV")
            .signed_by("ENV"),
        row("with a token")
            .keys("ENV")
            .var("AWS_SESSION_TOKEN", "t")
            .signed_by("ENV"),
        with_default("the short names")
            .var("AWS_ACCESS_KEY", "SHORT")
            .var("AWS_SECRET_KEY", "s")
            .signed_by("SHORT"),
        with_default("the long names go before the short ones")
            .keys("LONG")
            .var("AWS_ACCESS_KEY", "SHORT")
            .var("AWS_SECRET_KEY", "s")
            .signed_by("LONG"),
        with_default("half of each")
            .var("AWS_ACCESS_KEY", "SHORT")
            .var("AWS_SECRET_ACCESS_KEY", "s")
            .signed_by("SHORT"),
        with_default("half a pair alone")
            .var("AWS_ACCESS_KEY_ID", "HALF")
            .signed_by("DEFAULT"),
        with_default("an empty secret")
            .var("AWS_ACCESS_KEY_ID", "HALF")
            .var("AWS_SECRET_ACCESS_KEY", "")
            .signed_by("DEFAULT"),
        with_default("a token alone")
            .var("AWS_SESSION_TOKEN", "t")
            .signed_by("DEFAULT"),
        with_default("keys of the backend")
            .backend(json!({ "access_key": "REC", "secret_key": "s" }))
            .keys("ENV")
            .signed_by("REC"),
        with_default("keys of the backend with a token, beside a token of the environment")
            .backend(json!({ "access_key": "REC", "secret_key": "s", "token": "t" }))
            .var("AWS_SESSION_TOKEN", "env")
            .signed_by("REC"),
        with_default("an access key of the backend without its secret")
            .backend(json!({ "access_key": "REC" }))
            .keys("ENV"),
        with_default("a token of the backend alone")
            .backend(json!({ "token": "t" }))
            .keys("ENV"),
        with_default("empty keys of the backend")
            .backend(json!({ "access_key": "", "secret_key": "" }))
            .keys("ENV")
            .signed_by("ENV"),
        row("nothing at all").var("AWS_EC2_METADATA_DISABLED", "true"),
        row("nothing at all, with metadata switched off in the backend")
            .backend(json!({ "skip_metadata_api_check": true }))
            .var("AWS_EC2_METADATA_DISABLED", "false"),
    ]);
}

#[test]
fn regions() {
    let unset = || json!({ "region": null });
    conform(&[
        row("the backend's goes before the environment's")
            .keys("ENV")
            .var("AWS_REGION", "us-west-2")
            .signed_by("ENV"),
        row("AWS_REGION")
            .backend(unset())
            .keys("ENV")
            .var("AWS_REGION", "us-west-2")
            .var("AWS_DEFAULT_REGION", "us-west-1")
            .signed_by("ENV"),
        row("AWS_DEFAULT_REGION")
            .backend(unset())
            .keys("ENV")
            .var("AWS_DEFAULT_REGION", "us-west-1")
            .signed_by("ENV"),
        row("an empty AWS_REGION")
            .backend(unset())
            .keys("ENV")
            .var("AWS_REGION", "")
            .var("AWS_DEFAULT_REGION", "us-west-1")
            .signed_by("ENV"),
        row("a profile's region is not that of the environment")
            .keys("ENV")
            .config("[default]\nregion = ap-south-1\n")
            .backend(unset())
            .var("AWS_REGION", "us-west-2")
            .signed_by("ENV"),
        row("an unknown region that is not checked")
            .backend(json!({ "region": "moon-1", "skip_region_validation": true }))
            .keys("ENV")
            .signed_by("ENV"),
    ]);
}

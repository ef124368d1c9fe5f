//! What is sent for the lock object, compared with what the real terraform sends with the same settings.

use std::collections::BTreeMap;

use serde_json::json;

use super::{PUT, Scene, exec};
use crate::support::configuration::Configuration;
use crate::support::mid_run::look_during;
use crate::support::proxy::Exchange;
use crate::support::workspace::Workspace;

/// 32 zero bytes, and the MD5 of them.
const CUSTOMER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const CUSTOMER_KEY_MD5: &str = "cLyPS3KoaSFGi/joRB3OUQ==";

/// The headers that say how an object is to be stored, without values that differ from run to run.
fn manner(exchange: &Exchange) -> BTreeMap<String, String> {
    let headers = exchange.headers.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let is_checksum = name.starts_with("x-amz-checksum-");
        let tells = is_checksum
            || name.starts_with("x-amz-server-side-encryption")
            || [
                "content-type",
                "if-none-match",
                "x-amz-acl",
                "x-amz-tagging",
            ]
            .contains(&name.as_str());
        let value = if is_checksum { "…" } else { value };
        tells.then(|| (name, value.to_owned()))
    });
    headers.collect()
}

/// What terraform and tflock put for the lock with these settings (HCL of a backend block).
fn puts(settings: &[(&str, &str)]) -> [BTreeMap<String, String>; 2] {
    let scene = Scene::new();
    let block = settings.iter().fold(
        format!(
            "backend \"s3\" {{\n    bucket = \"states\"\n    key = \"prod/app.tfstate\"\n    \
             region = \"us-east-1\"\n    use_lockfile = true\n    use_path_style = true\n    \
             skip_credentials_validation = true\n    skip_requesting_account_id = true\n    \
             skip_metadata_api_check = true\n    endpoints = {{ s3 = {:?} }}\n",
            scene.proxy.url()
        ),
        |block, (name, value)| format!("{block}    {name} = {value}\n"),
    );
    let workspace = Workspace::with(&Configuration::with_backend_block(&format!("{block}  }}")));
    workspace.init();
    scene.proxy.clear_log();
    workspace.terraform(["plan"]).run().succeeded();
    exec(&workspace).run().succeeded();
    assert_eq!(scene.s3.locks(), Vec::<String>::new());
    let puts = scene.requests("PUT");
    let [theirs, ours] = puts.as_slice() else {
        panic!("{} puts", puts.len())
    };
    [manner(theirs), manner(ours)]
}

/// Fails unless both sent the same put, with this in it.
#[track_caller]
fn assert_alike(settings: &[(&str, &str)], said: &[(&str, &str)]) {
    let [theirs, ours] = puts(settings);
    assert_eq!(ours, theirs, "tflock on the left, terraform on the right");
    for (name, value) in said {
        assert_eq!(ours.get(*name).map(String::as_str), Some(*value), "{name}");
    }
}

#[test]
fn a_plain_object_is_json_with_a_checksum_that_must_not_exist_yet() {
    assert_alike(
        &[],
        &[
            ("content-type", "application/json"),
            ("if-none-match", "*"),
            ("x-amz-checksum-sha256", "…"),
        ],
    );
}

#[test]
fn a_server_that_knows_no_checksums_is_sent_none() {
    let [mut theirs, ours] = puts(&[("skip_s3_checksum", "true")]);
    // terraform 1.11.4 leaves out its own, and its SDK sends another all the same.
    theirs.retain(|name, _| !name.contains("checksum"));
    assert_eq!(ours, theirs);
}

#[test]
fn encryption_is_asked_for_as_for_the_state() {
    let aes = ("x-amz-server-side-encryption", "AES256");
    assert_alike(&[("encrypt", "true")], &[aes]);
}

#[test]
fn a_key_of_kms_is_named() {
    assert_alike(
        &[("encrypt", "true"), ("kms_key_id", "\"alias/states\"")],
        &[
            ("x-amz-server-side-encryption", "aws:kms"),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                "alias/states",
            ),
        ],
    );
}

#[test]
fn a_key_of_kms_without_encryption_is_not_used() {
    assert_alike(&[("kms_key_id", "\"alias/states\"")], &[]);
}

#[test]
fn an_acl_is_passed_on() {
    assert_alike(
        &[("acl", "\"bucket-owner-full-control\"")],
        &[("x-amz-acl", "bucket-owner-full-control")],
    );
}

#[test]
fn a_customer_s_key_goes_along_with_its_digest() {
    let key = format!("{CUSTOMER_KEY:?}");
    assert_alike(
        &[("encrypt", "true"), ("sse_customer_key", &key)],
        &[
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-server-side-encryption-customer-key", CUSTOMER_KEY),
            (
                "x-amz-server-side-encryption-customer-key-md5",
                CUSTOMER_KEY_MD5,
            ),
        ],
    );
}

#[test]
fn a_customer_s_key_without_encryption_is_used_only_as_terraform_uses_it() {
    let key = format!("{CUSTOMER_KEY:?}");
    assert_alike(&[("sse_customer_key", &key)], &[]);
}

#[test]
fn a_holder_under_a_customer_s_key_can_be_seen_by_those_who_wait() {
    let scene = Scene::new();
    let holder = scene.workspace(json!({ "encrypt": true, "sse_customer_key": CUSTOMER_KEY }));
    let waiter = scene.workspace(json!({ "encrypt": true }));
    let script = "touch started; while [ ! -e go ]; do sleep 0.02; done";
    let run = holder.tflock(["--reason", "because", "exec", "--", "sh", "-c", script]);
    let (seen, ran) = look_during(&holder, run, |_| {
        let run = waiter.tflock(["--wait", "0", "exec", "--", "true"]);
        run.env("AWS_SSE_CUSTOMER_KEY", CUSTOMER_KEY).run()
    });
    seen.ended_with(75).with_stderr("because");
    ran.succeeded();
    let get = &scene.requests("GET")[0];
    let digest = get.header("x-amz-server-side-encryption-customer-key-md5");
    assert_eq!(digest, Some(CUSTOMER_KEY_MD5));
    assert_eq!(scene.proxy.count(PUT), 2);
    assert_eq!(scene.s3.locks(), Vec::<String>::new());
}

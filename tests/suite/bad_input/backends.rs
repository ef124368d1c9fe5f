//! Backends and records that no lock can be derived from.

use serde_json::json;

use super::{Bench, Refusal, SECRET};

const RECORD: &str = "<directory>/.terraform/terraform.tfstate";

#[test]
fn a_record_that_is_not_json_is_not_quoted() {
    Bench::new()
        .record(&format!("{{\"access_key\": {SECRET}"))
        .refuses(
            |tflock| tflock.arg("plan"),
            &Refusal {
                code: 78,
                error: &format!(
                    "the backend record `{RECORD}` is not JSON: expected value at line 1 column 16"
                ),
                hint: &format!("move `{RECORD}` away, then run `tflock init`"),
            },
        );
}

#[test]
fn a_record_of_another_version_is_a_configuration_error() {
    let record = json!({ "version": 4, "access_key": SECRET });
    Bench::new().record(&record.to_string()).refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code: 78,
            error: &format!("the backend record `{RECORD}` has version 4; only 3 is supported"),
            hint: "run `tflock init` with the terraform version of this directory, or name the lock with \
                   `--lock-id`",
        },
    );
}

#[test]
fn a_backend_that_trusts_any_certificate_is_refused() {
    Bench::with_s3(json!({ "insecure": true })).refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code: 78,
            error: "the backend's `insecure` is not supported: without certificate checks anyone could answer for the lock",
            hint: "set `custom_ca_bundle` to the server's certificate authority",
        },
    );
}

#[test]
fn a_backend_that_was_never_initialised_wants_init() {
    let bench = Bench::new();
    bench
        .workspace
        .write("main.tf", "terraform {\n  backend \"s3\" {}\n}\n");
    bench.refuses(
        |tflock| tflock.arg("plan"),
        &Refusal {
            code: 78,
            error: "the backend `s3` of `<directory>` was never initialised",
            hint: "run `tflock init`",
        },
    );
}

#[test]
fn lock_objects_need_an_s3_backend() {
    Bench::new().refuses(
        |tflock| tflock.args(["--store", "s3", "plan"]),
        &Refusal {
            code: 78,
            error: "`--store s3` needs an S3 backend, but this one is `local`",
            hint: "leave `--store` out, or use `--store local` or `--table NAME`",
        },
    );
}

#[test]
fn lock_items_need_a_table() {
    let refusal = Refusal {
        code: 78,
        error: "`--store dynamodb` needs a table, but the backend has none",
        hint: "name it with `--table NAME`",
    };
    for bench in [
        Bench::new(),
        Bench::with_s3(json!({ "dynamodb_table": null })),
    ] {
        bench.refuses(
            |tflock| tflock.args(["--store", "dynamodb", "plan"]),
            &refusal,
        );
    }
}

#[test]
fn a_region_that_nobody_names_is_a_configuration_error() {
    for (variable, value) in [("ODD", "1"), ("AWS_REGION", "")] {
        Bench::with_s3(json!({ "region": null })).refuses(
            |tflock| tflock.arg("plan").env(variable, value),
            &Refusal {
                code: 78,
                error: "no AWS region is set",
                hint: "set `region` in the backend and run `tflock init`, or set AWS_REGION",
            },
        );
    }
}

#[test]
fn credentials_that_are_nowhere_are_a_configuration_error() {
    let nowhere = json!({ "access_key": null, "secret_key": null, "token": null });
    Bench::with_s3(nowhere).refuses(
        |tflock| {
            tflock
                .arg("plan")
                .without_env("AWS_ACCESS_KEY_ID")
                .without_env("AWS_SECRET_ACCESS_KEY")
        },
        &Refusal {
            code: 78,
            error: "no AWS credentials were found: no keys, no profile with credentials, no role",
            hint: "log in (`aws sso login`, `aws configure`) or set AWS_PROFILE, then run it again",
        },
    );
}

#[test]
fn a_certificate_bundle_that_is_none_is_a_configuration_error() {
    let hint =
        "set `custom_ca_bundle` in the backend or AWS_CA_BUNDLE to a PEM file with certificates";
    for (bundle, complaint) in [
        (
            "missing.pem",
            "cannot be read: No such file or directory (os error 2)",
        ),
        ("empty.pem", "has no PEM certificate"),
    ] {
        let bench = Bench::with_s3(json!({ "custom_ca_bundle": bundle }));
        bench.workspace.write("empty.pem", "");
        bench.refuses(
            |tflock| tflock.arg("plan"),
            &Refusal {
                code: 78,
                error: &format!("the CA bundle `<directory>/{bundle}` {complaint}"),
                hint,
            },
        );
    }
}

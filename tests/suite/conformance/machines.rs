//! What a person's login, a program, a container or a machine gives.

use serde_json::json;

use super::conform;
use super::row::{Row, row};

const TOKEN: &str = r#"{"accessToken":"sso-token","expiresAt":"2099-01-01T00:00:00Z"}"#;
/// Its name is the SHA-1 of `corp`, which is a session and a start URL here.
const OF_SESSION: &str = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";

fn sso(name: &'static str, config: &str) -> Row {
    row(name)
        .backend(json!({ "endpoints": { "sso": "{b}" } }))
        .config(config)
        .file(OF_SESSION, TOKEN)
}

#[test]
fn programs() {
    let process = |name, command: &str| {
        let answer =
            r#"{"Version":1,"AccessKeyId":"PROGRAM","SecretAccessKey":"s","SessionToken":"t"}"#;
        row(name)
            .file("answer", answer)
            .config(format!("[default]\ncredential_process = {command}\n"))
    };
    conform(&[
        process("a program", "cat {home}/answer").signed_by("PROGRAM"),
        process("a shell's own words", "x=$HOME; cat \"$x\"/answer | cat").signed_by("PROGRAM"),
        process("relative to the directory", "cat ../home/answer").signed_by("PROGRAM"),
        process("a program that fails", "false"),
        process("a program that prints nonsense", "echo nonsense"),
        process("keys of the same profile go before it", "cat {home}/answer")
            .credentials("[default]\naws_access_key_id = K\naws_secret_access_key = s\n")
            .signed_by("K"),
        process(
            "keys in any case",
            "echo '{\"version\":1,\"accessKeyID\":\"ANY\",\"secretaccesskey\":\"s\"}'",
        )
        .signed_by("ANY"),
    ]);
}

#[test]
fn containers_and_instances() {
    let machine = |name| row(name).var("AWS_EC2_METADATA_DISABLED", "false");
    conform(&[
        machine("a container's full URL")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{a}/container/x")
            .signed_by("C.a.container.x"),
        machine("with an authorization")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{a}/container/x")
            .var("AWS_CONTAINER_AUTHORIZATION_TOKEN", "auth")
            .signed_by("C.a.container.x.auth"),
        machine("with an authorization in a file, which goes before")
            .file("auth", "of-file")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{a}/container/x")
            .var("AWS_CONTAINER_AUTHORIZATION_TOKEN", "auth")
            .var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "{home}/auth")
            .signed_by("C.a.container.x.of-file"),
        machine("a container elsewhere, in clear")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/container/x"),
        machine("keys go before a container")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{a}/container/x")
            .keys("ENV")
            .signed_by("ENV"),
        machine("a container goes before an instance")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{a}/container/x")
            .var("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{b}")
            .signed_by("C.a.container.x"),
        machine("an instance by the variable")
            .var("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{b}")
            .signed_by("I.b.metadata-token"),
        machine("an instance by the old variable")
            .var("AWS_METADATA_URL", "{b}")
            .signed_by("I.b.metadata-token"),
        machine("an instance by the backend")
            .backend(json!({ "ec2_metadata_service_endpoint": "{b}" }))
            .var("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{a}")
            .signed_by("I.b.metadata-token"),
        machine("an instance by the backend, against the variable")
            .backend(json!({ "ec2_metadata_service_endpoint": "{b}", "skip_metadata_api_check": false }))
            .var("AWS_EC2_METADATA_DISABLED", "true")
            .signed_by("I.b.metadata-token"),
        machine("an instance by the profile")
            .config("[default]\nec2_metadata_service_endpoint = {b}\n")
            .signed_by("I.b.metadata-token"),
        machine("an instance as the source of a profile")
            .backend(json!({ "endpoints": { "sts": "{b}" } }))
            .config("[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = Ec2InstanceMetadata\n")
            .var("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{b}/")
            .signed_by("R.r.b.eu-west-1.I.b.metadata-token"),
        machine("a container as the source of a profile")
            .backend(json!({ "endpoints": { "sts": "{b}" } }))
            .config("[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = EcsContainer\n")
            .var("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{a}/container/x")
            .signed_by("R.r.b.eu-west-1.C.a.container.x"),
    ]);
}

#[test]
fn identity_center() {
    let session = "[sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.example/start\n";
    let default = "[default]\nsso_session = corp\nsso_account_id = 42\nsso_role_name = admin\n";
    let signed = "S.b.account.id.42.role.name.admin.sso-token";
    conform(&[
        sso("a session", &format!("{default}{session}")).signed_by(signed),
        sso("beside old keys of the same profile", &format!("{default}{session}"))
            .credentials("[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n")
            .signed_by("OLD"),
        sso("beside keys of the environment", &format!("{default}{session}"))
            .keys("ENV")
            .signed_by("ENV"),
        sso(
            "without a session",
            "[default]\nsso_region = eu-central-1\nsso_start_url = corp\nsso_account_id = 42\nsso_role_name = admin\n",
        )
        .signed_by(signed),
        sso("a session that there is not", default),
        sso(
            "a session in another region than the profile's",
            &format!("{default}sso_region = us-east-1\n{session}"),
        ),
        sso("AWS_ENDPOINT_URL_SSO", &format!("{default}{session}"))
            .backend(json!({ "endpoints": { "sso": null } }))
            .var("AWS_ENDPOINT_URL_SSO", "{b}")
            .signed_by(signed),
        sso("an expired token", &format!("{default}{session}")).file(
            OF_SESSION,
            r#"{"accessToken":"old","expiresAt":"2020-01-01T00:00:00Z"}"#,
        ),
        sso(
            "as the source of a role",
            &format!("[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = login\n{}{session}",
                default.replace("[default]", "[profile login]")),
        )
        .backend(json!({ "endpoints": { "sts": "{b}" } }))
        .signed_by(&format!("R.r.b.eu-west-1.{signed}")),
    ]);
}

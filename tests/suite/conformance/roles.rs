//! Roles: of the backend, of profiles, of tokens, and chains of them.

use serde_json::json;

use super::conform;
use super::row::{Row, assume_role, row, web_identity};

const ROLE: &str = "arn:aws:iam::123456789012:role";
const KEYS: &str = "[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n";

/// With STS on `b`.
fn with_sts(name: &'static str) -> Row {
    row(name)
        .credentials(KEYS)
        .backend(json!({ "endpoints": { "sts": "{b}" } }))
}

fn profile(settings: &str) -> String {
    format!("[profile dev]\nrole_arn = {ROLE}/dev\n{settings}\n")
}

#[test]
fn roles_of_profiles() {
    let dev = |name, settings: &str| {
        with_sts(name)
            .config(profile(settings))
            .var("AWS_PROFILE", "dev")
    };
    conform(&[
        dev("source_profile", "source_profile = base").signed_by("R.dev.b.eu-west-1.BASE"),
        dev(
            "with all that it may say",
            "source_profile = base\nexternal_id = ext\nrole_session_name = me\nduration_seconds = 3600",
        )
        .signed_by("R.dev.b.me.ext.3600.eu-west-1.BASE"),
        dev(
            "a session that is too short to be asked for",
            "source_profile = base\nduration_seconds = 930",
        )
        .signed_by("R.dev.b.eu-west-1.BASE"),
        dev("credential_source", "credential_source = Environment")
            .keys("ENV")
            .var("AWS_PROFILE", "dev")
            .signed_by("ENV"),
        dev("credential_source in the backend's profile", "credential_source = Environment")
            .keys("ENV")
            .backend(json!({ "profile": "dev" }))
            .signed_by("R.dev.b.eu-west-1.ENV"),
        dev("credential_source that is unknown", "credential_source = environment")
            .backend(json!({ "profile": "dev" }))
            .keys("ENV"),
        dev("two sources", "credential_source = Environment\nsource_profile = base"),
        dev("a code is wanted", "source_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me"),
        dev("a source that there is not", "source_profile = none"),
        dev("a source without credentials", "source_profile = empty\n[profile empty]\nregion = x"),
        with_sts("a chain")
            .config(format!(
                "[profile dev]\nrole_arn = {ROLE}/dev\nsource_profile = mid\n\
                 [profile mid]\nrole_arn = {ROLE}/mid\nsource_profile = base\n"
            ))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.eu-west-1.R.mid.b.eu-west-1.BASE"),
        with_sts("itself as its source")
            .config(profile("source_profile = dev"))
            .credentials("[dev]\naws_access_key_id = DEV\naws_secret_access_key = s\n")
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.eu-west-1.DEV"),
        with_sts("in the credentials file")
            .credentials(format!("{KEYS}[dev]\nrole_arn = {ROLE}/dev\nsource_profile = base\n"))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.eu-west-1.BASE"),
        with_sts("keys and a role of one profile")
            .config(format!(
                "[profile dev]\nrole_arn = {ROLE}/dev\naws_access_key_id = DEV\naws_secret_access_key = s\n"
            ))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.eu-west-1.DEV"),
        dev("a source without a role", "source_profile = base")
            .config("[profile dev]\nsource_profile = base\n"),
    ]);
}

#[test]
fn roles_of_the_backend() {
    let role =
        || json!({ "assume_role": assume_role(json!({ "role_arn": format!("{ROLE}/lock") })) });
    conform(&[
        with_sts("with keys of the environment")
            .backend(role())
            .keys("ENV")
            .signed_by("R.lock.b.eu-west-1.ENV"),
        with_sts("with keys of the backend")
            .backend(role())
            .backend(json!({ "access_key": "REC", "secret_key": "s" }))
            .signed_by("R.lock.b.eu-west-1.REC"),
        with_sts("with all that it may say")
            .backend(json!({ "assume_role": assume_role(json!({
                "role_arn": format!("{ROLE}/lock"), "session_name": "me", "external_id": "ext", "duration": "1h",
            })) }))
            .keys("ENV")
            .signed_by("R.lock.b.me.ext.3600.eu-west-1.ENV"),
        with_sts("after the role of a profile")
            .backend(role())
            .config(profile("source_profile = base"))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.lock.b.eu-west-1.R.dev.b.eu-west-1.BASE"),
        with_sts("in another region")
            .backend(role())
            .backend(json!({ "sts_region": "us-east-1" }))
            .keys("ENV")
            .signed_by("R.lock.b.us-east-1.ENV"),
        with_sts("the region of STS counts for the role of a profile")
            .backend(json!({ "sts_region": "us-east-1" }))
            .config(profile("source_profile = base"))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.us-east-1.BASE"),
    ]);
}

#[test]
fn tokens() {
    let with_token = |name| {
        with_sts(name)
            .file("token", "of-the-pod")
            .var("AWS_ROLE_ARN", format!("{ROLE}/pod"))
            .var("AWS_WEB_IDENTITY_TOKEN_FILE", "{home}/token")
    };
    conform(&[
        with_token("of the environment").signed_by("R.pod.b.of-the-pod"),
        with_token("beside AWS_PROFILE")
            .var("AWS_PROFILE", "base")
            .signed_by("R.pod.b.of-the-pod"),
        with_token("beside the profile of the backend")
            .backend(json!({ "profile": "base" }))
            .signed_by("BASE"),
        with_token("beside keys").keys("ENV").signed_by("ENV"),
        with_token("with a session name")
            .var("AWS_ROLE_SESSION_NAME", "me")
            .signed_by("R.pod.b.me.of-the-pod"),
        with_token("without a role").var("AWS_ROLE_ARN", ""),
        with_token("with the role of the backend")
            .backend(json!({ "assume_role": assume_role(json!({ "role_arn": format!("{ROLE}/lock") })) }))
            .signed_by("R.lock.b.eu-west-1.R.pod.b.of-the-pod"),
        with_token("of the backend")
            .backend(json!({ "assume_role_with_web_identity": web_identity(json!({
                "role_arn": format!("{ROLE}/ci"), "web_identity_token": "of-the-job", "session_name": "ci",
            })) }))
            .signed_by("R.ci.b.ci.of-the-job"),
        with_token("a file of the backend")
            .file("other", "of-the-file")
            .backend(json!({ "assume_role_with_web_identity": web_identity(json!({
                "role_arn": format!("{ROLE}/ci"), "web_identity_token_file": "~/other",
            })) }))
            .signed_by("R.ci.b.of-the-file"),
        with_token("of the backend beside keys of the backend")
            .backend(json!({
                "access_key": "REC", "secret_key": "s",
                "assume_role_with_web_identity": web_identity(json!({
                    "role_arn": format!("{ROLE}/ci"), "web_identity_token": "of-the-job",
                })),
            }))
            .signed_by("REC"),
        with_sts("of a profile")
            .file("token", "of-the-file")
            .config(profile("web_identity_token_file = {home}/token"))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.of-the-file"),
        with_sts("of the source of a profile")
            .file("token", "of-the-file")
            .config(format!(
                "[profile dev]\nrole_arn = {ROLE}/dev\nsource_profile = mid\n\
                 [profile mid]\nrole_arn = {ROLE}/mid\nweb_identity_token_file = {{home}}/token\n"
            ))
            .var("AWS_PROFILE", "dev")
            .signed_by("R.dev.b.eu-west-1.R.mid.b.of-the-file"),
    ]);
}

#[test]
fn where_sts_is() {
    let unset = || json!({ "endpoints": { "sts": null } });
    let dev = |name| {
        with_sts(name)
            .backend(unset())
            .config(profile("source_profile = base"))
            .var("AWS_PROFILE", "dev")
    };
    conform(&[
        dev("AWS_ENDPOINT_URL_STS")
            .var("AWS_ENDPOINT_URL_STS", "{b}")
            .signed_by("R.dev.b.eu-west-1.BASE"),
        dev("AWS_STS_ENDPOINT")
            .var("AWS_STS_ENDPOINT", "{b}")
            .signed_by("R.dev.b.eu-west-1.BASE"),
        dev("the new variable goes before the old one")
            .var("AWS_ENDPOINT_URL_STS", "{b}")
            .var("AWS_STS_ENDPOINT", "{a}")
            .signed_by("R.dev.b.eu-west-1.BASE"),
        dev("the old attribute")
            .backend(json!({ "sts_endpoint": "{b}" }))
            .var("AWS_ENDPOINT_URL_STS", "{a}")
            .signed_by("R.dev.b.eu-west-1.BASE"),
        dev("AWS_ENDPOINT_URL is not for the STS of a profile")
            .var("AWS_ENDPOINT_URL", "{a}")
            .asks("sts.eu-west-1.amazonaws.com:443"),
        dev("AWS_ENDPOINT_URL is for the role of the backend")
            .config("")
            .var("AWS_PROFILE", "base")
            .backend(json!({ "assume_role": assume_role(json!({ "role_arn": format!("{ROLE}/lock") })) }))
            .var("AWS_ENDPOINT_URL", "{b}")
            .signed_by("R.lock.b.eu-west-1.BASE"),
        dev("a services section")
            .config(format!(
                "[profile dev]\nrole_arn = {ROLE}/dev\nsource_profile = base\nservices = lab\n\
                 [services lab]\nsts =\n  endpoint_url = {{b}}\n"
            ))
            .signed_by("R.dev.b.eu-west-1.BASE"),
        dev("ignored endpoints that terraform reads itself")
            .var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
            .var("AWS_ENDPOINT_URL_STS", "{b}")
            .signed_by("R.dev.b.eu-west-1.BASE"),
    ]);
}

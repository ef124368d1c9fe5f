//! Profiles: which one, and in which file.

use serde_json::json;

use super::conform;
use super::row::{Row, row};

const TWO: &str = "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n\
                   [bc]\naws_access_key_id = BC\naws_secret_access_key = s\n";

fn two(name: &'static str) -> Row {
    row(name).credentials(TWO)
}

#[test]
fn which_profile() {
    conform(&[
        two("AWS_PROFILE").var("AWS_PROFILE", "bc").signed_by("BC"),
        two("AWS_DEFAULT_PROFILE")
            .var("AWS_DEFAULT_PROFILE", "bc")
            .signed_by("BC"),
        two("AWS_PROFILE goes before AWS_DEFAULT_PROFILE")
            .var("AWS_DEFAULT_PROFILE", "bc")
            .var("AWS_PROFILE", "default")
            .signed_by("DEFAULT"),
        two("an empty AWS_PROFILE")
            .var("AWS_PROFILE", "")
            .signed_by("DEFAULT"),
        two("an empty AWS_PROFILE beside AWS_DEFAULT_PROFILE")
            .var("AWS_PROFILE", "")
            .var("AWS_DEFAULT_PROFILE", "bc")
            .signed_by("BC"),
        two("keys of the environment go before AWS_PROFILE")
            .var("AWS_PROFILE", "bc")
            .keys("ENV")
            .signed_by("ENV"),
        two("the backend's profile goes before keys of the environment")
            .backend(json!({ "profile": "bc" }))
            .keys("ENV")
            .signed_by("BC"),
        two("the backend's profile goes before AWS_PROFILE")
            .backend(json!({ "profile": "bc" }))
            .var("AWS_PROFILE", "default")
            .signed_by("BC"),
        two("an empty profile in the backend")
            .backend(json!({ "profile": "" }))
            .signed_by("DEFAULT"),
        two("AWS_PROFILE that there is not").var("AWS_PROFILE", "none"),
        two("AWS_PROFILE that there is not, beside keys")
            .var("AWS_PROFILE", "none")
            .keys("ENV"),
        two("a profile of the backend that there is not")
            .backend(json!({ "profile": "none" }))
            .keys("ENV"),
        two("AWS_DEFAULT_PROFILE that there is not")
            .var("AWS_DEFAULT_PROFILE", "none")
            .var("AWS_EC2_METADATA_DISABLED", "true"),
        two("the keys of the credentials file go before those of the config file")
            .config("[default]\naws_access_key_id = CONFIG\naws_secret_access_key = s\n")
            .signed_by("DEFAULT"),
        row("keys in the config file")
            .config("[profile bc]\naws_access_key_id = CONFIG\naws_secret_access_key = s\n")
            .var("AWS_PROFILE", "bc")
            .signed_by("CONFIG"),
    ]);
}

#[test]
fn which_file() {
    let keys =
        |key: &str| format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n");
    let elsewhere = |name| two(name).file("elsewhere", keys("ELSE"));
    conform(&[
        elsewhere("AWS_SHARED_CREDENTIALS_FILE")
            .var("AWS_SHARED_CREDENTIALS_FILE", "{home}/elsewhere")
            .signed_by("ELSE"),
        elsewhere("AWS_SHARED_CREDENTIALS_FILE with a tilde")
            .var("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere")
            .signed_by("ELSE"),
        elsewhere("AWS_SHARED_CREDENTIALS_FILE with a variable")
            .var("AWS_SHARED_CREDENTIALS_FILE", "${HOME}/elsewhere")
            .signed_by("ELSE"),
        elsewhere("AWS_SHARED_CREDENTIALS_FILE relative to the directory")
            .var("AWS_SHARED_CREDENTIALS_FILE", "../home/elsewhere")
            .signed_by("ELSE"),
        elsewhere("an empty AWS_SHARED_CREDENTIALS_FILE")
            .var("AWS_SHARED_CREDENTIALS_FILE", "")
            .signed_by("DEFAULT"),
        elsewhere("AWS_SHARED_CREDENTIALS_FILE that there is not")
            .var("AWS_SHARED_CREDENTIALS_FILE", "{home}/none")
            .var("AWS_EC2_METADATA_DISABLED", "true"),
        elsewhere("files of the backend")
            .backend(json!({ "shared_credentials_files": ["~/elsewhere"] }))
            .var("AWS_SHARED_CREDENTIALS_FILE", "{home}/none")
            .signed_by("ELSE"),
        elsewhere("the old file of the backend")
            .backend(json!({ "shared_credentials_file": "{home}/elsewhere" }))
            .signed_by("ELSE"),
        elsewhere("the old file of the backend beside the variable")
            .backend(json!({ "shared_credentials_file": "{home}/none" }))
            .var("AWS_SHARED_CREDENTIALS_FILE", "{home}/elsewhere")
            .signed_by("ELSE"),
        row("several files of the backend, the last of which counts")
            .file("a", keys("A"))
            .file("b", keys("B"))
            .backend(json!({ "shared_credentials_files": ["~/a", "~/b"] }))
            .signed_by("B"),
        row("AWS_CONFIG_FILE")
            .file("elsewhere", keys("ELSE"))
            .var("AWS_CONFIG_FILE", "{home}/elsewhere")
            .signed_by("ELSE"),
        row("AWS_SHARED_CONFIG_FILE goes before AWS_CONFIG_FILE")
            .file("a", keys("A"))
            .file("b", keys("B"))
            .var("AWS_CONFIG_FILE", "{home}/a")
            .var("AWS_SHARED_CONFIG_FILE", "{home}/b")
            .signed_by("B"),
        row("config files of the backend")
            .file("a", keys("A"))
            .file("b", keys("B"))
            .backend(json!({ "shared_config_files": ["{home}/a"] }))
            .var("AWS_SHARED_CONFIG_FILE", "{home}/b")
            .signed_by("A"),
        two("HOME elsewhere")
            .file("other/.aws/credentials", keys("OTHER"))
            .var("HOME", "{home}/other")
            .signed_by("OTHER"),
    ]);
}

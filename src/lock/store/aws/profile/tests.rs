use super::*;

fn profiles(config: &str, credentials: &str) -> Profiles {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        vec![path]
    };
    let settings = AwsSettings {
        shared_config_files: Some(file("config", config)),
        shared_credentials_files: Some(file("credentials", credentials)),
        ..AwsSettings::default()
    };
    Profiles::read(&settings).unwrap()
}

#[test]
fn the_credentials_file_beats_the_config_file_per_setting() {
    let profiles = profiles(
        "[profile a]\nregion = r\naws_access_key_id = C\naws_secret_access_key = s\naws_session_token = t\n\
         endpoint_url = http://c\n",
        "[a]\naws_access_key_id = K\naws_secret_access_key = s\nendpoint_url = http://k\nrole_arn = r\n",
    );
    let profile = profiles.get("a").unwrap();
    let keys = profile.keys().unwrap();
    assert_eq!(keys.access_key, "K");
    // Go keeps the token of the other pair.
    assert_eq!(keys.token.as_deref(), Some("t"));
    assert_eq!(profile.text("region"), Some("r"));
    assert_eq!(profile.text("role_arn"), Some("r"));
    assert_eq!(profile.text("endpoint_url"), Some("http://c"));
}

#[test]
fn the_profile_prefix_is_required_in_one_file_and_forbidden_in_the_other() {
    let profiles = profiles(
        "[a]\nregion = no\n[default]\nregion = old\n[profile default]\nregion = new\n",
        "[profile b]\nregion = no\n[c]\nregion = yes\n",
    );
    assert!(profiles.get("a").is_err() && profiles.get("b").is_err());
    assert_eq!(profiles.get("c").unwrap().text("region"), Some("yes"));
    let default = profiles.get("default").unwrap();
    assert_eq!(default.text("region"), Some("new"));
}

#[test]
fn an_incomplete_pair_is_reported_with_its_line() {
    let profiles = profiles("", "\n[a]\naws_access_key_id = K\n");
    let error = profiles.get("a").unwrap().check_keys().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`aws_access_key_id` without `aws_secret_access_key`"),
        "{text}"
    );
    assert!(text.ends_with("credentials`, line 3)"), "{text}");
}

#[test]
fn service_endpoints_are_found_by_name() {
    let profiles = profiles(
        "[default]\nservices = lab\n[services lab]\ndynamodb =\n  endpoint_url = http://d\n",
        "",
    );
    let default = profiles.get("default").unwrap();
    assert_eq!(default.service_endpoint("dynamodb"), Some("http://d"));
    assert_eq!(default.service_endpoint("s3"), None);
}

#[test]
fn short_session_durations_are_ignored() {
    for (seconds, asked) in [
        ("900", None),
        ("959", None),
        ("960", Some(960)),
        ("1h", None),
    ] {
        let profiles = profiles(&format!("[default]\nduration_seconds = {seconds}\n"), "");
        assert_eq!(profiles.get("default").unwrap().role_seconds(), asked);
    }
}

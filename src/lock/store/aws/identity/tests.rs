//! Plans for odd combinations of profiles; `tests/suite/conformance` asks the real terraform.

use super::surroundings::may_be_asked;
use super::*;
use crate::lock::store::aws::profile::Profiles;
use crate::lock::store::aws::settings::{AwsSettings, Variables};

/// A plan in one line: the source, then the roles in order.
fn plan(config: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(&file, config).unwrap();
    let environment = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).into())
    };
    let settings = AwsSettings {
        shared_config_files: Some(vec![file]),
        shared_credentials_files: Some(vec![directory.path().join("none")]),
        variables: Variables::of(&environment),
        ..AwsSettings::default()
    };
    let profiles = Profiles::read(&settings).unwrap();
    let identity = resolve(&settings, &profiles).map_err(|error| error.to_string())?;
    let source = match identity.source {
        Source::Keys(keys) => keys.access_key,
        Source::WebIdentity(identity) => format!("token for {}", identity.role.role.arn),
        Source::SingleSignOn(role) => format!("sign-on {} {}", role.region, role.account),
        Source::Process(process) => format!("run {}", process.command),
        Source::Container(container) => container.url,
        Source::InstanceMetadata(service) => service.endpoint,
    };
    let roles = identity.roles.into_iter().map(|role| role.role.arn);
    Ok([source]
        .into_iter()
        .chain(roles)
        .collect::<Vec<_>>()
        .join(" > "))
}

#[test]
fn a_chain_of_roles_is_assumed_from_its_end() {
    let config = "[default]\nrole_arn = r1\nsource_profile = b\n[profile b]\nrole_arn = r2\nsource_profile = c\n\
                  [profile c]\naws_access_key_id = K\naws_secret_access_key = s\n";
    assert_eq!(plan(config, &[]).unwrap(), "K > r2 > r1");
}

#[test]
fn a_source_with_keys_uses_its_own_role_and_ends_the_chain() {
    let config = "[default]\nrole_arn = r1\nsource_profile = b\n\
                  [profile b]\naws_access_key_id = K\naws_secret_access_key = s\nrole_arn = r2\nsource_profile = none\n";
    assert_eq!(plan(config, &[]).unwrap(), "K > r2 > r1");
}

#[test]
fn a_profile_that_is_its_own_source_counts_once_with_its_role() {
    let config = "[default]\nrole_arn = r\nsource_profile = default\naws_access_key_id = K\naws_secret_access_key = s\n";
    assert_eq!(plan(config, &[]).unwrap(), "K > r");
    let config = "[default]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = q\nsource_profile = default\n";
    let error = plan(config, &[]).unwrap_err();
    assert!(error.contains("has no credentials"), "{error}");
}

#[test]
fn keys_beat_everything_else_in_a_profile() {
    let config = "[default]\nsso_session = none\ncredential_process = p\naws_access_key_id = K\n\
                  aws_secret_access_key = s\n";
    assert_eq!(plan(config, &[]).unwrap(), "K");
}

#[test]
fn a_role_without_a_source_is_assumed_with_the_machines_credentials() {
    let config = "[default]\nrole_arn = r\n";
    assert_eq!(plan(config, &[]).unwrap(), "http://169.254.169.254 > r");
    let container = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c");
    assert_eq!(
        plan(config, &[container]).unwrap(),
        "http://169.254.170.2/c > r"
    );
    let off = ("AWS_EC2_METADATA_DISABLED", "TRUE");
    assert!(
        plan(config, &[off])
            .unwrap_err()
            .contains("no AWS credentials")
    );
}

#[test]
fn contradictions_are_reported_with_file_and_line() {
    for (config, expected) in [
        (
            "[default]\nsource_profile = x\n",
            "has `source_profile` without `role_arn` (",
        ),
        (
            "[default]\nrole_arn = r\nsource_profile = x\ncredential_source = Environment\n",
            "has both `source_profile` and `credential_source` (",
        ),
        (
            "[default]\nrole_arn = r\nsource_profile = x\n",
            "names `x`, which does not exist (",
        ),
        (
            "[default]\nrole_arn = r\ncredential_source = env\n",
            "is none of",
        ),
        ("[default]\nrole_arn = r\nmfa_serial = m\n", "`mfa_serial`"),
        (
            "[default]\nsso_session = corp\n",
            "the sso-session `corp`, which does not exist (",
        ),
        ("[default]\nsso_region = r\n", "has no `sso_start_url` ("),
    ] {
        let error = plan(config, &[]).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("config`, line "), "{error}");
    }
}

#[test]
fn only_local_container_endpoints_are_asked_without_tls() {
    for (url, asked) in [
        ("http://127.0.0.1:9/x", true),
        ("http://localhost/x", true),
        ("http://[::1]:9", true),
        ("http://169.254.170.23/v1", true),
        ("http://[fd00:ec2::23]/v1", true),
        ("https://example.com/x", true),
        ("http://10.0.0.1/x", false),
        ("http://127.0.0.1@10.0.0.1/x", false),
        ("http:///x", false),
        ("nonsense", false),
    ] {
        assert_eq!(may_be_asked(url), asked, "{url}");
    }
}

//! The variables that decide which lock is taken: a terraform that sees other values than we do works on another state, or
//! has its lock in another account.

use super::{LockRequest, ResolvedLock};
use crate::environment::non_empty;
use crate::failure::Failure;
use crate::terraform::backend::S3Backend;

/// Variables that decide whose credentials are used.
const KEYS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
];
const PROFILES: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
const ROLES: [&str; 4] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
/// Variables that decide where profiles are looked up.
const FILES: [&str; 3] = [
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
];
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

impl ResolvedLock {
    /// Their names. Settings in the backend itself make the corresponding variables irrelevant.
    ///
    /// # Errors
    /// The backend is unusable.
    pub fn deciding_variables(&self, request: &LockRequest<'_>) -> Result<Vec<String>, Failure> {
        let mut names = vec!["TF_WORKSPACE".to_owned(), "TF_DATA_DIR".to_owned()];
        if let Some(command) = request.command {
            names.extend(command.argument_variables());
        }
        if let Some(s3) = self.backend.s3()? {
            let has_keys = KEYS
                .iter()
                .any(|name| non_empty(&request.environment, name).is_some());
            names.extend(of_s3(&s3, has_keys).into_iter().map(str::to_owned));
        }
        Ok(names)
    }
}

fn of_s3(s3: &S3Backend, has_keys: bool) -> Vec<&'static str> {
    let mut names = Vec::new();
    let backend_has_keys = s3.access_key.is_some() || s3.secret_key.is_some() || s3.token.is_some();
    if !backend_has_keys && s3.profile.is_none() && s3.assume_role_with_web_identity.is_none() {
        names.extend(KEYS);
        names.extend(ROLES);
        names.extend(PROFILES);
    }
    if !backend_has_keys {
        names.extend(FILES);
        if !has_keys || s3.profile.is_some() {
            names.push("HOME");
        }
    }
    if s3.region.is_none() {
        names.extend(REGIONS);
    }
    let endpoints = &s3.endpoints;
    let services = [
        (
            true,
            &endpoints.s3,
            ["AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT"],
        ),
        (
            s3.dynamodb_table.is_some(),
            &endpoints.dynamodb,
            ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_DYNAMODB_ENDPOINT"],
        ),
        (
            s3.assume_role.is_some(),
            &endpoints.sts,
            ["AWS_ENDPOINT_URL_STS", "AWS_STS_ENDPOINT"],
        ),
    ];
    let mut is_looked_up = false;
    for (is_asked, recorded, variables) in services {
        if is_asked && recorded.is_none() {
            names.extend(variables);
            is_looked_up = true;
        }
    }
    if is_looked_up {
        names.extend(["AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_in_the_backend_makes_its_variable_irrelevant() {
        let names = of_s3(&S3Backend::default(), false);
        for name in [
            "AWS_PROFILE",
            "AWS_REGION",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "HOME",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        let mut s3 = S3Backend {
            region: Some("eu-west-1".to_owned()),
            profile: Some("prod".to_owned()),
            ..S3Backend::default()
        };
        s3.endpoints.s3 = Some("http://127.0.0.1:1".to_owned());
        assert_eq!(
            of_s3(&s3, true),
            [
                "AWS_CONFIG_FILE",
                "AWS_SHARED_CONFIG_FILE",
                "AWS_SHARED_CREDENTIALS_FILE",
                "HOME"
            ]
        );
        assert!(!of_s3(&S3Backend::default(), true).contains(&"HOME"));
    }
}

//! Credentials of an EC2 instance, from its metadata service.
//!
//! Sources: `credentials/ec2rolecreds` and `feature/ec2/imds` of aws-sdk-go-v2.

use aws_credential_types::Credentials;
use serde_json::Value;

use super::fetch::{self, Answer, Fetch, Request};
use super::identity::InstanceMetadata;
use super::json_keys;
use super::refused::IdentityRefused;
use crate::lock::store::StoreErrorKind;

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

pub(super) async fn credentials(
    fetch: &Fetch,
    service: &InstanceMetadata,
) -> Result<Credentials, IdentityRefused> {
    let asked = Asked {
        fetch,
        service,
        token: token(fetch, service).await?,
    };
    let roles = asked.get(ROLES).await?;
    let roles = String::from_utf8_lossy(&roles.body).into_owned();
    let role = roles.lines().next().filter(|role| !role.is_empty());
    let role = role.ok_or_else(|| missing("the instance has no role"))?;
    let answer = asked.get(&format!("{ROLES}{role}")).await?;
    let object = json_keys::object(&answer.body).unwrap_or_default();
    let code = json_keys::member(&object, "Code").and_then(Value::as_str);
    if !code.is_some_and(|code| code.eq_ignore_ascii_case("Success")) {
        let code = code.unwrap_or("no code");
        return Err(missing(&format!("the instance's role `{role}`: {code}")));
    }
    json_keys::credentials(&object, "Token")
        .ok_or_else(|| missing(&format!("the instance's role `{role}` has no keys")))
}

struct Asked<'a> {
    fetch: &'a Fetch,
    service: &'a InstanceMetadata,
    token: Option<String>,
}

impl Asked<'_> {
    async fn get(&self, path: &str) -> Result<Answer, IdentityRefused> {
        let token = self.token.clone();
        let request = Request {
            method: "GET",
            url: url(self.service, path),
            headers: token
                .map(|token| ("x-aws-ec2-metadata-token", token))
                .into_iter()
                .collect(),
        };
        let answer = fetch::send(&self.fetch.as_aws, &request)
            .await
            .map_err(|error| absent(&error))?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let message = format!(
            "the EC2 metadata service has no role for this instance (HTTP status {})",
            answer.status
        );
        Err(missing(&message))
    }
}

/// A session token; `None` if the service has none and version 1 is allowed.
async fn token(
    fetch: &Fetch,
    service: &InstanceMetadata,
) -> Result<Option<String>, IdentityRefused> {
    let request = Request {
        method: "PUT",
        url: url(service, "/latest/api/token"),
        headers: vec![("x-aws-ec2-metadata-token-ttl-seconds", "300".to_owned())],
    };
    let answer = fetch::send(&fetch.as_aws, &request).await;
    match answer {
        Ok(answer) if answer.status == 200 => {
            Ok(Some(String::from_utf8_lossy(&answer.body).into_owned()))
        }
        Ok(answer) if service.first_version && [403, 404, 405].contains(&answer.status) => Ok(None),
        Ok(answer) => Err(missing(&format!(
            "the EC2 metadata service gave no session token (HTTP status {})",
            answer.status
        ))),
        Err(error) => Err(absent(&error)),
    }
}

/// Only the host of an endpoint counts: the paths are fixed.
fn url(service: &InstanceMetadata, path: &str) -> String {
    format!("{}{path}", fetch::origin(&service.endpoint))
}

/// Without such a service no credentials were ever configured, so this is not an outage.
fn absent(error: &IdentityRefused) -> IdentityRefused {
    missing(&format!(
        "no keys, no profile with credentials, no role: not even an EC2 metadata service ({error})"
    ))
}

fn missing(message: &str) -> IdentityRefused {
    IdentityRefused::new(StoreErrorKind::CredentialsMissing, message)
}

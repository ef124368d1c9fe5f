//! Container credentials: an endpoint provided by the platform (ECS, EKS, a cloud shell, `aws-vault`).
//!
//! Source: `credentials/endpointcreds` of aws-sdk-go-v2.

use aws_credential_types::Credentials;

use super::fetch::{self, Fetch, Request};
use super::identity::Container;
use super::json_keys;
use super::refused::IdentityRefused;
use crate::lock::store::StoreErrorKind;

pub(super) async fn credentials(
    fetch: &Fetch,
    container: &Container,
) -> Result<Credentials, IdentityRefused> {
    let mut headers = vec![("accept", "application/json".to_owned())];
    if let Some(file) = &container.authorization_file {
        let token = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("the authorization token file `{}`: {error}", file.display());
            IdentityRefused::new(StoreErrorKind::CredentialsMissing, message)
        })?;
        headers.push(("authorization", token));
    } else if let Some(token) = &container.authorization {
        headers.push(("authorization", token.clone()));
    }
    let request = Request {
        method: "GET",
        url: container.url.clone(),
        headers,
    };
    let answer = fetch::send(&fetch.by_environment, &request).await?;
    let found = json_keys::object(&answer.body)
        .filter(|_| answer.status == 200)
        .and_then(|object| json_keys::credentials(&object, "Token"));
    found.ok_or_else(|| {
        let message = format!(
            "the container's endpoint gave no credentials (HTTP status {})",
            answer.status
        );
        IdentityRefused::new(StoreErrorKind::CredentialsRejected, message)
    })
}

//! Roles of IAM Identity Center, with the token from `aws sso login`.
//!
//! Source: `credentials/ssocreds` of aws-sdk-go-v2.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_types::retry::RetryConfig;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use sha1::{Digest as _, Sha1};

use super::classify::classify;
use super::endpoints::at;
use super::identity::SingleSignOn;
use super::refused::IdentityRefused;
use crate::lock::store::StoreErrorKind;
use crate::text::quoted_for_shell;

struct Token {
    file: PathBuf,
    fields: Map<String, Value>,
}

/// Checks offline whether there is a token that is valid or can be renewed.
pub(super) fn check(role: &SingleSignOn) -> Result<(), IdentityRefused> {
    let token = Token::read(role)?;
    if token.is_expired() && !token.is_renewable(role) {
        return Err(log_in(role, "has expired"));
    }
    Ok(())
}

pub(super) async fn credentials(
    config: &SdkConfig,
    role: &SingleSignOn,
) -> Result<Credentials, IdentityRefused> {
    let mut token = Token::read(role)?;
    if token.is_expired() {
        token.renew(config, role).await?;
    }
    let own = role.endpoint.as_ref();
    let mut builder = aws_sdk_sso::config::Builder::from(&at(own, config))
        .region(Region::new(role.region.clone()))
        .retry_config(RetryConfig::standard());
    builder.set_endpoint_url(own.map(|own| own.url().to_owned()));
    let answer = aws_sdk_sso::Client::from_conf(builder.build())
        .get_role_credentials()
        .access_token(token.text("accessToken").unwrap_or_default())
        .account_id(&role.account)
        .role_name(&role.role)
        .send()
        .await
        .map_err(|error| {
            let unauthorized = error
                .raw_response()
                .is_some_and(|answer| answer.status().as_u16() == 401);
            let (kind, message) = classify(&error);
            if unauthorized {
                return log_in(role, "is not accepted");
            }
            let message = format!("IAM Identity Center, role `{}`: {message}", role.role);
            IdentityRefused::new(kind, message)
        })?;
    let missing = || log_in(role, "gave no credentials");
    let found = answer.role_credentials.ok_or_else(missing)?;
    let milliseconds = u64::try_from(found.expiration).unwrap_or_default();
    Ok(Credentials::new(
        found.access_key_id.ok_or_else(missing)?,
        found.secret_access_key.ok_or_else(missing)?,
        found.session_token,
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)),
        "IAM Identity Center",
    ))
}

impl Token {
    fn read(role: &SingleSignOn) -> Result<Self, IdentityRefused> {
        let key = role.session.as_ref().unwrap_or(&role.start_url);
        let mut name = String::new();
        for byte in Sha1::digest(key.as_bytes()) {
            let _ = write!(name, "{byte:02x}");
        }
        let cache = role.cache.as_ref();
        let cache = cache.ok_or_else(|| log_in(role, "cannot be found without HOME"))?;
        let file = cache.join(format!("{name}.json"));
        let text = std::fs::read(&file).map_err(|_| log_in(role, "does not exist"))?;
        let fields = serde_json::from_slice(&text).unwrap_or_default();
        let token = Self { file, fields };
        if token.text("accessToken").is_none() || token.expiry().is_none() {
            return Err(log_in(role, "cannot be read"));
        }
        Ok(token)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.fields.get(name)?.as_str()?;
        Some(text).filter(|text| !text.is_empty())
    }

    fn expiry(&self) -> Option<DateTime<Utc>> {
        let time = self.text("expiresAt")?;
        // An old AWS CLI wrote `UTC` for `Z`.
        let time = DateTime::parse_from_rfc3339(&time.replace("UTC", "Z")).ok()?;
        Some(time.with_timezone(&Utc))
    }

    fn is_expired(&self) -> bool {
        self.expiry().is_none_or(|expiry| expiry <= Utc::now())
    }

    /// Only tokens of sessions can be renewed.
    fn is_renewable(&self, role: &SingleSignOn) -> bool {
        let mut needed = ["clientId", "clientSecret", "refreshToken"].into_iter();
        role.session.is_some() && needed.all(|name| self.text(name).is_some())
    }

    async fn renew(
        &mut self,
        config: &SdkConfig,
        role: &SingleSignOn,
    ) -> Result<(), IdentityRefused> {
        if !self.is_renewable(role) {
            return Err(log_in(role, "has expired"));
        }
        let own = role.token_endpoint.as_ref();
        let mut builder = aws_sdk_ssooidc::config::Builder::from(&at(own, config))
            .region(Region::new(role.region.clone()))
            .retry_config(RetryConfig::standard());
        builder.set_endpoint_url(own.map(|own| own.url().to_owned()));
        let answer = aws_sdk_ssooidc::Client::from_conf(builder.build())
            .create_token()
            .set_client_id(self.text("clientId").map(str::to_owned))
            .set_client_secret(self.text("clientSecret").map(str::to_owned))
            .set_refresh_token(self.text("refreshToken").map(str::to_owned))
            .grant_type("refresh_token")
            .send()
            .await
            .map_err(|error| {
                let (kind, message) = classify(&error);
                if kind.is_transient() {
                    return IdentityRefused::new(kind, format!("IAM Identity Center: {message}"));
                }
                log_in(role, "has expired")
            })?;
        let expiry =
            Utc::now() + Duration::from_secs(u64::try_from(answer.expires_in).unwrap_or(0));
        let expiry = expiry.to_rfc3339_opts(SecondsFormat::Secs, true);
        for (name, value) in [
            ("accessToken", answer.access_token),
            ("refreshToken", answer.refresh_token),
            ("expiresAt", Some(expiry)),
        ] {
            if let Some(value) = value {
                self.fields.insert(name.to_owned(), Value::String(value));
            }
        }
        self.write();
        Ok(())
    }

    /// Replaces the old token by the renewed one, keeping its permissions. If that fails, the next run renews it again.
    fn write(&self) {
        let Ok(text) = serde_json::to_vec(&self.fields) else {
            return;
        };
        let unfinished = self.file.with_extension("json.tflock");
        let written = std::fs::metadata(&self.file).and_then(|metadata| {
            std::fs::write(&unfinished, b"")?;
            std::fs::set_permissions(&unfinished, metadata.permissions())?;
            std::fs::write(&unfinished, text)?;
            std::fs::rename(&unfinished, &self.file)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
    }
}

fn log_in(role: &SingleSignOn, state: &str) -> IdentityRefused {
    let profile = quoted_for_shell(&role.profile);
    let message = format!(
        "the IAM Identity Center token of the profile `{}` {state}",
        role.profile
    );
    IdentityRefused::new(StoreErrorKind::CredentialsRejected, message).remedy(format!(
        "run `aws sso login --profile {profile}`, then try again"
    ))
}

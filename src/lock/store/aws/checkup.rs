//! What `doctor` asks of AWS itself: whose credentials these are, and how far the clocks are apart.

use std::fmt;

use aws_config::Region;
use aws_smithy_types::retry::RetryConfig;

use super::answers::duration_text;
use super::classify::{CLOCK_THRESHOLD_SECONDS, classify};
use super::endpoints::{Endpoint, at};
use super::wire::Server;
use super::{AwsAccess, refused};
use crate::lock::store::StoreError;
use crate::text::Address;

/// How much of an access key ID is shown.
const SHOWN: usize = 4;

/// Who signs the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The ARN of the user or the role's session.
    pub arn: String,
    /// The account.
    pub account: String,
}

/// How far a service's clock is ahead of this machine's, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDifference(pub i64);

impl ClockDifference {
    /// Whether a service may refuse what this clock signs: AWS allows five minutes.
    #[must_use]
    pub fn is_too_large(self) -> bool {
        self.0.unsigned_abs() > CLOCK_THRESHOLD_SECONDS
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = duration_text(self.0.unsigned_abs());
        match self.0 {
            0 => formatter.write_str("your clock agrees with the service's"),
            1.. => write!(formatter, "your clock is {amount} behind the service's"),
            _ => write!(formatter, "your clock is {amount} ahead of the service's"),
        }
    }
}

impl AwsAccess {
    /// The end of the access key ID.
    ///
    /// # Errors
    /// There are no credentials.
    pub async fn access_key(&self) -> Result<String, StoreError> {
        let found = self.credentials().await.map_err(refused)?;
        let id = found.access_key_id();
        let hidden = id.chars().count().saturating_sub(SHOWN);
        let end: String = id.chars().skip(hidden).collect();
        Ok(format!("…{end}"))
    }

    /// Whether there is an STS that knows these credentials: Amazon's does not know those of another server.
    #[must_use]
    pub fn has_sts(&self) -> bool {
        let is_amazons = |endpoint: &Option<Endpoint>| endpoint.as_ref().is_none_or(is_amazons);
        self.sts.is_some() || is_amazons(&self.dynamodb) && is_amazons(&self.s3)
    }

    /// Whose credentials these are, as STS says. No permission is needed for that.
    ///
    /// # Errors
    /// The request's failure.
    pub async fn caller(&self) -> Result<Caller, StoreError> {
        let own = self.sts.as_ref();
        let signing = self.signing_with(self.credentials().await);
        let config = aws_sdk_sts::config::Builder::from(&at(own, &signing.client_config()));
        let mut config = config.retry_config(RetryConfig::disabled());
        config.set_endpoint_url(own.map(|own| own.url().to_owned()));
        if let (Some(_), Some(region)) = (own, &self.settings.sts_region) {
            config = config.region(Region::new(region.clone()));
        }
        let client = aws_sdk_sts::Client::from_conf(config.build());
        match client.get_caller_identity().send().await {
            Ok(answer) => Ok(Caller {
                arn: answer.arn.unwrap_or_default(),
                account: answer.account.unwrap_or_default(),
            }),
            Err(error) => {
                let (kind, message) = classify(&error);
                Err(StoreError {
                    action: "GetCallerIdentity",
                    place: "STS".to_owned(),
                    kind,
                    message,
                    remedy: None,
                })
            }
        }
    }

    /// DynamoDB's endpoint, for people.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> String {
        self.endpoint_for_people(self.dynamodb.as_ref(), "dynamodb")
    }

    /// S3's endpoint, for people.
    #[must_use]
    pub fn s3_endpoint(&self) -> String {
        self.endpoint_for_people(self.s3.as_ref(), "s3")
    }

    fn endpoint_for_people(&self, own: Option<&Endpoint>, service: &str) -> String {
        match own {
            Some(own) => Address::of(own.url()).to_string(),
            None => format!("Amazon's {service} in {}", self.region),
        }
    }
}

fn is_amazons(endpoint: &Endpoint) -> bool {
    Server::of_url(endpoint.url()) == Server::Amazon
}

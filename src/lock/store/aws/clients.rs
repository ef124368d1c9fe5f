//! The clients of a run, and what identifies the endpoints that they reach.

use aws_smithy_types::retry::RetryConfig;

use super::AwsAccess;
use super::endpoints::{Endpoint, at};
use super::wire::Server;

impl AwsAccess {
    /// What identifies DynamoDB's endpoint.
    #[must_use]
    pub fn dynamodb_address(&self) -> String {
        self.address(self.dynamodb.as_ref())
    }

    /// What identifies S3's endpoint.
    #[must_use]
    pub fn s3_address(&self) -> String {
        self.address(self.s3.as_ref())
    }

    /// Whether S3's endpoint is one of Amazon's own.
    #[must_use]
    pub fn s3_is_amazons(&self) -> bool {
        self.s3
            .as_ref()
            .is_none_or(|own| Server::of_url(own.url()) == Server::Amazon)
    }

    /// The region for its default endpoint, else the URL.
    fn address(&self, endpoint: Option<&Endpoint>) -> String {
        let config = at(endpoint, &self.config);
        let is = |set: Option<bool>| set.unwrap_or_default();
        format!(
            "{} fips={} dualstack={}",
            endpoint.map(Endpoint::url).unwrap_or_default(),
            is(config.use_fips()),
            is(config.use_dual_stack())
        )
    }

    /// A DynamoDB client that tries each request once.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let own = self.dynamodb.as_ref();
        let mut config = aws_sdk_dynamodb::config::Builder::from(&at(own, &self.client_config()))
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(own.map(|own| own.url().to_owned()));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// An S3 client that tries each request once.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let own = self.s3.as_ref();
        let mut config = aws_sdk_s3::config::Builder::from(&at(own, &self.client_config()))
            .retry_config(RetryConfig::disabled())
            .force_path_style(self.settings.path_style);
        // The SDK appends the bucket directly to a path without a trailing slash.
        config.set_endpoint_url(own.map(|own| format!("{}/", own.url().trim_end_matches('/'))));
        aws_sdk_s3::Client::from_conf(config.build())
    }
}

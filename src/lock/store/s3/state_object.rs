//! The state object of a lock: whether it exists. It is never read and never written.

use aws_sdk_s3::Client;

use crate::lock::store::aws::AwsAccess;

/// A state object.
pub struct StateObject {
    client: Client,
    bucket: String,
    key: String,
}

impl StateObject {
    /// The object `key` in `bucket`.
    #[must_use]
    pub fn new(access: &AwsAccess, bucket: &str, key: &str) -> Self {
        Self {
            client: access.s3(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Whether the object certainly does not exist.
    pub async fn is_missing(&self) -> bool {
        let answer = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .send()
            .await;
        answer.is_err_and(|error| {
            error
                .raw_response()
                .is_some_and(|response| response.status().as_u16() == 404)
        })
    }
}

//! How lock objects are written: encryption, ACL, checksums, tags.

use std::fmt;

use md5::{Digest as _, Md5};

/// How to write objects: the lock like the state.
#[derive(Clone, Debug, Default)]
pub struct ObjectSettings {
    /// Encryption.
    pub encryption: Encryption,
    /// Canned ACL.
    pub acl: Option<String>,
    /// Whether to send and request no checksums, which some servers do not support.
    pub skip_checksum: bool,
    /// The tags of the lock object, encoded for `x-amz-tagging`.
    pub tags: Option<String>,
    /// Whether a holder renews its lock object.
    pub renewals: Renewals,
}

/// Whether a holder renews its lock object. A server that ignores `If-Match` would let a late renewal overwrite another
/// run's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renewals {
    /// Every minute: the server is known to compare on writes.
    On,
    /// No, only the item next to it; the server is known to compare, too.
    InItem,
    /// Never.
    #[default]
    Off,
}

/// How the server should encrypt.
#[derive(Clone, Default)]
pub enum Encryption {
    /// Unspecified: the bucket's setting applies.
    #[default]
    NotAsked,
    /// With a key managed by S3.
    S3Key,
    /// With the KMS key with this ID.
    KmsKey(String),
    /// With the customer's key (SSE-C), in base64.
    CustomerKey(String),
}

/// Hides the keys.
impl fmt::Debug for Encryption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAsked => "NotAsked",
            Self::S3Key => "S3Key",
            Self::KmsKey(_) => "KmsKey",
            Self::CustomerKey(_) => "CustomerKey",
        })
    }
}

pub(super) struct CustomerKey {
    pub(super) key: String,
    pub(super) md5: String,
}

impl CustomerKey {
    pub(super) const ALGORITHM: &'static str = "AES256";

    pub(super) fn new(base64: &str) -> Option<Self> {
        let key = aws_smithy_types::base64::decode(base64).ok()?;
        Some(Self {
            key: base64.to_owned(),
            md5: aws_smithy_types::base64::encode(Md5::digest(key)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_key_has_the_digest_of_its_bytes() {
        let key = CustomerKey::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert_eq!(key.md5, "cLyPS3KoaSFGi/joRB3OUQ==");
        assert!(CustomerKey::new("not base64!").is_none());
    }
}

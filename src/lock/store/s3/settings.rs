//! How lock objects are written: encryption, ACL, checksums, tags.

use std::fmt;

use md5::{Digest as _, Md5};

/// How the state's objects are written, and so its lock.
#[derive(Clone, Debug, Default)]
pub struct ObjectSettings {
    /// With what they are encrypted.
    pub encryption: Encryption,
    /// Canned ACL.
    pub acl: Option<String>,
    /// Send no checksums and ask for none: there are servers that do not know them.
    pub skip_checksum: bool,
    /// The tags of the lock object, as `x-amz-tagging` has them.
    pub tags: Option<String>,
}

/// How the service is asked to encrypt.
#[derive(Clone, Default)]
pub enum Encryption {
    /// Not at all: the bucket's own setting holds.
    #[default]
    NotAsked,
    /// With a key of S3's.
    S3Key,
    /// With the KMS key of this ID.
    KmsKey(String),
    /// With a key that the customer keeps (SSE-C), in base64.
    CustomerKey(String),
}

/// Without any key.
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

/// A key of SSE-C as its three headers want it.
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
    fn a_customer_key_has_the_digest_of_its_bytes_beside_it() {
        let key = CustomerKey::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert_eq!(key.md5, "cLyPS3KoaSFGi/joRB3OUQ==");
        assert!(CustomerKey::new("not base64!").is_none());
    }
}

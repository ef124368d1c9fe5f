//! The error of everything that fetches credentials.

use aws_credential_types::provider::error::CredentialsError;

use super::identity::IdentityError;
use crate::lock::store::StoreErrorKind;

#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct IdentityRefused {
    pub(super) kind: StoreErrorKind,
    message: String,
    /// What to do, if more specific than for the kind.
    pub(super) remedy: Option<String>,
}

impl IdentityRefused {
    pub(super) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
        }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl From<IdentityError> for IdentityRefused {
    fn from(error: IdentityError) -> Self {
        let nothing = matches!(error, IdentityError::Nothing);
        let refused = Self::new(StoreErrorKind::CredentialsMissing, error.to_string());
        if nothing {
            refused
        } else {
            refused.remedy("terraform would refuse it too: correct it, then run it again")
        }
    }
}

impl From<IdentityRefused> for CredentialsError {
    fn from(refused: IdentityRefused) -> Self {
        match refused.kind {
            StoreErrorKind::CredentialsMissing => Self::not_loaded(refused),
            _ => Self::provider_error(refused),
        }
    }
}

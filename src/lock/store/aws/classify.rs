//! What kind of failure it was, by the error codes that the AWS services document and the causes below them.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::ATTEMPT_TIMEOUT;
use super::roles::RoleRefused;
use crate::lock::store::StoreErrorKind;

/// The kind of a failure and its cause in one line, by the error codes that the AWS services document.
pub(in crate::lock::store) fn classify<E>(error: &SdkError<E>) -> (StoreErrorKind, String)
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(credentials) = find_cause::<CredentialsError>(error) {
        return (
            kind_of_credentials_error(credentials),
            root_cause(credentials),
        );
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = error.code().unwrap_or_default();
            let message = match (code, error.message()) {
                ("", _) => format!("HTTP status {status}"),
                (code, Some(message)) if !message.is_empty() => format!("{code}: {message}"),
                (code, _) => code.to_owned(),
            };
            (kind_of_code(code, status), message)
        }
        SdkError::TimeoutError(_) => (
            StoreErrorKind::Unreachable,
            format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs()),
        ),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            (StoreErrorKind::Unsuitable, root_cause(error))
        }
        SdkError::DispatchFailure(_) => (kind_of_broken_connection(error), root_cause(error)),
        SdkError::ResponseError(response) => (
            StoreErrorKind::Unreachable,
            format!(
                "the answer (HTTP status {}) cannot be read: {}",
                response.raw().status().as_u16(),
                root_cause(error)
            ),
        ),
        _ => (StoreErrorKind::Rejected, root_cause(error)),
    }
}

/// Credentials that could not be had for the moment are not refused ones: the lock must still be released.
fn kind_of_credentials_error(error: &CredentialsError) -> StoreErrorKind {
    match find_cause::<RoleRefused>(error).map(|refused| refused.kind) {
        Some(StoreErrorKind::Untrusted) => return StoreErrorKind::Untrusted,
        Some(kind) if kind.is_transient() => return StoreErrorKind::NotCarriedOut,
        _ => {}
    }
    match error {
        CredentialsError::ProviderTimedOut(_) => StoreErrorKind::NotCarriedOut,
        CredentialsError::ProviderError(_) if find_cause::<ConnectorError>(error).is_some() => {
            match kind_of_broken_connection(error) {
                StoreErrorKind::Untrusted => StoreErrorKind::Untrusted,
                _ => StoreErrorKind::NotCarriedOut,
            }
        }
        CredentialsError::ProviderError(_) => StoreErrorKind::CredentialsRejected,
        _ => StoreErrorKind::CredentialsMissing,
    }
}

/// A request that found no connection was not carried out; of all others nobody knows.
fn kind_of_broken_connection(error: &(dyn Error + 'static)) -> StoreErrorKind {
    let connecting = find_cause::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect);
    if !connecting {
        return StoreErrorKind::Unreachable;
    }
    match find_cause(error) {
        Some(rustls::Error::InvalidCertificate(_)) => StoreErrorKind::Untrusted,
        _ => StoreErrorKind::NotCarriedOut,
    }
}

fn kind_of_code(code: &str, status: u16) -> StoreErrorKind {
    match code {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TransactionConflictException"
        | "SlowDown"
        | "TooManyRequestsException" => StoreErrorKind::Throttled,
        "ResourceNotFoundException" | "NoSuchBucket" => StoreErrorKind::NotFound,
        "AccessDeniedException" | "AccessDenied" | "AllAccessDisabled" => {
            StoreErrorKind::AccessDenied
        }
        "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => StoreErrorKind::CredentialsRejected,
        _ if status >= 500 => StoreErrorKind::ServerFailure,
        _ if status == 429 => StoreErrorKind::Throttled,
        "" if status == 403 => StoreErrorKind::AccessDenied,
        _ => StoreErrorKind::Rejected,
    }
}

fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = cause_of(error);
    }
    None
}

/// The next cause in the chain. An I/O error counts not what it wraps among its causes, but the causes of that.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The last cause in the chain, on one line: the ones above it only say that something failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = cause_of(last) {
        last = cause;
    }
    let text = last.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

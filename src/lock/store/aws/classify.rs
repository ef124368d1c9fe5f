//! Classifies failures, by the documented error codes of the AWS services and the causes below them.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::ATTEMPT_TIMEOUT;
use super::answers::{NoAnswer, ServerClock, duration_text};
use super::refused::IdentityRefused;
use crate::lock::store::StoreErrorKind;

/// The clock difference from which a rejected signature is blamed on the clock; AWS itself allows five minutes
/// (`skewThreshold` of aws-sdk-go-v2's `aws/retry`).
pub(super) const CLOCK_THRESHOLD_SECONDS: u64 = 4 * 60;
/// How close to the server's time a corrected signature is.
const CORRECTED_SECONDS: u64 = 60;

/// The kind of a failure, and its cause in one line.
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
    if let Some(no_answer) = find_cause::<NoAnswer>(error) {
        return (kind_of_no_answer(no_answer), no_answer.to_string());
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = error.code().unwrap_or_default();
            let message = match (code, error.message()) {
                ("", _) if status < 300 => {
                    let message = format!(
                        "the answer (HTTP status {status}) cannot be read: does something else answer there?"
                    );
                    return (StoreErrorKind::Unreachable, message);
                }
                ("", _) => format!("HTTP status {status}"),
                (code, Some(message)) if !message.is_empty() => format!("{code}: {message}"),
                (code, _) => code.to_owned(),
            };
            let clock = service.raw().extension::<ServerClock>().copied();
            match kind_by_clock(code, error.message().unwrap_or_default(), clock) {
                Some(kind) => (kind, format!("{}: {message}", clock_text(clock))),
                None => (kind_of_code(code, status), message),
            }
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

/// If something else answered, the request was not carried out; after an endless answer that is unknown.
fn kind_of_no_answer(no_answer: &NoAnswer) -> StoreErrorKind {
    match no_answer {
        NoAnswer::Another { .. } | NoAnswer::Proxy { .. } => StoreErrorKind::NotCarriedOut,
        NoAnswer::TooLong { .. } | NoAnswer::TooSlow => StoreErrorKind::Unreachable,
    }
}

/// Whether a signature was rejected because of its time. Like Go's SDK, ours signs with the `Date` of the last answer
/// (`ServiceClockSkewInterceptor` of aws-runtime). So the next signature will be right, unless this one already used
/// that time.
fn kind_by_clock(code: &str, message: &str, clock: Option<ServerClock>) -> Option<StoreErrorKind> {
    let off_by = clock.map(|clock| clock.of_signature.unsigned_abs());
    let is_about_time = match code {
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => true,
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "AuthFailure" => {
            ["Signature expired", "Signature not yet current"]
                .iter()
                .any(|words| message.contains(words))
                || off_by.is_some_and(|seconds| seconds > CLOCK_THRESHOLD_SECONDS)
        }
        _ => false,
    };
    is_about_time.then(|| {
        if off_by.is_some_and(|seconds| seconds > CORRECTED_SECONDS) {
            StoreErrorKind::ClockCorrected
        } else {
            StoreErrorKind::ClockOff
        }
    })
}

fn clock_text(clock: Option<ServerClock>) -> String {
    let Some(ServerClock { of_machine, .. }) = clock else {
        return "your clock is off".to_owned();
    };
    let direction = if of_machine > 0 { "behind" } else { "ahead of" };
    let amount = duration_text(of_machine.unsigned_abs());
    format!("your clock is off by {amount} ({direction} the service's)")
}

/// Credentials that are temporarily unavailable are not rejected ones: the lock must still be released.
fn kind_of_credentials_error(error: &CredentialsError) -> StoreErrorKind {
    match find_cause::<IdentityRefused>(error).map(|refused| refused.kind) {
        Some(
            kind @ (StoreErrorKind::Untrusted
            | StoreErrorKind::ClockOff
            | StoreErrorKind::CredentialsMissing),
        ) => return kind,
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

/// A request without a connection was not carried out; for all others that is unknown.
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
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => StoreErrorKind::CredentialsRejected,
        _ if status >= 500 => StoreErrorKind::ServerFailure,
        _ if status == 429 => StoreErrorKind::Throttled,
        "" if status == 403 => StoreErrorKind::AccessDenied,
        _ => StoreErrorKind::Rejected,
    }
}

pub(super) fn find_cause<'a, T: Error + 'static>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = cause_of(error);
    }
    None
}

/// The next cause in the chain. An I/O error's source skips the error that it wraps.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The last cause in the chain, on one line: those above only say that something failed.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = cause_of(last) {
        last = cause;
    }
    let text = last.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;

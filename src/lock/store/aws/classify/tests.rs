use super::*;
use StoreErrorKind::{
    AccessDenied, ClockCorrected, ClockOff, CredentialsRejected, NotFound, Rejected, ServerFailure,
    Throttled,
};

#[test]
fn every_code_has_its_kind() {
    for (code, status, kind) in [
        ("ProvisionedThroughputExceededException", 400, Throttled),
        ("ThrottlingException", 400, Throttled),
        ("Throttling", 400, Throttled),
        ("RequestLimitExceeded", 400, Throttled),
        ("LimitExceededException", 400, Throttled),
        ("TransactionConflictException", 400, Throttled),
        ("SlowDown", 503, Throttled),
        ("TooManyRequestsException", 400, Throttled),
        ("ResourceNotFoundException", 400, NotFound),
        ("NoSuchBucket", 404, NotFound),
        ("AccessDeniedException", 400, AccessDenied),
        ("AccessDenied", 403, AccessDenied),
        ("AllAccessDisabled", 403, AccessDenied),
        ("ExpiredTokenException", 400, CredentialsRejected),
        ("ExpiredToken", 400, CredentialsRejected),
        ("IncompleteSignature", 400, CredentialsRejected),
        ("InvalidAccessKeyId", 403, CredentialsRejected),
        ("InvalidClientTokenId", 403, CredentialsRejected),
        ("InvalidSignatureException", 400, CredentialsRejected),
        ("InvalidToken", 400, CredentialsRejected),
        ("MissingAuthenticationToken", 403, CredentialsRejected),
        (
            "MissingAuthenticationTokenException",
            400,
            CredentialsRejected,
        ),
        ("SignatureDoesNotMatch", 403, CredentialsRejected),
        ("UnrecognizedClientException", 400, CredentialsRejected),
        ("InternalServerError", 500, ServerFailure),
        ("InternalError", 500, ServerFailure),
        ("ServiceUnavailable", 503, ServerFailure),
        ("", 502, ServerFailure),
        ("", 429, Throttled),
        ("Anything", 429, Throttled),
        ("", 403, AccessDenied),
        ("Anything", 403, Rejected),
        ("OperationAborted", 409, Rejected),
        ("ValidationException", 400, Rejected),
        ("", 400, Rejected),
    ] {
        assert_eq!(kind_of_code(code, status), kind, "{code} {status}");
    }
}

#[test]
fn a_signature_rejected_for_its_time_differs_from_a_wrong_one() {
    let clock = |of_signature| {
        Some(ServerClock {
            of_signature,
            of_machine: 900,
        })
    };
    let expired = "Signature expired: 20261127T103205Z is now earlier than 20261127T104205Z";
    let early = "Signature not yet current: 20261127T103205Z is still later than";
    for (code, message, clock, kind) in [
        ("RequestTimeTooSkewed", "", clock(900), Some(ClockCorrected)),
        ("RequestExpired", "", clock(-900), Some(ClockCorrected)),
        ("RequestInTheFuture", "", clock(900), Some(ClockCorrected)),
        ("RequestTimeTooSkewed", "", clock(1), Some(ClockOff)),
        ("RequestTimeTooSkewed", "", None, Some(ClockOff)),
        (
            "InvalidSignatureException",
            expired,
            clock(900),
            Some(ClockCorrected),
        ),
        (
            "InvalidSignatureException",
            early,
            clock(-301),
            Some(ClockCorrected),
        ),
        (
            "InvalidSignatureException",
            expired,
            clock(0),
            Some(ClockOff),
        ),
        ("InvalidSignatureException", expired, None, Some(ClockOff)),
        (
            "SignatureDoesNotMatch",
            expired,
            clock(900),
            Some(ClockCorrected),
        ),
        (
            "SignatureDoesNotMatch",
            "",
            clock(241),
            Some(ClockCorrected),
        ),
        ("SignatureDoesNotMatch", "", clock(240), None),
        (
            "InvalidSignatureException",
            "The request signature",
            clock(2),
            None,
        ),
        (
            "InvalidSignatureException",
            "The request signature",
            None,
            None,
        ),
        ("AccessDenied", expired, clock(900), None),
        ("", "", clock(900), None),
    ] {
        assert_eq!(
            kind_by_clock(code, message, clock),
            kind,
            "{code} {message}"
        );
    }
}

#[test]
fn a_clock_error_says_how_much_and_which_way() {
    let words = |of_machine| {
        clock_text(Some(ServerClock {
            of_signature: 0,
            of_machine,
        }))
    };
    assert_eq!(
        words(601),
        "your clock is off by 10 min (behind the service's)"
    );
    assert_eq!(
        words(-10_800),
        "your clock is off by 3 h (ahead of the service's)"
    );
    assert_eq!(clock_text(None), "your clock is off");
}

//! Every failure that ends a run, with its exit code and the next command to type: one table for all of them.

use crate::child::SpawnError;
use crate::exit_code;
use crate::lock::acquire::AcquireError;
use crate::lock::record::LockId;
use crate::lock::store::{SET_UP, StoreError, StoreErrorKind};
use crate::terraform::backend::{AttributeError, BackendRecordError};
use crate::terraform::command::CommandError;
use crate::terraform::configuration::RecordError;
use crate::terraform::lock_name::LockNameError;
use crate::terraform::plan_file::PlanFileError;
use crate::terraform::program::ProgramError;
use crate::terraform::workspace::WorkspaceError;
use crate::text::quoted_for_shell;

/// What went wrong, as shown to the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What failed, on what: a lower-case fragment.
    pub message: String,
    /// The lock in the way, in terraform's own block, because people search for it and tools parse it: label and text
    /// of each line.
    pub lock_info: Vec<(&'static str, String)>,
    /// Rows under the message: label and text.
    pub details: Vec<(&'static str, String)>,
    /// What to do next.
    pub hint: Option<String>,
    /// One of [`exit_code`].
    pub exit_code: u8,
}

impl Failure {
    /// A failure with its exit code; add hint and details with the methods below.
    #[must_use]
    pub fn new(exit_code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            lock_info: Vec::new(),
            details: Vec::new(),
            hint: None,
            exit_code,
        }
    }

    /// Sets what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the lock in the way.
    #[must_use]
    pub fn lock_info(mut self, lines: Vec<(&'static str, String)>) -> Self {
        self.lock_info = lines;
        self
    }

    /// Sets the rows under the message.
    #[must_use]
    pub fn details(mut self, details: Vec<(&'static str, String)>) -> Self {
        self.details = details;
        self
    }

    fn of(exit_code: u8, error: &dyn std::error::Error, hint: String) -> Self {
        Self::new(exit_code, with_causes(error)).hint(hint)
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::of(exit_code::USAGE, &error, error.hint())
    }
}

/// Configuration errors that bring their own hint.
macro_rules! configuration_failures {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(exit_code::CONFIGURATION, &error, error.hint())
            }
        })*
    };
}

configuration_failures!(
    AttributeError,
    BackendRecordError,
    LockNameError,
    PlanFileError,
    RecordError,
    WorkspaceError
);

impl From<ProgramError> for Failure {
    fn from(error: ProgramError) -> Self {
        let code = match error {
            ProgramError::NotExecutable { .. } => exit_code::NOT_EXECUTABLE,
            ProgramError::NotFound { .. } | ProgramError::Itself { .. } => exit_code::NOT_FOUND,
            ProgramError::Circle { .. } => exit_code::CONFIGURATION,
        };
        Self::of(code, &error, error.hint())
    }
}

impl From<SpawnError> for Failure {
    fn from(error: SpawnError) -> Self {
        let code = match error {
            SpawnError::NotFound { .. } => exit_code::NOT_FOUND,
            SpawnError::NotExecutable { .. } | SpawnError::Other { .. } => {
                exit_code::NOT_EXECUTABLE
            }
            SpawnError::NoDirectory { .. } => exit_code::CONFIGURATION,
        };
        let hint = match error {
            SpawnError::Other { .. } => {
                "free memory or processes, or pass fewer arguments, then run it again"
            }
            _ => "check the name and the permissions of the program",
        };
        let message = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        Self::new(code, message).hint(hint)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error.action {
            "DeleteItem" | "DeleteObject" | "removing" => Self::of_store("remove the lock", error),
            "Scan" | "ListObjectsV2" | "listing" => Self::of_store("list the locks", error),
            _ => Self::of_store("read the lock", error),
        }
    }
}

impl Failure {
    /// A failed request of a command that examines the store.
    #[must_use]
    pub fn of_check(error: StoreError) -> Self {
        let (exit_code, hint) = assessed(error.kind);
        Self::new(exit_code, error.to_string())
            .hint(error.remedy.unwrap_or_else(|| hint.to_owned()))
    }

    /// A failed request to the store; `attempted` says what was tried: `take the lock`.
    fn of_store(attempted: &str, error: StoreError) -> Self {
        let (exit_code, hint) = assessed(error.kind);
        let message = if error.action == SET_UP {
            error.to_string()
        } else {
            format!("cannot {attempted}: {error}")
        };
        Self::new(exit_code, message).hint(error.remedy.unwrap_or_else(|| hint.to_owned()))
    }

    /// A lock that could not be taken; `command_line` builds a tflock command for the same lock.
    #[must_use]
    pub fn not_acquired(error: AcquireError, command_line: impl Fn(&str) -> String) -> Self {
        let mut failure = Self::of_store("take the lock", error.error);
        if let Some(id) = error.maybe_left {
            failure.details.push((
                "left",
                format!("lock {id} may have been left behind: the store never answered"),
            ));
            failure.hint = Some(format!(
                "once the store answers again: `{}`, then `{}` if it is there",
                command_line("status"),
                command_line(&force_unlock_words(Some(&id))),
            ));
        }
        failure
    }
}

/// The exit code of a store's failure, and what to do about it.
fn assessed(kind: StoreErrorKind) -> (u8, &'static str) {
    match kind {
        StoreErrorKind::Unreachable | StoreErrorKind::NotCarriedOut => (
            exit_code::UNREACHABLE,
            "check the network and the endpoint, then run it again",
        ),
        StoreErrorKind::Untrusted => (
            exit_code::UNREACHABLE,
            "set the backend's `custom_ca_bundle` or AWS_CA_BUNDLE to the server's certificate authority",
        ),
        StoreErrorKind::ServerFailure | StoreErrorKind::Throttled => (
            exit_code::UNREACHABLE,
            "the service is failing or overloaded: run it again in a minute",
        ),
        StoreErrorKind::ClockCorrected | StoreErrorKind::ClockOff => (
            exit_code::REFUSED,
            "set the clock (`timedatectl set-ntp true` on Linux), then run it again",
        ),
        StoreErrorKind::CredentialsMissing => (
            exit_code::CONFIGURATION,
            "log in (`aws sso login`, `aws configure`) or set AWS_PROFILE, then run it again",
        ),
        StoreErrorKind::CredentialsRejected => (
            exit_code::REFUSED,
            "log in again (`aws sso login`); `aws sts get-caller-identity` shows who you are",
        ),
        StoreErrorKind::AccessDenied => (
            exit_code::REFUSED,
            "ask for this permission, or use credentials that have it: \
             `aws sts get-caller-identity` shows who you are",
        ),
        StoreErrorKind::RegionMissing => (
            exit_code::CONFIGURATION,
            "set `region` in the backend and run `tflock init`, or set AWS_REGION",
        ),
        StoreErrorKind::NotFound | StoreErrorKind::Unsuitable => (
            exit_code::CONFIGURATION,
            "use another with `--store`, `--table` or the backend's settings",
        ),
        StoreErrorKind::Rejected => (
            exit_code::CONFIGURATION,
            "run it with `tflock --verbose` to see the requests",
        ),
    }
}

/// The longest lock ID worth typing.
const LONGEST_ID: usize = 200;

/// The words after `tflock` that remove the lock with that ID. Anyone may have written the ID into the store: it can
/// look like an option.
#[must_use]
pub fn force_unlock_words(id: Option<&LockId>) -> String {
    match id.map(|id| id.0.as_str()) {
        Some(id) if id.starts_with('-') && id.len() <= LONGEST_ID => {
            format!("force-unlock -- {}", quoted_for_shell(id))
        }
        Some(id) if !id.is_empty() && id.len() <= LONGEST_ID => {
            format!("force-unlock {}", quoted_for_shell(id))
        }
        _ => "force-unlock".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_started_has_its_exit_code_its_cause_and_a_hint() {
        let source = || std::io::Error::from_raw_os_error(nix::libc::EAGAIN);
        let program = || "terraform".into();
        let not_found = SpawnError::NotFound { program: program() };
        let not_executable = SpawnError::NotExecutable {
            program: program(),
            source: source(),
        };
        let no_directory = SpawnError::NoDirectory {
            directory: "/app".into(),
            source: source(),
        };
        // Running out of processes is not a bug.
        let other = SpawnError::Other {
            program: program(),
            source: source(),
        };
        for (error, exit_code, hint) in [
            (not_found, 127, "check the name"),
            (not_executable, 126, "check the name"),
            (no_directory, 78, "check the name"),
            (other, 126, "free memory or processes"),
        ] {
            let cause = match &error {
                SpawnError::NotFound { .. } => String::new(),
                _ => format!(": {}", source()),
            };
            let message = format!("{error}{cause}");
            let failure = Failure::from(error);
            assert_eq!((failure.exit_code, &failure.message), (exit_code, &message));
            let words = failure.hint.expect("a hint");
            assert!(words.starts_with(hint), "{message}: {words}");
        }
    }

    #[test]
    fn the_causes_of_an_error_follow_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("above")]
        struct Above(#[source] Between);
        #[derive(Debug, thiserror::Error)]
        #[error("between")]
        struct Between(#[source] std::io::Error);
        let below = Above(Between(std::io::Error::other("below")));
        assert_eq!(with_causes(&below), "above: between: below");
    }

    #[test]
    fn a_lock_that_may_have_been_left_behind_is_named_with_the_command_that_removes_it() {
        let error = |maybe_left| AcquireError {
            error: StoreError {
                action: "PutItem",
                place: "DynamoDB table `locks`".to_owned(),
                kind: StoreErrorKind::Unreachable,
                message: "why".to_owned(),
                remedy: None,
            },
            maybe_left,
        };
        let typed = |words: &str| format!("tflock {words}");
        let id = LockId("4db125df".to_owned());
        let left = Failure::not_acquired(error(Some(id)), typed);
        let plain = Failure::not_acquired(error(None), typed);
        let words = "cannot take the lock: PutItem on DynamoDB table `locks` failed: why";
        assert_eq!((left.exit_code, left.message.as_str()), (69, words));
        assert_eq!((plain.exit_code, plain.message.as_str()), (69, words));
        assert_eq!(plain.details, []);
        let row = "lock 4db125df may have been left behind: the store never answered";
        assert_eq!(left.details, [("left", row.to_owned())]);
        assert_eq!(
            left.hint.as_deref(),
            Some(
                "once the store answers again: `tflock status`, then `tflock force-unlock 4db125df` if it is there"
            )
        );
    }

    fn failed(action: &'static str, kind: StoreErrorKind) -> Failure {
        let remedy = None;
        Failure::from(StoreError {
            action,
            place: "DynamoDB table `locks`".to_owned(),
            kind,
            message: "why".to_owned(),
            remedy,
        })
    }

    #[test]
    fn each_kind_of_failure_of_a_store_has_its_exit_code_and_says_what_to_do() {
        use StoreErrorKind as Kind;
        for (kind, exit_code) in [
            (Kind::Unreachable, 69),
            (Kind::NotCarriedOut, 69),
            (Kind::Untrusted, 69),
            (Kind::ServerFailure, 69),
            (Kind::Throttled, 69),
            (Kind::ClockCorrected, 77),
            (Kind::ClockOff, 77),
            (Kind::CredentialsMissing, 78),
            (Kind::CredentialsRejected, 77),
            (Kind::AccessDenied, 77),
            (Kind::NotFound, 78),
            (Kind::Unsuitable, 78),
            (Kind::RegionMissing, 78),
            (Kind::Rejected, 78),
        ] {
            let failure = failed("PutItem", kind);
            assert_eq!(failure.exit_code, exit_code, "{kind:?}");
            assert!(failure.hint.is_some(), "{kind:?}");
        }
    }

    #[test]
    fn a_failure_is_named_after_what_was_attempted() {
        for (action, words) in [
            ("GetItem", "cannot read the lock: "),
            ("HeadObject", "cannot read the lock: "),
            ("reading", "cannot read the lock: "),
            ("DeleteItem", "cannot remove the lock: "),
            ("DeleteObject", "cannot remove the lock: "),
            ("removing", "cannot remove the lock: "),
            ("Scan", "cannot list the locks: "),
            ("ListObjectsV2", "cannot list the locks: "),
            ("listing", "cannot list the locks: "),
        ] {
            let message = failed(action, StoreErrorKind::AccessDenied).message;
            let rest = format!("{words}{action} on DynamoDB table `locks` failed: why");
            assert_eq!(message, rest);
        }
        let message = failed(SET_UP, StoreErrorKind::RegionMissing).message;
        assert_eq!(message, "why");
    }

    #[test]
    fn ids_that_look_like_options_or_are_too_long_are_printed_safely() {
        let words = |id: &str| force_unlock_words(Some(&LockId(id.to_owned())));
        assert_eq!(words("4db125df"), "force-unlock 4db125df");
        assert_eq!(words("--yes"), "force-unlock -- --yes");
        assert_eq!(words("a b"), "force-unlock 'a b'");
        for (start, before) in [("a", ""), ("-", "-- ")] {
            let id = |length: usize| start.to_owned() + &"a".repeat(length - 1);
            assert_eq!(words(&id(200)), format!("force-unlock {before}{}", id(200)));
            assert_eq!(words(&id(201)), "force-unlock");
        }
        assert_eq!(words(""), "force-unlock");
        assert_eq!(force_unlock_words(None), "force-unlock");
    }
}

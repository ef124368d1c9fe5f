//! tflock's own options, each with its environment variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{Args, ValueEnum};

use crate::lock::acquire::Patience;
use crate::terraform::duration::parse_duration;

/// The options that go before the command.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// Where the lock lives
    #[arg(
        long,
        env = "TFLOCK_STORE",
        value_enum,
        default_value = "auto",
        hide_env_values = true,
        global = true
    )]
    pub store: StoreChoice,

    /// DynamoDB table [default: the backend's `dynamodb_table`]
    #[arg(long, env = "TFLOCK_TABLE", value_name = "NAME", hide_env_values = true, value_parser = NonEmptyStringValueParser::new(), global = true)]
    pub table: Option<String>,

    /// The lock's name [default: from the backend and workspace]
    #[arg(long, env = "TFLOCK_LOCK_ID", value_name = "KEY", hide_env_values = true, value_parser = NonEmptyStringValueParser::new(), global = true)]
    pub lock_id: Option<String>,

    /// How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit
    #[arg(long, env = "TFLOCK_WAIT", value_name = "DURATION", default_value = "15m", hide_env_values = true, value_parser = patience, global = true)]
    pub wait: Patience,

    /// Why you hold the lock; shown to everyone who finds it held
    #[arg(long, env = "TFLOCK_REASON", value_name = "TEXT", hide_env_values = true, value_parser = NonEmptyStringValueParser::new(), global = true)]
    pub reason: Option<String>,

    /// Let other runs take over the lock after this long without a heartbeat, or `never` [default: plan 60s, or 5m with
    /// an S3 lock object alone; all else never]
    #[arg(long, env = "TFLOCK_EXPIRE_AFTER", value_name = "DURATION", hide_env_values = true, value_parser = expiry, global = true)]
    pub expire_after: Option<Expiry>,

    /// `plan` only: take no lock; exit with 76 if the state was changed or locked meanwhile
    #[arg(long, env = "TFLOCK_SHARED", value_parser = FalseyValueParser::new(), hide_env_values = true, global = true)]
    pub shared: bool,

    /// Program to run [default: `terraform`, else `tofu`, from PATH]
    #[arg(
        long,
        env = "TFLOCK_TERRAFORM",
        value_name = "PATH",
        hide_env_values = true,
        global = true
    )]
    pub terraform: Option<PathBuf>,

    /// Run under the hold with that lock ID [default: your own on this machine]
    #[arg(long, env = "TFLOCK_HOLD", value_name = "LOCK_ID", hide_env_values = true, value_parser = NonEmptyStringValueParser::new(), global = true)]
    pub hold: Option<String>,

    /// Program to tell what happens: one JSON object on its stdin for each event; never waited for
    #[arg(
        long,
        env = "TFLOCK_ON_EVENT",
        value_name = "PROGRAM",
        hide_env_values = true,
        global = true
    )]
    pub on_event: Option<PathBuf>,

    /// Never prompt (the default without a terminal)
    #[arg(long, env = "TFLOCK_NO_INPUT", value_parser = FalseyValueParser::new(), hide_env_values = true, global = true)]
    pub no_input: bool,

    /// Errors only
    #[arg(short, long, env = "TFLOCK_QUIET", value_parser = FalseyValueParser::new(), hide_env_values = true, global = true)]
    pub quiet: bool,

    /// Explain on stderr what tflock does and why
    #[arg(short, long, env = "TFLOCK_LOG", value_parser = FalseyValueParser::new(), hide_env_values = true, global = true)]
    pub verbose: bool,
}

/// `--store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreChoice {
    /// Where the backend locks; files on this machine if it does not
    Auto,
    /// An item in a DynamoDB table
    Dynamodb,
    /// terraform's lock object in S3
    S3,
    /// Files on this machine
    Local,
}

impl StoreChoice {
    /// The choice of that name on the command line.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// Its name on the command line; `None` for the default.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Dynamodb => Some("dynamodb"),
            Self::S3 => Some("s3"),
            Self::Local => Some("local"),
        }
    }
}

/// `--expire-after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The lock never expires.
    Never,
    /// The lock expires after this long without a heartbeat; others may then take it over.
    After(Duration),
}

/// The shortest expiry that heartbeats can keep: the holder renews after a third of it.
const SHORTEST_EXPIRY: Duration = Duration::from_secs(3);

fn patience(text: &str) -> Result<Patience, String> {
    if text == "forever" {
        return Ok(Patience::Forever);
    }
    parse_duration(text)
        .map(Patience::For)
        .map_err(|error| error.to_string())
}

/// A duration that is not zero.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err(format!("`{text}` is no time at all"));
    }
    Ok(duration)
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration < SHORTEST_EXPIRY {
        return Err(format!(
            "`{text}` is too short: heartbeats need at least {} s; or use `never`",
            SHORTEST_EXPIRY.as_secs()
        ));
    }
    Ok(Expiry::After(duration))
}

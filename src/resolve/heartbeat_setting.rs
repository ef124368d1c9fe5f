//! `TFLOCK_S3_HEARTBEAT`: whether lock objects are renewed.

use crate::environment::{Environment, non_empty};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::s3::Renewals;
use crate::text::printable;

/// The variable.
const VARIABLE: &str = "TFLOCK_S3_HEARTBEAT";

/// Its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeartbeatSetting {
    /// On Amazon's own endpoints.
    Auto,
    /// On any server: this one honours conditional writes.
    On,
    /// Nowhere.
    Off,
}

impl HeartbeatSetting {
    /// # Errors
    /// The variable has another value.
    pub(super) fn of(environment: Environment<'_>) -> Result<Self, Failure> {
        let Some(value) = non_empty(environment, VARIABLE) else {
            return Ok(Self::Auto);
        };
        match value.to_str() {
            Some("auto") => Ok(Self::Auto),
            Some("on") => Ok(Self::On),
            Some("off") => Ok(Self::Off),
            _ => Err(Failure::new(
                exit_code::USAGE,
                format!(
                    "`{VARIABLE}` is `{}`, but must be `auto`, `on` or `off`",
                    printable(&value.to_string_lossy())
                ),
            )
            .hint(
                "`auto` renews S3 lock objects on Amazon's own endpoints; `on` says that your server honours `If-Match` \
                 on writes",
            )),
        }
    }

    pub(super) fn renewals(self, access: &AwsAccess) -> Renewals {
        match self {
            Self::Auto if access.s3_is_amazons() => Renewals::On,
            Self::On => Renewals::On,
            Self::Auto | Self::Off => Renewals::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment_of;

    #[test]
    fn the_variable_has_three_values_and_an_empty_one_is_unset() {
        for (value, expected) in [
            (None, Some(HeartbeatSetting::Auto)),
            (Some(""), Some(HeartbeatSetting::Auto)),
            (Some("auto"), Some(HeartbeatSetting::Auto)),
            (Some("on"), Some(HeartbeatSetting::On)),
            (Some("off"), Some(HeartbeatSetting::Off)),
            (Some("ON"), None),
            (Some("1"), None),
            (Some("60s"), None),
        ] {
            let variables: Vec<_> = value.map(|value| (VARIABLE, value)).into_iter().collect();
            let environment = environment_of(&variables);
            let setting = HeartbeatSetting::of(&environment);
            assert_eq!(setting.ok(), expected, "{value:?}");
        }
    }
}

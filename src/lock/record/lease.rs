//! tflock's part of a record: who runs what, from where, and its heartbeat.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lock::hold::Hold;
use crate::system::process::ProcessIdentity;

/// tflock's own part of a record: native attributes beside `Info`, never inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Lease {
    /// The tflock version that wrote the record.
    pub tflock_version: String,
    /// The command as a person would say it: `apply`, `state mv`, `exec make`.
    pub command: String,
    /// `--reason`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The address of the CI run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_url: Option<String>,
    /// The CI run or the checkout that the run comes from; `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    /// Marks the record as a hold, or as that of a run under one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<Hold>,
    /// Counts the renewals; every write of the holder increments it. `None` in stores without heartbeats.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat: Option<u64>,
    /// When it was last renewed, by the holder's clock: for people, never for a decision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat_at: Option<String>,
    /// The longest time between two renewals; `None` means ten seconds if there are heartbeats.
    #[serde(
        rename = "RenewedEverySeconds",
        with = "seconds",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub renewed_every: Option<Duration>,
    /// The holder's promise: after this much silence it has stopped its child and may be replaced.
    #[serde(
        rename = "ExpireAfterSeconds",
        with = "seconds",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub expire_after: Option<Duration>,
    /// Where the holder runs; `None` if the system does not reveal it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holder: Option<HolderProcess>,
}

impl Lease {
    /// The part that every store keeps: not the reason, which is also in the lock info, nor the origin, which may be too long.
    #[must_use]
    pub fn kept_everywhere(&self) -> Self {
        let mut kept = self.without_reason();
        kept.origin = None;
        if let Some(under) = kept.under() {
            under.origin = None;
        }
        kept
    }

    /// The lease without its reason, and without that of the hold that its run works under.
    #[must_use]
    pub fn without_reason(&self) -> Self {
        let mut kept = self.clone();
        kept.reason = None;
        if let Some(under) = kept.under() {
            under.reason = None;
        }
        kept
    }

    fn under(&mut self) -> Option<&mut Self> {
        let hold = self.hold.as_mut()?.under.as_mut()?;
        hold.lease.as_mut()
    }
}

/// Where a holder runs: what another process on the same machine needs to prove it dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HolderProcess {
    /// A hash that identifies the machine across reboots. `None` if there is nothing reliable (in containers, without a
    /// network card): then a reboot proves nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub machine: Option<String>,
    /// The kernel's random ID of this boot.
    pub boot_id: String,
    /// The inode of the PID namespace of the process IDs below.
    pub pid_namespace: u64,
    /// The user that tflock and its child run as: only that user (and root) can look for the child.
    pub uid: u32,
    /// The session that tflock and its child run in. A process that changes its user (`sudo`) stays in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<i32>,
    /// tflock itself.
    #[serde(flatten)]
    pub process: ProcessIdentity,
    /// The program that runs under the lock, once started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub child: Option<ProcessIdentity>,
}

/// The origin of a run: the CI run that it is part of, or the checkout that it works in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Origin {
    /// The CI system; `None` outside CI.
    #[serde(rename = "CI", skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The run's ID in that system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Who started the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The repository's address, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch or tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Durations in seconds, as integers if possible.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) if duration.subsec_nanos() == 0 => {
                serializer.serialize_u64(duration.as_secs())
            }
            Some(duration) => serializer.serialize_f64(duration.as_secs_f64()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_keeps_fractions_of_its_promise() {
        let json = r#"{"TflockVersion":"0","Command":"plan","ExpireAfterSeconds":0.3}"#;
        let lease: Lease = serde_json::from_str(json).unwrap();
        assert_eq!(lease.expire_after, Some(Duration::from_millis(300)));
        assert_eq!(serde_json::to_string(&lease).unwrap(), json);
    }
}

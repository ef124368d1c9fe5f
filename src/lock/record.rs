//! What stands in the store for a held lock: terraform's lock info, byte for byte as Go writes it, and
//! beside it tflock's own lease.
//!
//! Nothing of tflock's ever goes into the `Info` JSON: plain terraform and OpenTofu must be able to read it,
//! and OpenTofu deletes on equality of that very string.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::hold::Hold;

pub use crate::system::process::ProcessIdentity;

/// The ID that one holder gives its lock: terraform's `ID`, unique for each acquisition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockId(pub String);

impl LockId {
    /// An ID in terraform's form: 16 random bytes in hexadecimal, grouped 8-4-4-4-12
    /// (`uuid.GenerateUUID` of hashicorp/go-uuid sets no version bits).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }
}

impl std::fmt::Display for LockId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// terraform's `statemgr.LockInfo`: the seven keys of the `Info` JSON, in terraform's order.
///
/// A key that is missing reads as empty, as Go's `json.Unmarshal` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LockInfo {
    /// Unique for each acquisition.
    #[serde(rename = "ID")]
    pub id: LockId,
    /// terraform's word for what the lock was taken for, such as `OperationTypeApply`.
    pub operation: String,
    /// Free text that every terraform prints with the lock; tflock writes reason and CI run there.
    pub info: String,
    /// `<os user>@<host name>`.
    pub who: String,
    /// The terraform version that locked.
    pub version: String,
    /// RFC 3339 in UTC, up to nine digits of fraction without trailing zeros.
    pub created: String,
    /// What is locked, for people: `<bucket>/<state path>` or a file's path.
    pub path: String,
}

impl Default for LockInfo {
    fn default() -> Self {
        Self {
            id: LockId(String::new()),
            operation: String::new(),
            info: String::new(),
            who: String::new(),
            version: String::new(),
            created: String::new(),
            path: String::new(),
        }
    }
}

impl LockInfo {
    /// The JSON that Go's `json.Marshal` would make of it: one line, terraform's key order, `<`, `>`, `&`,
    /// U+2028 and U+2029 escaped.
    #[must_use]
    pub fn to_go_json(&self) -> String {
        let json = serde_json::to_string(self);
        debug_assert!(json.is_ok(), "a struct of strings always serialises");
        // In JSON, these characters stand in strings only.
        GO_ESCAPES
            .iter()
            .fold(json.unwrap_or_default(), |json, (character, escape)| {
                json.replace(*character, escape)
            })
    }

    /// When the lock was taken, by the holder's clock; `None` where the text is not a time.
    #[must_use]
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        parsed_time(&self.created)
    }
}

/// A time as Go's `time.RFC3339Nano` prints it in UTC: trailing zeros of the fraction trimmed, `Z`.
#[must_use]
pub fn go_time(time: DateTime<Utc>) -> String {
    let full = time.to_rfc3339_opts(SecondsFormat::Nanos, true);
    let trimmed = full
        .trim_end_matches('Z')
        .trim_end_matches('0')
        .trim_end_matches('.');
    format!("{trimmed}Z")
}

/// The time in a text of a record; `None` where it is none.
#[must_use]
pub fn parsed_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc))
}

/// What Go's `encoding/json` escapes and `serde_json` does not: HTML-sensitive characters and the two Unicode line
/// separators.
const GO_ESCAPES: [(char, &str); 5] = [
    ('<', "\\u003c"),
    ('>', "\\u003e"),
    ('&', "\\u0026"),
    ('\u{2028}', "\\u2028"),
    ('\u{2029}', "\\u2029"),
];

/// Where a holder runs: what another process of the same machine needs to prove it dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HolderProcess {
    /// A hash that names this machine across boots; `None` where none can be trusted (containers, no
    /// network card), so that another boot proves nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub machine: Option<String>,
    /// The kernel's random ID of this boot.
    pub boot_id: String,
    /// Inode of the PID namespace that the numbers below belong to.
    pub pid_namespace: u64,
    /// The user that tflock and its child run as: only that user (and root) can look for the child.
    pub uid: u32,
    /// The session that tflock and its child run in; whoever changes its user (`sudo`) stays in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<i32>,
    /// tflock itself.
    #[serde(flatten)]
    pub process: ProcessIdentity,
    /// The program that runs under the lock, once it was started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub child: Option<ProcessIdentity>,
}

/// terraform's part of a record and each attribute of ours. All others are kept as they are in every rewrite: they may be a
/// newer tflock's, or somebody's TTL or tag.
pub const ATTRIBUTES: [&str; 12] = [
    "Info",
    "TflockVersion",
    "Command",
    "Reason",
    "RunUrl",
    "Origin",
    "Hold",
    "Heartbeat",
    "HeartbeatAt",
    "RenewedEverySeconds",
    "ExpireAfterSeconds",
    "Holder",
];

/// tflock's own part of a record: native attributes beside `Info`, never inside of it.
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
    /// Where the CI run can be seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_url: Option<String>,
    /// The CI run, or the checkout, that the run comes from; `None` where nothing is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    /// Makes the record a hold, or that of a run under one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<Hold>,
    /// Counts the renewals; every write of a holder changes it. `None` in stores that are not renewed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat: Option<u64>,
    /// When it was last renewed, by the holder's clock: for people, never for a decision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat_at: Option<String>,
    /// How often it is renewed, at the latest; `None` means every ten seconds where there are heartbeats.
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
    /// Where the holder runs; `None` where the machine cannot tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holder: Option<HolderProcess>,
}

/// Where a run comes from: the CI run that it is part of, or the checkout that it works in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Origin {
    /// The CI system; `None` outside of CI.
    #[serde(rename = "CI", skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What that calls the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Who started it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The repository, without secrets in its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch or tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Durations as seconds, a whole number where they are whole.
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

impl Lease {
    /// What every store keeps of it: not the reason, which is in the lock info as well, nor the origin, which may be too long.
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

/// One record of a store: what terraform wrote or would write, and tflock's lease where tflock wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// The `Info` exactly as it stands in the store; `None` for an item that has no such string.
    pub info: Option<String>,
    /// tflock's part; `None` for a lock of plain terraform.
    pub lease: Option<Lease>,
}

impl Record {
    /// A record that tflock is about to write.
    #[must_use]
    pub fn new(info: &LockInfo, lease: Lease) -> Self {
        Self {
            info: Some(info.to_go_json()),
            lease: Some(lease),
        }
    }

    /// The lock info, where `Info` is there and is one.
    #[must_use]
    pub fn lock_info(&self) -> Option<LockInfo> {
        serde_json::from_str(self.info.as_deref()?).ok()
    }

    /// The holder's lock ID; `None` where it cannot be read or is empty.
    #[must_use]
    pub fn lock_id(&self) -> Option<LockId> {
        self.lock_info()
            .map(|info| info.id)
            .filter(|id| !id.0.is_empty())
    }

    /// Whether this, as it came back from a store, is exactly what was `sent`. Some stores keep no reason beside the one in
    /// `Info`, some have no space for a long origin, and some servers keep no lease at all.
    #[must_use]
    pub fn is_exactly(&self, sent: &Self) -> bool {
        let has_its_lease = match (&self.lease, &sent.lease) {
            (Some(own), Some(sent)) => own.kept_everywhere() == sent.kept_everywhere(),
            (None, _) => true,
            (Some(_), None) => false,
        };
        self.info.is_some() && self.info == sent.info && has_its_lease
    }

    /// Whether both are of one lock, however often it was renewed: terraform's part is the same byte for byte, which tells who
    /// and, to the nanosecond, since when; and so is the process, where both name one. Equal IDs are not enough: machines that
    /// woke from one memory image can draw the same random bytes.
    #[must_use]
    pub fn is_same_lock_as(&self, other: &Self) -> bool {
        let process = |record: &Self| {
            let holder = record.lease.as_ref()?.holder.clone()?;
            Some(HolderProcess {
                child: None,
                ..holder
            })
        };
        let is_one_process = match (process(self), process(other)) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        self.info.is_some() && self.info == other.info && is_one_process
    }

    /// The same record with one more heartbeat, made at `wall` by the holder's clock.
    #[must_use]
    pub fn renewed(&self, wall: DateTime<Utc>) -> Self {
        let mut renewed = self.clone();
        if let Some(lease) = &mut renewed.lease {
            lease.heartbeat = lease.heartbeat.map(|count| count + 1);
            lease.heartbeat_at = lease.heartbeat.map(|_| go_time(wall));
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> LockInfo {
        LockInfo {
            id: LockId("62d1ec43-aa57-55e6-d9b5-0461699f1699".into()),
            operation: "OperationTypeApply".into(),
            info: String::new(),
            who: "root@vm".into(),
            version: "1.11.4".into(),
            created: "2026-11-22T19:36:57.306409176Z".into(),
            path: "bkt/dir/x.tfstate".into(),
        }
    }

    #[test]
    fn info_is_byte_for_byte_what_terraform_wrote() {
        assert_eq!(
            info().to_go_json(),
            r#"{"ID":"62d1ec43-aa57-55e6-d9b5-0461699f1699","Operation":"OperationTypeApply","Info":"","Who":"root@vm","Version":"1.11.4","Created":"2026-11-22T19:36:57.306409176Z","Path":"bkt/dir/x.tfstate"}"#
        );
    }

    #[test]
    fn characters_are_escaped_as_go_does() {
        let mut info = info();
        info.info = "a<b>&c\u{2028}\u{2029}\"\\\n\u{1}\u{8}\u{7f}é".into();
        let json = info.to_go_json();
        assert!(
            json.contains(
                "\"Info\":\"a\\u003cb\\u003e\\u0026c\\u2028\\u2029\\\"\\\\\\n\\u0001\\b\u{7f}é\""
            ),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<LockInfo>(&json).unwrap(), info);
    }

    #[test]
    fn times_are_trimmed_as_go_does() {
        let time = |text: &str| {
            go_time(
                DateTime::parse_from_rfc3339(text)
                    .unwrap()
                    .with_timezone(&Utc),
            )
        };
        assert_eq!(
            time("2026-11-22T19:36:57.120000000Z"),
            "2026-11-22T19:36:57.12Z"
        );
        assert_eq!(time("2026-11-22T19:36:50Z"), "2026-11-22T19:36:50Z");
        assert_eq!(time("2026-11-22T21:36:50+02:00"), "2026-11-22T19:36:50Z");
    }

    #[test]
    fn lock_ids_are_grouped_as_terraform_groups_them() {
        assert_eq!(
            LockId::from_bytes([
                0x62, 0xd1, 0xec, 0x43, 0xaa, 0x57, 0x55, 0xe6, 0xd9, 0xb5, 4, 0x61, 0x69, 0x9f,
                0x16, 0x99
            ])
            .0,
            "62d1ec43-aa57-55e6-d9b5-0461699f1699"
        );
    }

    fn written(info: &LockInfo, process: u32, heartbeat: u64) -> Record {
        let process = ProcessIdentity {
            pid: process,
            start_time: 1,
        };
        let lease = Lease {
            tflock_version: "0".into(),
            command: "apply".into(),
            reason: Some("why".into()),
            run_url: None,
            origin: Some(Origin::default()),
            hold: None,
            heartbeat: Some(heartbeat),
            heartbeat_at: None,
            renewed_every: None,
            expire_after: None,
            holder: Some(HolderProcess {
                machine: None,
                boot_id: "boot".into(),
                pid_namespace: 1,
                uid: 0,
                session: None,
                process,
                child: None,
            }),
        };
        Record::new(info, lease)
    }

    #[test]
    fn an_id_alone_does_not_make_two_records_one_lock() {
        let own = written(&info(), 5, 0);
        let later = LockInfo {
            created: "2026-11-22T19:36:57.306409177Z".into(),
            ..info()
        };
        let of_another = LockInfo {
            who: "root@other".into(),
            ..info()
        };
        let others = [
            written(&later, 5, 0),
            written(&of_another, 5, 0),
            written(&info(), 6, 0),
        ];
        for other in others {
            assert_eq!(other.lock_id(), own.lock_id());
            assert!(!other.is_same_lock_as(&own) && !other.is_exactly(&own));
        }
        let nothing = Record {
            info: None,
            lease: None,
        };
        assert!(!nothing.is_same_lock_as(&nothing) && !nothing.is_exactly(&nothing));
    }

    #[test]
    fn a_renewed_lock_is_the_same_one_but_not_exactly_what_was_sent() {
        let sent = written(&info(), 5, 0);
        let mut renewed = sent.renewed(Utc::now());
        if let Some(holder) = renewed
            .lease
            .as_mut()
            .and_then(|lease| lease.holder.as_mut())
        {
            holder.child = Some(holder.process);
        }
        assert!(renewed.is_same_lock_as(&sent) && !renewed.is_exactly(&sent));
        assert!(sent.is_same_lock_as(&sent) && sent.is_exactly(&sent));
    }

    #[test]
    fn what_a_store_does_not_keep_makes_no_difference() {
        let sent = written(&info(), 5, 0);
        let mut kept = sent.clone();
        if let Some(lease) = &mut kept.lease {
            lease.reason = None;
            lease.origin = None;
        }
        assert!(kept.is_exactly(&sent));
        kept.lease = None;
        assert!(kept.is_exactly(&sent) && !sent.is_exactly(&kept));
    }

    #[test]
    fn an_info_that_is_not_json_has_no_lock_id() {
        let record = Record {
            info: Some("garbage".into()),
            lease: None,
        };
        assert_eq!(record.lock_id(), None);
        assert_eq!(record.lock_info(), None);
    }

    #[test]
    fn a_lease_keeps_fractions_of_its_promise() {
        let json = r#"{"TflockVersion":"0","Command":"plan","ExpireAfterSeconds":0.3}"#;
        let lease: Lease = serde_json::from_str(json).unwrap();
        assert_eq!(lease.expire_after, Some(Duration::from_millis(300)));
        assert_eq!(serde_json::to_string(&lease).unwrap(), json);
    }
}

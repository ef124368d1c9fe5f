//! tflock's lease as an object's user metadata.

use crate::lock::record::{Lease, Record};

/// The name of the metadata with the lease, as JSON.
pub(super) const LEASE: &str = "tflock-lease";

/// The longest header value: S3 accepts 2 kB of user metadata, names included.
const LONGEST: usize = 1900;

/// The longest hold: the rest is for the lease of a run under it.
const LONGEST_HOLD: usize = 1100;

/// Whether the metadata of a run under `hold` has room for it.
pub(super) fn leaves_room(hold: &Record) -> bool {
    let run = Record {
        info: None,
        lease: Some(Lease::default()),
    };
    let under = run.under(hold).lease;
    under.is_none_or(|lease| ascii(&lease.kept_everywhere()).len() <= LONGEST_HOLD)
}

/// A lease as an ASCII header value, without the reason, which is in the body. If that is too long, the origin is left out
/// too: nothing depends on it.
pub(super) fn metadata(lease: &Lease) -> String {
    let whole = ascii(&lease.without_reason());
    if whole.len() <= LONGEST {
        return whole;
    }
    ascii(&lease.kept_everywhere())
}

fn ascii(lease: &Lease) -> String {
    use std::fmt::Write as _;
    let json = serde_json::to_string(lease).unwrap_or_default();
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::record::Origin;

    #[test]
    fn metadata_is_ascii_and_can_be_read_back() {
        let lease = Lease {
            tflock_version: "0.1.0".into(),
            command: "exec müller🦀".into(),
            reason: Some("in the body".into()),
            run_url: None,
            origin: None,
            hold: None,
            heartbeat: None,
            heartbeat_at: None,
            renewed_every: None,
            expire_after: None,
            holder: None,
        };
        let header = metadata(&lease);
        assert!(header.is_ascii());
        let read: Lease = serde_json::from_str(&header).unwrap();
        assert_eq!(read.command, lease.command);
        assert_eq!(read.reason, None);
    }

    #[test]
    fn an_origin_that_does_not_fit_is_left_out() {
        let origin = |actor: String| Lease {
            origin: Some(Origin {
                actor: Some(actor),
                ..Origin::default()
            }),
            ..serde_json::from_str(r#"{"TflockVersion":"0","Command":"apply"}"#).unwrap()
        };
        let short = metadata(&origin("müller".into()));
        let read: Lease = serde_json::from_str(&short).unwrap();
        assert_eq!(read, origin("müller".into()));
        let long = metadata(&origin("ü".repeat(400)));
        assert!(long.len() <= LONGEST);
        let read: Lease = serde_json::from_str(&long).unwrap();
        assert_eq!((read.origin, read.command.as_str()), (None, "apply"));
    }
}

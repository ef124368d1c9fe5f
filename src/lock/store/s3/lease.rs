//! tflock's lease as an object's user metadata.

use crate::lock::record::Lease;

/// The name of the metadata with the lease, as JSON.
pub(super) const LEASE: &str = "tflock-lease";

/// The part of a lease that goes into the metadata: all but the reason, which is in the body.
pub(super) fn kept(lease: &Lease) -> Lease {
    Lease {
        reason: None,
        ..lease.clone()
    }
}

/// A lease as an ASCII header value.
pub(super) fn metadata(lease: &Lease) -> String {
    use std::fmt::Write as _;
    let json = serde_json::to_string(&kept(lease)).unwrap_or_default();
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

    #[test]
    fn metadata_is_ascii_and_can_be_read_back() {
        let lease = Lease {
            tflock_version: "0.1.0".into(),
            command: "exec müller🦀".into(),
            reason: Some("in the body".into()),
            run_url: None,
            heartbeat: None,
            heartbeat_at: None,
            expire_after: None,
            holder: None,
        };
        let header = metadata(&lease);
        assert!(header.is_ascii());
        let read: Lease = serde_json::from_str(&header).unwrap();
        assert_eq!(read.command, lease.command);
        assert_eq!(read.reason, None);
    }
}

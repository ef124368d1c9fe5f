//! tflock's lease as an object's user metadata carries it.

use crate::lock::record::Lease;

/// The user metadata that carries the lease, as JSON.
pub(super) const LEASE: &str = "tflock-lease";

/// What an object keeps of a lease: all but the reason, which the body has.
pub(super) fn kept(lease: &Lease) -> Lease {
    Lease {
        reason: None,
        ..lease.clone()
    }
}

/// A lease as a header can carry it: in ASCII.
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
    fn metadata_is_ascii_and_reads_back() {
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

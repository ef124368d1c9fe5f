//! Removing a lock that somebody else holds, on a person's word: exactly the record that they were shown.

use std::time::Duration;

use super::acquire::Outage;
use super::host::Host;
use super::store::{Store, StoreError, Stored, Swap};

/// How long a removal is tried before it is reported as failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What came of a removal.
#[derive(Debug, PartialEq)]
pub enum Removal {
    /// The record that was shown is gone.
    Removed,
    /// Something else stood there by then (`None`: nothing), and was left alone.
    Changed(Option<Stored>),
}

/// Removes `shown` if it still stands there.
///
/// A heartbeat between the look and the removal counts as a change: whoever still writes is alive.
///
/// # Errors
/// The store's last failure, after fifteen seconds of what may pass.
pub async fn remove(
    store: &dyn Store,
    host: &dyn Host,
    shown: &Stored,
) -> Result<Removal, StoreError> {
    let mut unanswered = false;
    let mut outage = Outage::default();
    loop {
        match store.swap(Some(shown), None).await {
            Ok(Swap::Done(_)) => return Ok(Removal::Removed),
            Ok(Swap::Refused(None)) if unanswered => return Ok(Removal::Removed),
            Ok(Swap::Refused(other)) => return Ok(Removal::Changed(other)),
            Err(error) => {
                unanswered |= error.kind.may_have_been_applied();
                match outage.pause(host, PATIENCE) {
                    Some(pause) if error.kind.is_transient() => host.sleep(pause).await,
                    _ => return Err(error),
                }
            }
        }
    }
}

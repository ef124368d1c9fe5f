//! Waits that a stop request ends.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;

use crate::lock::host::Host;

/// How long a pending attempt gets to finish after a stop request, of the time for withdrawing it: a healthy store answers in milliseconds, and
/// an abandoned attempt may be carried out after we looked for its record.
pub(super) const LEEWAY: Duration = Duration::from_secs(1);

pub(super) async fn sleep_or_stop(
    host: &dyn Host,
    pause: Duration,
    stop: &mut watch::Receiver<bool>,
) {
    tokio::select! {
        biased;
        () = stopped(stop) => {}
        () = host.sleep(pause) => {}
    }
}

/// The outcome of `attempt`; `None` if a stop was requested and it did not finish soon after.
pub(super) async fn unless_stopped<T>(
    host: &dyn Host,
    attempt: impl Future<Output = T>,
    stop: &mut watch::Receiver<bool>,
) -> Option<T> {
    let mut attempt = pin!(attempt);
    tokio::select! {
        biased;
        outcome = &mut attempt => return Some(outcome),
        () = stopped(stop) => {}
    }
    tokio::select! {
        biased;
        outcome = attempt => Some(outcome),
        () = host.sleep(LEEWAY) => None,
    }
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // The sender is gone, so no stop can come.
        std::future::pending::<()>().await;
    }
}

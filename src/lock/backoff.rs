//! Retries against a failing store: how long an attempt may take, how long to pause after a failure, when to give up.

use std::future::Future;
use std::time::Duration;

use super::host::{Host, Instant};
use super::store::{Store, StoreError, StoreErrorKind};

/// The first pause after a failure; it doubles.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause after a failure.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// The least time for an attempt, even when patience has almost run out: a healthy store needs less.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// Consecutive failures.
#[derive(Default)]
pub(super) struct Backoff {
    since: Option<Instant>,
    last_pause: Option<Duration>,
    last_failure: Option<StoreError>,
}

impl Backoff {
    /// Makes one attempt, limited to seven tenths of `patience` or what is left of it: if the connection is silently dead,
    /// there is time for another attempt.
    ///
    /// # Errors
    /// The store's error, or that it did not answer; the previous error if that says more and nothing was sent since.
    pub(super) async fn attempt<T>(
        &mut self,
        host: &dyn Host,
        patience: Duration,
        store: &dyn Store,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let now = host.now();
        let since = *self.since.get_or_insert(now);
        let left = patience.saturating_sub(now.since(since));
        tokio::select! {
            biased;
            answer = request => {
                self.last_failure = answer.as_ref().err().cloned();
                answer
            }
            () = host.sleep(left.min(patience * 7 / 10).max(SHORTEST_ATTEMPT)) => {
                match self.last_failure.take() {
                    Some(failure) if !store.may_have_arrived() => Err(failure),
                    _ => Err(no_answer(store, host.now().since(since))),
                }
            }
        }
    }

    /// The pause before the next attempt; `None` once the outage has lasted `patience`.
    pub(super) fn pause(&mut self, host: &dyn Host, patience: Duration) -> Option<Duration> {
        let now = host.now();
        let since = *self.since.get_or_insert(now);
        let left = patience.saturating_sub(now.since(since));
        if left.is_zero() {
            return None;
        }
        let pause = self
            .last_pause
            .map_or(FIRST_BACKOFF, |last| (last * 2).min(LONGEST_BACKOFF));
        self.last_pause = Some(pause);
        Some(host.jittered(pause).min(left))
    }
}

fn no_answer(store: &dyn Store, waited: Duration) -> StoreError {
    let kind = if store.may_have_arrived() {
        StoreErrorKind::Unreachable
    } else {
        StoreErrorKind::NotCarriedOut
    };
    StoreError {
        action: "the request",
        place: store.place(),
        kind,
        message: format!("no answer for {:.0} s", waited.as_secs_f64()),
        remedy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::store::memory::{Fault, MemoryStore};
    use crate::simulation::Simulation;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_patience() {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        simulation.run(async {
            while let Some(pause) = backoff.pause(&host, PATIENCE) {
                pauses.push(pause);
                host.sleep(pause).await;
            }
        });
        assert_eq!(simulation.elapsed(), PATIENCE);
        pauses.pop();
        let full = [100, 200, 400, 800, 1600].map(Duration::from_millis);
        let longest = std::iter::repeat(LONGEST_BACKOFF);
        for (pause, full) in pauses.iter().zip(full.into_iter().chain(longest)) {
            let shortest = full.mul_f64(0.66);
            assert!((shortest..=full).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn a_silent_store_gets_a_second_attempt_and_no_more_than_the_patience() {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let store = MemoryStore::default();
        store.inject([Fault::Silence; 10]);
        let mut backoff = Backoff::default();
        let messages = simulation.run(async {
            let mut messages = Vec::new();
            loop {
                let attempt = backoff.attempt(&host, PATIENCE, &store, store.read()).await;
                messages.push(attempt.unwrap_err().message);
                match backoff.pause(&host, PATIENCE) {
                    Some(pause) => host.sleep(pause).await,
                    None => return messages,
                }
            }
        });
        assert_eq!(messages, ["no answer for 7 s", "no answer for 10 s"]);
        assert_eq!(simulation.elapsed(), PATIENCE);
    }

    #[test]
    fn a_late_attempt_still_gets_the_time_that_a_healthy_store_needs() {
        let simulation = Simulation::default();
        let host = simulation.machine().tflock();
        let store = MemoryStore::default();
        store.inject([Fault::Silence]);
        let mut backoff = Backoff::default();
        simulation.run(async {
            backoff.pause(&host, PATIENCE);
            host.sleep(PATIENCE).await;
            let attempt = backoff.attempt(&host, PATIENCE, &store, store.read());
            assert!(attempt.await.is_err());
        });
        assert_eq!(simulation.elapsed(), PATIENCE + SHORTEST_ATTEMPT);
    }
}

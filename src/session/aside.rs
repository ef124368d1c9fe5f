//! What goes on beside a run and is worth no delay: taking its ticket out of the queue, and writing its history.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use crate::lock::host::Host;
use crate::lock::queue::Leaving;

/// How long it may still take when the run is over.
const AT_THE_END: Duration = Duration::from_secs(1);

/// What has not ended yet.
#[derive(Default)]
pub(super) struct Aside(Vec<Leaving>);

impl Aside {
    /// Takes up one thing more.
    pub(super) fn add(&mut self, work: Option<Leaving>) {
        self.0.extend(work);
    }

    /// Takes up what another has.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Goes on while `main` does, and ends with it.
    pub(super) async fn beside<T>(&mut self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        poll_fn(|context| {
            self.0
                .retain_mut(|work| work.as_mut().poll(context).is_pending());
            main.as_mut().poll(context)
        })
        .await
    }

    /// Ends it, if it does not take long.
    pub(super) async fn end(mut self, host: &dyn Host) {
        let all = async {
            for work in &mut self.0 {
                work.await;
            }
        };
        tokio::select! {
            biased;
            () = all => {}
            () = host.sleep(AT_THE_END) => {}
        }
    }
}

//! Work that goes on in parallel to a run and must not delay it: removing its ticket from the queue, writing its history.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use crate::lock::host::Host;
use crate::lock::queue::Leaving;

/// How long it may still take after the run.
const AT_THE_END: Duration = Duration::from_secs(1);

/// The work that has not ended yet.
#[derive(Default)]
pub(super) struct Aside(Vec<Leaving>);

impl Aside {
    /// Adds work.
    pub(super) fn add(&mut self, work: Leaving) {
        self.0.push(work);
    }

    /// Takes over the work of another.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Runs `main` to its end, and the work in parallel.
    pub(super) async fn beside<T>(&mut self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        poll_fn(|context| {
            self.0
                .retain_mut(|work| work.as_mut().poll(context).is_pending());
            main.as_mut().poll(context)
        })
        .await
    }

    /// Finishes the work, unless that takes too long.
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

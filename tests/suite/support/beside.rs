//! Threads of a test.

use std::thread::{self, Scope, ScopedJoinHandle};

/// Starts a thread with the name of this one, so that its messages are attributed to the test.
pub fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let thread = thread::Builder::new().name(name);
    thread.spawn_scoped(scope, run).expect("a thread")
}

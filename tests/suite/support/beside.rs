//! Threads of a test.

use std::thread::{self, Scope, ScopedJoinHandle};

/// Starts a thread that bears the name of this one, so that what happens in it is told as the test's.
pub fn beside<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let thread = thread::Builder::new().name(name);
    thread.spawn_scoped(scope, run).expect("a thread")
}

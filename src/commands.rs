//! One file for each command.

pub mod completions;
pub mod exec;
pub mod force_unlock;
pub mod run;
pub mod status;
pub mod version;

/// A current-thread runtime: the child must be started by the thread that lives as long as the process. Threads that hang
/// in the system at the end are not waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

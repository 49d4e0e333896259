//! Runs long work off the engine's thread, which meanwhile reads from other workers and reacts to Ctrl-C.
//!
//! The engine's own thread never reads, hashes, copies or removes large files, and never waits for a lock. Worker
//! processes are started only on that thread: the kernel kills a worker when the *thread* that started it ends, and the
//! threads of this pool come and go.

/// Runs `work` on another thread and returns its result. If the future is dropped, the work continues, and its result
/// is lost.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Only a runtime that shuts down cancels the work, and then this future is not polled any more.
        Err(_) => unreachable!("what has begun is not cancelled"),
    })
}

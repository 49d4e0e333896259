//! Work that may take long, done off the engine's thread: the other stages are listened to meanwhile, and Ctrl-C is heard.
//!
//! On the engine's own thread nothing reads, hashes, copies or removes files of any size, and nothing waits for a lock. A
//! worker's process is the one thing that is started there and nowhere else: the kernel ends a worker with the *thread*
//! that has started it, and the threads of this pool come and go.

/// Does what takes long on a thread of its own. Dropped, it goes on, and its end is not heard of.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Only a runtime that ends cancels it, and then this is not polled any more.
        Err(_) => unreachable!("what has begun is not cancelled"),
    })
}

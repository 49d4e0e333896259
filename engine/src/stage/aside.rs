//! Warnings from where no [`Context`] is at hand: a judge, a reward, a reader of rows.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Context;

/// The attempt of this process, while it runs.
static RUNNING: Mutex<Weak<Context>> = Mutex::new(Weak::new());

/// Says which attempt this process runs.
pub(super) fn run(ctx: &Arc<Context>) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(ctx);
}

/// Warns the user of the attempt that this process runs; where it runs none, the warning goes to the log.
pub fn warn(message: &str) {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    if let Some(ctx) = running {
        ctx.warn(message);
    } else {
        tracing::warn!("{message}");
    }
}

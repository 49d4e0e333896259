//! One stage through its attempts: the lock of its fingerprint, retries with growing pauses.

use std::sync::Arc;
use std::time::Duration;

use store::{Outputs, StageLock, Store};
use tokio::sync::mpsc;

use super::{Halt, Options};
use crate::attempt::{Ended, Failure, Job, Purpose, attempt};
use crate::blocking::off_thread;
use crate::event::Event;

/// Pause before the second attempt; it doubles from then on.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Attempts a stage until it is done, stopped, or out of retries; another process's result is taken if it comes first.
pub(super) async fn work(job: &Arc<Job>, store: &Store, options: &Options, events: &mpsc::Sender<Event>) -> Ended {
    let mut halt = options.halt.clone();
    let locked = tokio::select! {
        locked = lock(job, store, events) => locked,
        // Another process may be at it for hours.
        Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::NotBegun,
    };
    // Held until what is done is recorded.
    let _lock = match locked {
        Ok((_, Some(outputs))) => return Ended::Shared(outputs),
        Ok((lock, None)) => lock,
        Err(error) => return Ended::Failed(Failure::from(error)),
    };
    let stage = || job.stage.name.to_string();
    let mut delay = FIRST_DELAY;
    for number in 1.. {
        match attempt(job, number, store, options, events).await {
            Ended::Failed(failure) if failure.may_retry && number <= job.stage.run.retries => {
                let message = failure.message;
                let _ = events.send(Event::Retrying { stage: stage(), message, delay: delay.as_secs_f64() }).await;
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::NotBegun,
                }
                delay *= 2;
            }
            ended => return ended,
        }
    }
    unreachable!("the loop ends by returning")
}

/// Takes the lock of a stage's fingerprint, and says so where that has to wait for another process; then looks whether that
/// has made the outputs.
async fn lock(
    job: &Arc<Job>,
    store: &Store,
    events: &mpsc::Sender<Event>,
) -> Result<(StageLock, Option<Outputs>), store::Error> {
    let (now, later) = ((Arc::clone(job), store.clone()), (Arc::clone(job), store.clone()));
    let taken = off_thread(move || {
        let (job, store) = now;
        store.try_lock_stage(&job.fingerprint)?.map(|lock| look(&job, &store, lock)).transpose()
    });
    if let Some(taken) = taken.await? {
        return Ok(taken);
    }
    let _ = events.send(Event::Waiting { stage: job.stage.name.to_string() }).await;
    off_thread(move || {
        let (job, store) = later;
        let lock = store.lock_stage(&job.fingerprint)?;
        look(&job, &store, lock)
    })
    .await
}

fn look(job: &Job, store: &Store, lock: StageLock) -> Result<(StageLock, Option<Outputs>), store::Error> {
    let outputs = if job.purpose == Purpose::Forced { None } else { store.fresh_outputs(&job.fingerprint)? };
    Ok((lock, outputs))
}

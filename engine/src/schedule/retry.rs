//! Runs the attempts of one stage: takes its locks, and retries with growing pauses.

use std::sync::Arc;
use std::time::Duration;

use store::{Glance, Outputs, StageLock, Store};
use tokio::sync::mpsc;

use super::queue::trail;
use super::{Halt, Options};
use crate::attempt::{Ended, Job, Purpose, attempt};
use crate::blocking::off_thread;
use crate::event::Event;
use crate::failure::Failure;

/// Pause before the second attempt; it doubles from then on.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Time between two tries to take a lock that another process has.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Attempts a stage until it is done, stopped, or out of retries. If another process completes it first, that result is
/// used.
pub(super) async fn work(job: &Arc<Job>, store: &Store, options: &Options, events: &mpsc::Sender<Event>) -> Ended {
    let mut halt = options.halt.clone();
    let locked = tokio::select! {
        locked = lock(job, store, events) => locked,
        // Another process may hold the lock for hours.
        Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::NotBegun,
    };
    // Held until the result is recorded.
    let _locks = match locked {
        Ok(Err(outputs)) => return Ended::Shared(outputs),
        Ok(Ok(locks)) => locks,
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

/// The locks of a running stage, held until its result is recorded.
struct Locks {
    _fingerprint: StageLock,
    _trail: Arc<StageLock>,
}

/// Takes the locks of a stage: first of its fingerprint, then of the trail that it shares with other stages. Returns
/// the outputs instead if another process has made them meanwhile. Sends an event if it must wait for a lock.
async fn lock(
    job: &Arc<Job>,
    store: &Store,
    events: &mpsc::Sender<Event>,
) -> Result<Result<Locks, Outputs>, store::Error> {
    let fingerprint = match store.try_lock_stage(&job.fingerprint)? {
        Some(lock) => lock,
        None => wait(job, events, || store.try_lock_stage(&job.fingerprint)).await?,
    };
    if job.purpose != Purpose::Forced {
        let outputs = match store.glance(&job.fingerprint)? {
            Glance::Stale => None,
            Glance::Fresh(outputs) => Some(outputs),
            Glance::Unsure => {
                let (store, fingerprint) = (store.clone(), job.fingerprint);
                off_thread(move || store.fresh_outputs(&fingerprint)).await?
            }
        };
        if let Some(outputs) = outputs {
            return Ok(Err(outputs));
        }
    }
    let trail = trail(&job.action);
    let trail = if let Some(lock) = store.try_lock_trail(&trail)? {
        lock
    } else {
        // The wish keeps the other process's newest checkpoint, so that this stage can resume from it.
        let steps = job.action.extent();
        let _wish = steps.map(|steps| store.wish(&job.action.prefix_fingerprint(steps), steps)).transpose()?;
        wait(job, events, || store.try_lock_trail(&trail)).await?
    };
    Ok(Ok(Locks { _fingerprint: fingerprint, _trail: trail }))
}

/// Reports that a stage waits for another process, and tries to take the lock now and then. No thread blocks meanwhile,
/// so a run can be stopped at once.
async fn wait<T>(
    job: &Job,
    events: &mpsc::Sender<Event>,
    mut take: impl FnMut() -> Result<Option<T>, store::Error>,
) -> Result<T, store::Error> {
    let _ = events.send(Event::Waiting { stage: job.stage.name.to_string() }).await;
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if let Some(taken) = take()? {
            return Ok(taken);
        }
    }
}

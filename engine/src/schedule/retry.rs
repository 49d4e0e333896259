//! One stage through its attempts: the lock of its fingerprint, retries with growing pauses.

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

/// Time between two looks at a lock that another process has.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Attempts a stage until it is done, stopped, or out of retries; another process's result is taken if it comes first.
pub(super) async fn work(job: &Arc<Job>, store: &Store, options: &Options, events: &mpsc::Sender<Event>) -> Ended {
    let mut halt = options.halt.clone();
    let locked = tokio::select! {
        locked = lock(job, store, events) => locked,
        // Another process may be at it for hours.
        Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::NotBegun,
    };
    // Held until what is done is recorded.
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

/// What a stage holds while it runs, until what is done is recorded.
struct Locks {
    _fingerprint: StageLock,
    _trail: Arc<StageLock>,
}

/// Takes the locks of a stage: of its fingerprint, then, unless another process has made the outputs meanwhile, of the trail
/// that it shares with others. Where one has to be waited for it says so.
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
        // What the other process keeps meanwhile is worth going on from.
        let steps = job.action.extent();
        let _wish = steps.map(|steps| store.wish(&job.action.prefix_fingerprint(steps), steps)).transpose()?;
        wait(job, events, || store.try_lock_trail(&trail)).await?
    };
    Ok(Ok(Locks { _fingerprint: fingerprint, _trail: trail }))
}

/// Says that a stage waits for another process, and looks now and then whether that is done. No thread waits meanwhile, so
/// a run that is to stop need not wait.
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

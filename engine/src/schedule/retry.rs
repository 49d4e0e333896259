//! One stage through its attempts: the lock of its fingerprint, retries with growing pauses.

use std::time::Duration;

use store::{Digest, StageLock, Store};
use tokio::sync::mpsc;

use super::{Halt, Options};
use crate::attempt::{Ended, Failure, Job, Purpose, attempt};
use crate::event::Event;

/// Pause before the second attempt; it doubles from then on.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Time between two looks at a lock that another process has.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Attempts a stage until it is done, stopped, or out of retries; another process's result is taken if it comes first.
/// What is done is not recorded yet, and must be before the lock is dropped.
pub(super) async fn work(
    job: &Job,
    store: &Store,
    options: &Options,
    events: &mpsc::UnboundedSender<Event>,
) -> (Ended, Option<StageLock>) {
    let stage = job.stage.name.to_string();
    let lock = match lock(store, &job.fingerprint, &stage, events).await {
        Ok(lock) => lock,
        Err(error) => return (Ended::Failed(Failure::from(error)), None),
    };
    if job.purpose != Purpose::Forced
        && let Ok(Some(outputs)) = store.fresh_outputs(&job.fingerprint)
    {
        return (Ended::Shared(outputs), None);
    }
    let mut delay = FIRST_DELAY;
    for number in 1.. {
        let ended = attempt(job, number, store, options, events).await;
        match ended {
            Ended::Failed(failure) if failure.may_retry && number <= job.stage.run.retries => {
                let message = failure.message;
                let _ = events.send(Event::Retrying { stage: stage.clone(), message, delay: delay.as_secs_f64() });
                let mut halt = options.halt.clone();
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = halt.wait_for(|halt| *halt != Halt::Run) => return (Ended::Stopped(0), None),
                }
                delay *= 2;
            }
            ended => return (ended, Some(lock)),
        }
    }
    unreachable!("the loop ends by returning")
}

async fn lock(
    store: &Store,
    fingerprint: &Digest,
    stage: &str,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<StageLock, store::Error> {
    let mut is_told = false;
    loop {
        if let Some(lock) = store.try_lock_stage(fingerprint)? {
            return Ok(lock);
        }
        if !std::mem::replace(&mut is_told, true) {
            let _ = events.send(Event::Waiting { stage: stage.to_owned() });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

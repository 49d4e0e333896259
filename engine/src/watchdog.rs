//! The watchdog: when an attempt has taken too long, has not got on, or is not heard of.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::attempt::Failure;
use crate::worker::protocol::FromWorker;
use crate::workflow::RunOptions;

/// Far enough for an attempt without a limit.
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);

/// Watches one attempt.
pub(crate) struct Watchdog {
    timeout: Duration,
    progress_timeout: Duration,
    silence: Duration,
    begun: Instant,
    heard: Instant,
    progressed: Instant,
}

impl Watchdog {
    pub(crate) fn new(run: &RunOptions, silence: Duration) -> Self {
        let now = Instant::now();
        Self {
            timeout: run.timeout.unwrap_or(NEVER),
            progress_timeout: run.progress_timeout.unwrap_or(NEVER),
            silence,
            begun: now,
            heard: now,
            progressed: now,
        }
    }

    /// Takes note of a message.
    pub(crate) fn hear(&mut self, message: &FromWorker) {
        self.heard = Instant::now();
        if !matches!(message, FromWorker::Alive | FromWorker::Note { .. }) {
            self.progressed = self.heard;
        }
    }

    /// Waits until something is wrong, and says what.
    pub(crate) async fn bark(&self) -> Failure {
        let ends = [
            (
                self.begun + self.timeout,
                "the attempt took longer than its timeout",
                self.timeout,
                "raise `run.timeout`",
            ),
            (
                self.progressed + self.progress_timeout,
                "there was no step within the time of `progress-timeout`",
                self.progress_timeout,
                "raise `run.progress-timeout` if steps take that long",
            ),
            (
                self.heard + self.silence,
                "the worker was not heard of",
                self.silence,
                "the process was stopped, or the machine is far too busy",
            ),
        ];
        let (end, what, limit, cure) = ends.into_iter().min_by_key(|(end, ..)| *end).expect("there are three");
        sleep_until(end).await;
        Failure {
            message: format!("{what}, {} s", limit.as_secs_f64()),
            help: Some(format!("{cure}; the next attempt continues from the last checkpoint")),
            may_retry: true,
        }
    }
}

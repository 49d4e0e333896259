//! The watchdog: detects an attempt that takes too long, makes no progress, or is silent.
//!
//! Time is counted in small ticks while the engine runs. If the engine itself was stopped (by Ctrl-Z, a frozen
//! container, a sleeping laptop) or is late on a busy machine, one tick counts in place of all that it missed: its own
//! absence is not the worker's silence. After a longer absence the worker has its whole time again to send a message.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::worker::protocol::FromWorker;
use crate::workflow::RunOptions;

/// Used as the limit of an attempt without one.
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);

/// Ticks within the shortest limit.
const TICKS: u32 = 20;

/// A tick that comes after more than this many intervals is late.
const LATE: u32 = 3;

/// Absence of the engine after which a worker has its whole time again.
const AWAY: Duration = Duration::from_secs(2);

/// Watches one attempt.
#[derive(Debug)]
pub(crate) struct Watchdog {
    timeout: Duration,
    progress_timeout: Duration,
    silence: Duration,
    /// When the last tick was counted.
    seen: Instant,
    /// Counted time since the attempt began, since its last progress, and since its last message.
    taken: Duration,
    stuck: Duration,
    silent: Duration,
}

impl Watchdog {
    pub(crate) fn new(run: &RunOptions, silence: Duration, now: Instant) -> Self {
        Self {
            timeout: run.timeout.unwrap_or(NEVER),
            progress_timeout: run.progress_timeout.unwrap_or(NEVER),
            silence,
            seen: now,
            taken: Duration::ZERO,
            stuck: Duration::ZERO,
            silent: Duration::ZERO,
        }
    }

    /// Returns the time between two ticks.
    pub(crate) fn pace(&self) -> Duration {
        let shortest = self.timeout.min(self.progress_timeout).min(self.silence);
        (shortest / TICKS).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }

    /// Notes a message. Every message ends the silence; all but `alive`, notes and what is being done also
    /// count as progress.
    pub(crate) fn hear(&mut self, message: &FromWorker) {
        self.silent = Duration::ZERO;
        if !matches!(message, FromWorker::Alive | FromWorker::Note { .. } | FromWorker::Doing { .. }) {
            self.stuck = Duration::ZERO;
        }
    }

    /// Counts a tick, and returns a failure if a limit is exceeded.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Failure> {
        let (passed, pace) = (now.saturating_duration_since(self.seen), self.pace());
        self.seen = now;
        let lived = if passed > pace * LATE { pace } else { passed };
        if passed > AWAY.max(pace * LATE) {
            self.silent = Duration::ZERO;
        }
        for time in [&mut self.taken, &mut self.stuck, &mut self.silent] {
            *time = time.saturating_add(lived);
        }
        let limits = [
            (self.taken, self.timeout, "the attempt took longer than its timeout", "raise `run.timeout`"),
            (
                self.stuck,
                self.progress_timeout,
                "no step was finished within `progress-timeout`",
                "raise `run.progress-timeout` if steps take that long",
            ),
            (
                self.silent,
                self.silence,
                "the worker sent no message",
                "the process was stopped, or the machine is far too busy",
            ),
        ];
        let (_, limit, what, cure) = limits.into_iter().find(|(time, limit, ..)| time >= limit)?;
        Some(Failure {
            help: Some(format!("{cure}; the next attempt continues from the last checkpoint")),
            may_retry: true,
            ..Failure::new(format!("{what}, {} s", limit.as_secs_f64()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A watchdog with the limits of a real run, and its clock.
    struct Watched(Watchdog, Instant);

    impl Watched {
        fn new(run: &RunOptions) -> Self {
            let now = Instant::now();
            Self(Watchdog::new(run, Duration::from_mins(1), now), now)
        }

        /// Ticks for some seconds, and returns after how many of them a limit was exceeded.
        fn live(&mut self, seconds: u32) -> Option<(u32, String)> {
            (1..=seconds).find_map(|second| {
                self.1 += SECOND;
                self.0.tick(self.1).map(|failure| (second, failure.message))
            })
        }

        fn be_away(&mut self, time: Duration) -> Option<Failure> {
            self.1 += time;
            self.0.tick(self.1)
        }
    }

    #[test]
    fn a_silent_worker_is_told_of_after_its_time_and_a_heard_one_never() {
        let mut watched = Watched::new(&RunOptions::default());
        for _ in 0..1_000 {
            assert_eq!(watched.live(10), None);
            watched.0.hear(&FromWorker::Alive);
        }
        assert_eq!(watched.live(100), Some((60, "the worker sent no message, 60 s".to_owned())));
    }

    #[test]
    fn an_absence_of_the_engine_is_no_silence_of_the_worker() {
        for away in [75, 3_600, 1_000_000] {
            let mut watched = Watched::new(&RunOptions::default());
            assert_eq!(watched.live(50), None);
            assert!(watched.be_away(Duration::from_secs(away)).is_none());
            assert_eq!(watched.live(58), None, "it has its whole time again");
            assert_eq!(watched.live(2).map(|(second, _)| second), Some(1));
        }
    }

    #[test]
    fn an_engine_that_is_always_late_still_finds_a_hung_worker() {
        let mut watched = Watched::new(&RunOptions::default());
        // Each tick comes after half a second more than what counts as late, and less than what counts as away.
        watched.0.silence = Duration::from_millis(600);
        let ends = (0..100).position(|_| watched.be_away(Duration::from_millis(1_500)).is_some());
        assert_eq!(ends, Some(19), "twenty ticks of the twentieth part");
    }

    #[test]
    fn timeouts_count_what_was_lived_through() {
        let run = RunOptions {
            timeout: Some(Duration::from_secs(100)),
            progress_timeout: Some(Duration::from_secs(40)),
            ..RunOptions::default()
        };
        let progress =
            || FromWorker::Progress { step: 1, total: 2, unit: "step".to_owned(), metrics: [].into_iter().collect() };
        let mut watched = Watched::new(&run);
        assert_eq!(watched.live(30), None);
        watched.0.hear(&FromWorker::Alive);
        assert!(watched.be_away(Duration::from_hours(1)).is_none());
        let (second, message) = watched.live(30).unwrap();
        assert_eq!((second, message.as_str()), (9, "no step was finished within `progress-timeout`, 40 s"));
        let mut watched = Watched::new(&run);
        for _ in 0..3 {
            assert_eq!(watched.live(30), None);
            watched.0.hear(&progress());
            assert!(watched.be_away(Duration::from_hours(1)).is_none());
        }
        assert_eq!(watched.live(30).unwrap().1, "the attempt took longer than its timeout, 100 s");
    }
}

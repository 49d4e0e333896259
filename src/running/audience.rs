//! Shows a run's events in a separate thread, so that a stopped terminal or a slow reader delays neither the stages nor
//! Ctrl-C.
//!
//! The queue of events is bounded. If it is full, progress and notes are dropped, and all other events wait for room.
//! The thread takes all queued events at once, because ten thousand fresh stages must not wake it ten thousand times.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::event::Event;
use engine::options::Halt;

use crate::ui::Progress;

/// The capacity of the queue, in events.
const WAITING: usize = 4_096;

/// Where a run is shown: on a terminal, or to a reader of JSON.
pub(crate) struct Audience {
    speaker: Speaker,
    thread: JoinHandle<()>,
}

/// A handle that queues events for an [`Audience`].
#[derive(Clone)]
pub(crate) struct Speaker {
    queue: Arc<Queue>,
    json: bool,
}

#[derive(Default)]
struct Queue {
    said: Mutex<Said>,
    /// There is something to show.
    more: Condvar,
    /// There is room for more.
    room: Condvar,
}

#[derive(Default)]
struct Said {
    what: Vec<What>,
    is_over: bool,
    is_awaited: bool,
}

enum What {
    Event(Event),
    /// A stage is fresh. Without JSON only the number of these is shown, so their names need not be copied.
    Fresh,
    Halting(Halt),
}

impl Audience {
    /// Starts the thread; it shows events as JSON if `json`, and details if `verbose`.
    pub(crate) fn begin(json: bool, verbose: bool) -> Self {
        let speaker = Speaker { queue: Arc::default(), json };
        let queue = Arc::clone(&speaker.queue);
        Self { speaker, thread: std::thread::spawn(move || show(&queue, json, verbose)) }
    }

    pub(crate) fn speaker(&self) -> Speaker {
        self.speaker.clone()
    }

    /// Waits until all queued events are shown.
    pub(crate) fn end(self) {
        self.speaker.queue.said().is_over = true;
        self.speaker.queue.more.notify_one();
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Speaker {
    pub(crate) fn event(&self, event: &Event) {
        let is_progress = matches!(event, Event::Progress { .. } | Event::Doing { .. });
        let is_counted = !self.json && matches!(event, Event::Fresh { .. });
        let what = if is_counted { What::Fresh } else { What::Event(event.clone()) };
        self.queue.say(what, !is_progress);
    }

    pub(crate) fn halting(&self, halt: Halt) {
        self.queue.say(What::Halting(halt), false);
    }
}

impl Queue {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event. If the queue is full, waits for room if it `must` be shown, and drops it otherwise.
    fn say(&self, what: What, must: bool) {
        let mut said = self.said();
        while said.what.len() >= WAITING && must {
            said = self.room.wait(said).unwrap_or_else(PoisonError::into_inner);
        }
        if said.what.len() < WAITING {
            said.what.push(what);
        }
        if std::mem::take(&mut said.is_awaited) {
            self.more.notify_one();
        }
    }

    /// Waits for something to show, for so long at most, and takes all of it; `None` at the end.
    fn take(&self, longest: Option<Duration>) -> Option<Vec<What>> {
        let mut said = self.said();
        while said.what.is_empty() && !said.is_over {
            said.is_awaited = true;
            match longest {
                None => said = self.more.wait(said).unwrap_or_else(PoisonError::into_inner),
                Some(longest) => {
                    let waited = self.more.wait_timeout(said, longest).unwrap_or_else(PoisonError::into_inner);
                    said = waited.0;
                    if waited.1.timed_out() {
                        break;
                    }
                }
            }
        }
        if said.what.is_empty() && said.is_over {
            return None;
        }
        let taken = std::mem::take(&mut said.what);
        self.room.notify_all();
        Some(taken)
    }
}

fn show(queue: &Queue, json: bool, verbose: bool) {
    let mut progress = Progress::begin(json, verbose);
    let longest = progress.redraws_after();
    while let Some(said) = queue.take(longest) {
        for what in said {
            match what {
                What::Event(event) => progress.show(&event),
                What::Fresh => progress.count_fresh(),
                What::Halting(halt) => progress.halting(halt),
            }
        }
        progress.redraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_finds_no_room_only_progress_is_left_out() {
        let queue = Queue::default();
        let progress = |step| Event::Progress {
            stage: "a".to_owned(),
            step,
            total: 1,
            unit: "step".to_owned(),
            metrics: [].into(),
        };
        for step in 0..2 * WAITING as u64 {
            queue.say(What::Event(progress(step)), false);
        }
        std::thread::scope(|scope| {
            let end = scope.spawn(|| queue.say(What::Event(Event::Waiting { stage: "a".to_owned() }), true));
            let steps = queue.take(None).unwrap();
            assert_eq!(steps.len(), WAITING);
            end.join().unwrap();
            let last = queue.take(None).unwrap();
            assert!(matches!(last.as_slice(), [What::Event(Event::Waiting { .. })]));
        });
    }
}

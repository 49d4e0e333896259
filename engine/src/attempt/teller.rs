//! Sends the events of an attempt to the engine's loop.
//!
//! The channel is bounded. If the reader falls behind, for example because the terminal is paused, only the newest
//! progress event of a stage is kept and sent later. Any other event waits for room, and the worker waits with it.

use tokio::sync::mpsc;

use crate::event::Event;

/// Most events that wait in the channel.
pub(crate) const WAITING: usize = 1_024;

pub(super) struct Teller {
    events: mpsc::Sender<Event>,
    late: Option<Event>,
}

impl Teller {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, late: None }
    }

    /// Sends a progress event, now or once there is room.
    pub(super) fn progress(&mut self, event: Event) {
        self.late = match self.events.try_send(event) {
            Err(mpsc::error::TrySendError::Full(event)) => Some(event),
            // The channel is closed only when the run is over.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
        };
    }

    /// Sends the progress event that had no room.
    pub(super) fn catch_up(&mut self) {
        if let Some(event) = self.late.take() {
            self.progress(event);
        }
    }

    /// Sends any other event, after the progress event that had no room.
    pub(super) async fn tell(&mut self, event: Event) {
        for event in self.late.take().into_iter().chain([event]) {
            let _ = self.events.send(event).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: u64) -> Event {
        Event::Progress { stage: "a".to_owned(), step, total: 9, unit: "step".to_owned(), metrics: [].into() }
    }

    #[tokio::test]
    async fn of_progress_that_is_not_heard_the_newest_is_kept_and_comes_before_the_end() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut teller = Teller::new(sender);
        (1..=100).for_each(|step| teller.progress(progress(step)));
        assert_eq!(receiver.recv().await, Some(progress(1)));
        assert_eq!(receiver.recv().await, Some(progress(2)));
        let end = Event::Waiting { stage: "a".to_owned() };
        teller.tell(end.clone()).await;
        drop(teller);
        assert_eq!(receiver.recv().await, Some(progress(100)));
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(end), None));
    }
}

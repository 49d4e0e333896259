//! Shows what happens in a run, in a thread of its own: a terminal that stands still, or a reader that does not read, holds up
//! neither the stages nor Ctrl-C.
//!
//! What waits to be shown is bounded. Of progress that comes faster than it can be shown some is left out; all else is shown.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use engine::event::Event;

use crate::ui::{self, Progress};

/// Events that wait to be shown, at most.
const WAITING: usize = 4_096;

/// Those whom a run is shown to.
pub(crate) struct Audience {
    sender: Speaker,
    thread: JoinHandle<()>,
}

/// A way to speak to them.
#[derive(Clone)]
pub(crate) struct Speaker(Arc<SyncSender<Said>>);

enum Said {
    Event(Box<Event>),
    Note(&'static str),
}

impl Audience {
    /// Begins to show; events as JSON if `json`.
    pub(crate) fn begin(json: bool) -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        Self { sender: Speaker(Arc::new(sender)), thread: std::thread::spawn(move || show(&receiver, json)) }
    }

    pub(crate) fn speaker(&self) -> Speaker {
        self.sender.clone()
    }

    /// Waits until all is shown. Every other [`Speaker`] must be gone.
    pub(crate) fn end(self) {
        drop(self.sender);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Speaker {
    pub(crate) fn event(&self, event: &Event) {
        let said = Said::Event(Box::new(event.clone()));
        // It ends before those who speak only by a panic, which is told of at the end.
        if matches!(event, Event::Progress { .. }) {
            let _ = self.0.try_send(said);
        } else {
            let _ = self.0.send(said);
        }
    }

    pub(crate) fn note(&self, text: &'static str) {
        let _ = self.0.try_send(Said::Note(text));
    }
}

fn show(receiver: &Receiver<Said>, json: bool) {
    let mut progress = Progress::begin(json);
    for said in receiver {
        match said {
            Said::Event(event) => progress.show(&event),
            Said::Note(text) => ui::note(text),
        }
    }
}

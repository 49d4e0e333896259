//! Handles the end of a stage (done, failed, refused, left), and what follows for stages that wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use store::{Digest, Outputs};
use tokio::time::Instant;

use super::{Dispatcher, GATHERING};
use crate::attempt::{Ended, Job, Made};
use crate::diagnostic::Severity;
use crate::event::{Event, Level};
use crate::failure::Failure;
use crate::options::Halt;
use crate::pools::needs;
use crate::worker::check::Checked;

impl Dispatcher<'_> {
    pub(super) fn end(&mut self, node: NodeIndex, job: &Job, ended: Ended) {
        self.queue.ended(node);
        let stage = job.stage.name.to_string();
        match ended {
            Ended::Done(made) => self.take_made(node, *made),
            Ended::Shared(outputs) => self.take_fresh(node, job.fingerprint, outputs),
            Ended::Verified(_) => unreachable!("an apply verifies nothing"),
            Ended::Stopped(step) => {
                self.tell(Event::Stopped { stage, step });
                self.leave(node);
            }
            Ended::NotBegun => self.leave(node),
            Ended::Failed(failure) if failure.is_starved && !self.attempts.is_empty() => {
                self.put_back(node, job, failure);
            }
            Ended::Failed(failure) => {
                let log = Some(job.log.display().to_string());
                self.fail(stage, failure.message, failure.help, log);
                self.block_after(node);
            }
        }
    }

    /// Queues a stage again that found no free file descriptor at its start; it waits for another stage to end.
    pub(super) fn put_back(&mut self, node: NodeIndex, job: &Job, failure: Failure) {
        self.slots = self.attempts.len();
        let message = format!("{}; waits until another stage ends", failure.message);
        self.tell(Event::Note { stage: job.stage.name.to_string(), level: Level::Warn, message });
        let needs = needs(&job.stage, self.options.threads);
        self.queue.push(node, Arc::clone(&job.action), job.fingerprint, needs);
    }

    /// Fails a stage that is needed and out of date, but not selected.
    pub(super) fn refuse(&mut self, node: NodeIndex) {
        let stage = self.name(node);
        let message = "it is out of date, and not selected".to_owned();
        let help = Some(format!("bring it up to date first: `--until {stage}`"));
        self.fail(stage, message, help, None);
        self.block_after(node);
    }

    pub(super) fn fail(&mut self, stage: String, message: String, help: Option<String>, log: Option<String>) {
        self.summary.failed.push((stage.clone(), message.clone()));
        self.tell(Event::Failed { stage, message, help, log });
    }

    pub(super) fn take_fresh(&mut self, node: NodeIndex, fingerprint: Digest, outputs: Outputs) {
        // A stage that is needed but not selected is not reported.
        if self.selected.wanted.contains(&node) {
            self.tell(Event::Fresh { stage: self.name(node), fingerprint });
            self.summary.fresh.push(self.name(node));
        }
        self.take(node, fingerprint, outputs);
    }

    pub(super) fn take(&mut self, node: NodeIndex, fingerprint: Digest, outputs: Outputs) {
        self.done.insert(node, outputs);
        self.summary.done.insert(self.name(node), fingerprint);
        for after in self.workflow.graph.neighbors_directed(node, Direction::Outgoing) {
            let Some(count) = self.waiting.get_mut(&after) else { continue };
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&after);
                self.ready.insert(after);
            }
        }
    }

    /// Gives up a stage, and all stages that wait for it.
    pub(super) fn leave(&mut self, node: NodeIndex) {
        self.summary.left.push(self.name(node));
        self.block_after(node);
    }

    pub(super) fn block_after(&mut self, node: NodeIndex) {
        let mut open = vec![node];
        while let Some(by) = open.pop() {
            for after in self.workflow.graph.neighbors_directed(by, Direction::Outgoing) {
                if self.waiting.remove(&after).is_none() {
                    continue;
                }
                let stage = self.name(after);
                if *self.options.halt.borrow() == Halt::Run && !self.summary.is_refused {
                    self.tell(Event::Blocked { stage: stage.clone(), by: self.name(by) });
                }
                self.summary.left.push(stage);
                open.push(after);
            }
        }
    }

    /// Takes a new result. Downstream stages may start while it is still being synced.
    pub(super) fn take_made(&mut self, node: NodeIndex, made: Made) {
        let record = &made.record;
        let (fingerprint, outputs) = (record.fingerprint, record.outputs.iter());
        let outputs = outputs.map(|(name, output)| (name.clone(), output.digest)).collect();
        self.summary.ran.push(record.stage.clone());
        self.told.push(Event::Done { stage: record.stage.clone(), fingerprint, seconds: made.seconds });
        if self.unsynced.is_empty() {
            self.sync_at = Instant::now() + GATHERING;
        }
        self.unsynced.push(made);
        self.take(node, fingerprint, outputs);
    }

    /// Tells what the worker has found about stages. If one stage could not run, no stage runs, because the file must be
    /// changed first.
    pub(super) fn take_checked(&mut self, answers: Vec<(NodeIndex, Checked)>) {
        let (refused, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, checked)| checked.is_refused());
        self.tell_findings(others);
        for (node, _) in &refused {
            self.queue.remove(*node);
            self.waiting.remove(node);
        }
        self.summary.is_refused = !refused.is_empty();
        for (node, checked) in refused {
            let mut errors = checked.findings.into_iter().filter(|finding| finding.severity == Severity::Error);
            let Some(first) = errors.next() else { continue };
            let others: Vec<String> = errors.map(|error| error.message).collect();
            let message = [vec![first.message], others].concat().join("; ");
            self.fail(self.name(node), message, first.help, None);
            self.block_after(node);
        }
        if self.summary.is_refused {
            self.leave_all();
        }
    }

    /// Tells each warning once, also if several stages have it.
    fn tell_findings(&mut self, answers: Vec<(NodeIndex, Checked)>) {
        let mut told = BTreeSet::new();
        for (node, checked) in answers {
            for finding in checked.findings.into_iter().filter(|finding| finding.severity == Severity::Warning) {
                let help = finding.help.map_or_else(String::new, |help| format!("; {help}"));
                let message = format!("{}{help}", finding.message);
                if told.insert(message.clone()) {
                    self.tell(Event::Note { stage: self.name(node), level: Level::Warn, message });
                }
            }
        }
    }

    /// Gives up every stage that has not started.
    pub(super) fn leave_all(&mut self) {
        while let Some(node) = self.queue.pop() {
            self.leave(node);
        }
        if *self.options.halt.borrow() != Halt::Run {
            for node in self.looks.abandon() {
                self.leave(node);
            }
            while let Some(node) = self.ready.pop_first() {
                self.leave(node);
            }
        }
    }
}

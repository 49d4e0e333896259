//! Progress of a run: a live line for each running stage on a terminal, plain lines elsewhere, or events as JSON.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use engine::event::{Event, Level};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Style, complain, duration, json, out, styled, text, visible};

/// Time between two plain lines about one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Metrics for a stage's line, which shows the first of these that the stage has.
const SHOWN: [&str; 4] = ["reward", "loss", "kept_share", "accuracy"];

/// Shows events as they come.
pub(crate) struct Progress {
    json: bool,
    bars: Option<MultiProgress>,
    running: HashMap<String, Running>,
    fresh: usize,
}

struct Running {
    bar: Option<ProgressBar>,
    begun: Instant,
    first_step: u64,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn begin(json: bool) -> Self {
        let bars = (!json && out::is_live()).then(MultiProgress::new);
        // A hidden target would swallow the lines printed above it.
        let bars = bars.filter(|bars| !bars.is_hidden());
        Self { json, bars, running: HashMap::new(), fresh: 0 }
    }

    pub(crate) fn count_fresh(&mut self) {
        self.fresh += 1;
    }

    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            json(&format!("{}\n", serde_json::to_string(event).expect("an event is plain data")));
            return;
        }
        match event {
            Event::RunStarted { .. } | Event::Checkpoint { .. } => {}
            Event::Fresh { .. } => self.count_fresh(),
            Event::Waiting { stage } => self.say(&format!("{stage}: another run is at it; waiting for its result")),
            Event::Started { stage, kind, attempt, resumed_from, .. } => {
                self.started(stage, kind, *attempt, *resumed_from);
            }
            Event::Progress { stage, step, total, unit, metrics } => {
                let shown = SHOWN.iter().find_map(|name| Some(format!(", {name} {:.3}", metrics.get(*name)?)));
                self.progress(stage, *step, *total, unit, &shown.unwrap_or_default());
            }
            Event::Note { stage, level, message } => {
                let style = if *level == Level::Warn { Style::Warn } else { Style::Dim };
                self.say(&styled(&format!("{stage}: {message}"), style));
            }
            Event::Done { stage, seconds, .. } => {
                self.leave(stage);
                self.say(&format!("{} {stage}  {}", styled("done", Style::Good), duration(*seconds)));
            }
            Event::Retrying { stage, message, delay } => {
                self.leave(stage);
                self.say(&styled(&format!("{stage}: {message}; trying again in {}", duration(*delay)), Style::Warn));
            }
            Event::Failed { stage, message, help, log } => {
                self.leave(stage);
                self.say(&format!("{} {stage}: {message}", styled("failed", Style::Bad)));
                if let Some(help) = help {
                    self.say(&format!("       help: {help}"));
                }
                if let Some(log) = log {
                    self.say(&styled(&format!("       log: {log}"), Style::Dim));
                }
            }
            Event::Blocked { stage, by } => self.say(&styled(&format!("blocked {stage}: after {by}"), Style::Dim)),
            Event::Stopped { stage, step } => {
                self.leave(stage);
                self.say(&format!("{} {stage} at step {step}", styled("stopped", Style::Warn)));
            }
            Event::RunFinished { ran, fresh, failed, left, seconds } => {
                self.say(&finished(*ran, *fresh, *failed, *left, *seconds));
            }
        }
    }

    fn started(&mut self, stage: &str, kind: &str, attempt: u32, resumed_from: Option<u64>) {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(1));
            let style = ProgressStyle::with_template("{prefix:24} [{bar:24}] {msg}").expect("a constant template");
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(visible(stage).into_owned());
            bar
        });
        if bar.is_none() {
            let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let from = resumed_from.map_or_else(String::new, |step| format!(", from step {step}"));
            self.say(&format!("start {stage} ({kind}){again}{from}"));
        }
        let now = Instant::now();
        let first_step = resumed_from.unwrap_or(0);
        self.running.insert(stage.to_owned(), Running { bar, begun: now, first_step, last_line: now });
    }

    fn progress(&mut self, stage: &str, step: u64, total: u64, unit: &str, shown: &str) {
        let Some(running) = self.running.get_mut(stage) else { return };
        let speed = (step - running.first_step.min(step)) as f64 / running.begun.elapsed().as_secs_f64().max(1e-9);
        let left = if speed > 0.0 { duration((total - step.min(total)) as f64 / speed) } else { "?".to_owned() };
        let text = format!("{unit} {step}/{total}, {speed:.1}/s{shown}, {left} left");
        if let Some(bar) = &running.bar {
            bar.set_length(total);
            bar.set_position(step);
            bar.set_message(visible(&text).into_owned());
        } else if running.last_line.elapsed() >= PLAIN_EVERY {
            running.last_line = Instant::now();
            self.say(&format!("  {stage}: {text}"));
        }
    }

    fn leave(&mut self, stage: &str) {
        if let Some(Running { bar: Some(bar), .. }) = self.running.remove(stage) {
            bar.finish_and_clear();
        }
    }

    /// Prints a line above the live ones.
    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text::painted(text, out::errors_have_color()))),
            None => complain(&format!("{text}\n")),
        }
    }
}

fn finished(ran: usize, fresh: usize, failed: usize, left: usize, seconds: f64) -> String {
    let mut parts = Vec::new();
    for (count, word) in [(ran, "ran"), (fresh, "fresh"), (failed, "failed"), (left, "left to do")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if ran + failed + left == 0 {
        parts = vec![if fresh == 1 {
            "nothing to do: 1 stage is fresh".to_owned()
        } else {
            format!("nothing to do: {fresh} stages are fresh")
        }];
    }
    format!("{} in {}", parts.join(", "), duration(seconds))
}

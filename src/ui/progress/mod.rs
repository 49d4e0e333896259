//! Progress of a run: a live line for each running stage on a terminal, plain lines elsewhere, or events as JSON.

mod line;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use engine::event::{Event, Level};
use engine::options::Halt;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use line::{RunLine, StageLine};

use super::{Style, complain, duration, json, out, styled, text, visible};

/// Time between two plain lines about one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Metrics for a stage's line, which shows the first of these that the stage has.
pub(crate) const MAIN_METRICS: [&str; 4] = ["reward", "loss", "kept_share", "accuracy"];
/// Columns of the word that a line begins with.
const VERB: usize = 12;

/// Shows events as they come.
pub(crate) struct Progress {
    json: bool,
    /// Whether details are shown.
    verbose: bool,
    bars: Option<MultiProgress>,
    running: HashMap<String, Running>,
    run: Option<(RunLine, Option<ProgressBar>)>,
}

struct Running {
    bar: Option<ProgressBar>,
    line: StageLine,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn begin(json: bool, verbose: bool) -> Self {
        let bars = (!json && out::is_live()).then(MultiProgress::new);
        // A hidden target would swallow the lines printed above it.
        let bars = bars.filter(|bars| !bars.is_hidden());
        Self { json, verbose, bars, running: HashMap::new(), run: None }
    }

    /// Returns the time after which the lines are to be drawn again though nothing has happened.
    pub(crate) fn redraws_after(&self) -> Option<Duration> {
        self.bars.is_some().then_some(Duration::from_millis(500))
    }

    pub(crate) fn count_fresh(&mut self) {
        self.finish(1);
    }

    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            json(&format!("{}\n", serde_json::to_string(event).expect("an event is plain data")));
            return;
        }
        match event {
            Event::RunStarted { stages, .. } => self.run_started(*stages),
            Event::Checkpoint { .. } | Event::Extent { .. } => {}
            Event::Fresh { .. } => self.count_fresh(),
            Event::Waiting { stage } => self.say("Waiting", Style::Dim, &format!("{stage}: another run is at it")),
            Event::Started { stage, kind, attempt, resumed_from, .. } => {
                self.started(stage, kind, *attempt, *resumed_from);
            }
            Event::Doing { stage, what, part } => self.update(stage, |line| line.doing(what, *part, Instant::now())),
            Event::Progress { stage, step, total, unit, metrics } => {
                let metric = MAIN_METRICS.iter().find_map(|name| Some(((*name).to_owned(), *metrics.get(*name)?)));
                self.update(stage, |line| line.step((*step, *total), unit, metric, Instant::now()));
            }
            Event::Note { stage, level, message } => self.note(stage, *level, message),
            Event::Done { stage, seconds, .. } => {
                self.leave(stage);
                self.finish(1);
                self.say("Finished", Style::Good, &format!("{stage} in {}", duration(*seconds)));
            }
            Event::Retrying { stage, message, delay } => {
                self.leave(stage);
                let again = format!("{stage}: {message}; trying again in {}", duration(*delay));
                self.say("Retrying", Style::Warn, &again);
            }
            Event::Failed { stage, message, help, log } => {
                self.leave(stage);
                self.finish(1);
                self.say("Failed", Style::Bad, &format!("{stage}: {message}"));
                if let Some(help) = help {
                    self.say("help:", Style::Strong, help);
                }
                if let Some(log) = log {
                    self.say("log:", Style::Dim, log);
                }
            }
            Event::Blocked { stage, by } => {
                self.finish(1);
                self.say("Blocked", Style::Dim, &format!("{stage}, after {by}"));
            }
            Event::Stopped { stage, step } => {
                self.leave(stage);
                self.say("Stopped", Style::Warn, &format!("{stage} at step {step}{}", self.awaited()));
            }
            Event::RunFinished { ran, fresh, failed, left, seconds } => {
                self.run_finished([*ran, *fresh, *failed, *left], *seconds);
            }
        }
    }

    /// Shows what a signal has asked for.
    pub(crate) fn halting(&mut self, halt: Halt) {
        match halt {
            Halt::Run => {}
            Halt::Stop => {
                let when = "after a checkpoint; again to leave at once";
                self.say("Stopping", Style::Warn, &format!("{when}{}", self.awaited()));
            }
            Halt::Kill => self.say("Leaving", Style::Warn, "at once"),
        }
    }

    /// Draws the lines again, because time has passed.
    pub(crate) fn redraw(&mut self) {
        let (width, now) = (out::width(), Instant::now());
        for Running { bar, line, .. } in self.running.values() {
            draw(bar.as_ref(), &line.live(width, now));
        }
        if let Some((line, bar)) = &self.run {
            draw(bar.as_ref(), &line.live(now));
        }
    }

    fn run_started(&mut self, stages: usize) {
        let bar = self.bars.as_ref().map(|bars| bars.add(bar(Style::Dim)));
        self.run = Some((RunLine::new(stages, Instant::now()), bar));
    }

    fn started(&mut self, stage: &str, kind: &str, attempt: u32, resumed_from: Option<u64>) {
        let bar = self.bars.as_ref().map(|bars| match &self.run {
            Some((_, Some(run))) => bars.insert_before(run, bar(Style::Strong)),
            _ => bars.add(bar(Style::Strong)),
        });
        if bar.is_none() || attempt > 1 || resumed_from.is_some() {
            let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let from = resumed_from.map_or_else(String::new, |step| format!(", from step {step}"));
            self.say("Running", Style::Good, &format!("{stage} ({kind}){again}{from}"));
        }
        let now = Instant::now();
        let line = StageLine::new(stage, resumed_from.unwrap_or(0), now);
        self.running.insert(stage.to_owned(), Running { bar, line, last_line: now });
    }

    fn update(&mut self, stage: &str, change: impl FnOnce(&mut StageLine)) {
        let Some(running) = self.running.get_mut(stage) else { return };
        change(&mut running.line);
        let now = Instant::now();
        if running.bar.is_some() {
            draw(running.bar.as_ref(), &running.line.live(out::width(), now));
        } else if now.duration_since(running.last_line) >= PLAIN_EVERY {
            running.last_line = now;
            let text = running.line.plain(now);
            self.say("", Style::Dim, &text);
        }
    }

    fn note(&self, stage: &str, level: Level, message: &str) {
        let (verb, style) = match level {
            Level::Warn => ("Warning", Style::Warn),
            Level::Info => ("Note", Style::Dim),
            Level::Detail if self.verbose => ("Detail", Style::Dim),
            Level::Detail => return,
        };
        self.say(verb, style, &format!("{stage}: {message}"));
    }

    fn finish(&mut self, stages: usize) {
        if let Some((line, _)) = &mut self.run {
            line.finish(stages);
        }
    }

    fn leave(&mut self, stage: &str) {
        if let Some(Running { bar: Some(bar), .. }) = self.running.remove(stage) {
            bar.finish_and_clear();
        }
    }

    /// Returns which stages still run, and what each is doing.
    fn awaited(&self) -> String {
        let of = |(name, running): (&String, &Running)| match running.line.phase() {
            Some(phase) => format!("{name} ({phase})"),
            None => name.clone(),
        };
        let mut names: Vec<String> = self.running.iter().map(of).collect();
        names.sort_unstable();
        if names.is_empty() { String::new() } else { format!("; waiting for {}", names.join(", ")) }
    }

    fn run_finished(&mut self, counts: [usize; 4], seconds: f64) {
        if let Some((_, Some(bar))) = self.run.take() {
            bar.finish_and_clear();
        }
        print_above(self.bars.as_ref(), &self.broken(&finished(counts, seconds), 0).join("\n"));
    }

    /// Returns a line broken between words, into lines that leave `beside` columns free. Paths stay whole.
    fn broken(&self, line: &str, beside: usize) -> Vec<String> {
        let room = self.bars.as_ref().map(|_| out::width()).or_else(out::plain_room);
        let Some(room) = room else { return vec![line.to_owned()] };
        let options = textwrap::Options::new(room.saturating_sub(beside).max(VERB))
            .break_words(false)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::wrap(line, options).into_iter().map(std::borrow::Cow::into_owned).collect()
    }

    /// Prints a line above the live ones, after a word in a column of its own.
    fn say(&self, verb: &str, style: Style, text: &str) {
        let verb = styled(&format!("{verb:>VERB$}"), style);
        let indent = " ".repeat(VERB + 1);
        let lines: Vec<String> = text.lines().flat_map(|line| self.broken(line, VERB + 1)).collect();
        print_above(self.bars.as_ref(), &format!("{verb} {}", lines.join(&format!("\n{indent}"))));
    }
}

fn bar(style: Style) -> ProgressBar {
    let template = match style {
        Style::Dim => "{msg:.dim}",
        _ => "{msg}",
    };
    ProgressBar::no_length().with_style(ProgressStyle::with_template(template).expect("a constant template"))
}

fn draw(bar: Option<&ProgressBar>, line: &str) {
    if let Some(bar) = bar {
        bar.set_message(visible(line).into_owned());
    }
}

/// Prints text above the live lines, if there are any.
fn print_above(bars: Option<&MultiProgress>, text: &str) {
    match bars {
        Some(bars) => drop(bars.println(text::painted(text, out::errors_have_color()))),
        None => complain(&format!("{text}\n")),
    }
}

/// Returns what became of the stages: how many ran, were fresh, failed, were left.
fn finished([ran, fresh, failed, left]: [usize; 4], seconds: f64) -> String {
    let (done, all) = (ran + fresh, ran + fresh + failed + left);
    if done == all && ran == 0 {
        let are = if fresh == 1 { "1 stage is".to_owned() } else { format!("{fresh} stages are") };
        return format!("nothing to do: {are} fresh in {}", duration(seconds));
    }
    let counts = [(ran, "ran"), (fresh, "fresh"), (failed, "failed"), (left, "left to do")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    format!("{done} of {} done in {}: {counts}", super::count(all, "stage"), duration(seconds))
}

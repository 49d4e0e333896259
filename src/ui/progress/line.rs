//! The line of a running stage, and the line of the run: what is done, how fast, how long it will take.

use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use crate::ui::table::cut;
use crate::ui::{count, duration, number};
use engine::doing::is_of_step;

/// Columns of a bar.
const BAR: usize = 16;
/// The widest name of a stage.
const NAME: usize = 24;

/// A running stage.
#[derive(Clone, Debug)]
pub(super) struct StageLine {
    name: String,
    begun: Instant,
    first_step: u64,
    /// When the first step began: what precedes it says nothing about the speed.
    stepping: Option<Instant>,
    /// When the last step was done.
    stepped: Instant,
    /// Steps done, steps in all, and what a step is.
    steps: Option<(u64, u64, String)>,
    /// The metric that is shown.
    metric: Option<(String, f64)>,
    /// What it does at the moment, and how much of it is done.
    doing: Option<(String, Option<(u64, u64)>)>,
}

impl StageLine {
    pub(super) fn new(name: &str, first_step: u64, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            begun: now,
            first_step,
            stepping: None,
            stepped: now,
            steps: None,
            metric: None,
            doing: None,
        }
    }

    pub(super) fn step(&mut self, (step, total): (u64, u64), unit: &str, metric: Option<(String, f64)>, now: Instant) {
        self.stepped = now;
        self.steps = Some((step, total, unit.to_owned()));
        self.metric = metric.or(self.metric.take());
        self.doing = None;
    }

    pub(super) fn doing(&mut self, what: &str, part: Option<(u64, u64)>, now: Instant) {
        if is_of_step(what) {
            self.stepping.get_or_insert(now);
        }
        self.doing = Some((what.to_owned(), part));
    }

    /// Returns the line for a terminal of `width` columns: what finds no room is left out from the end.
    pub(super) fn live(&self, width: usize, now: Instant) -> String {
        let name = cut(&self.name, NAME.min(width));
        let mut line = format!("{name}{:pad$}", "", pad = NAME - name.width());
        if width >= 2 * NAME + BAR {
            line.push_str(&self.bar());
        }
        let mut separator = "  ";
        for part in self.parts(now) {
            if line.width() + separator.len() + part.width() > width {
                break;
            }
            line.push_str(separator);
            line.push_str(&part);
            separator = ", ";
        }
        line.trim_end().to_owned()
    }

    /// Returns what a plain line says.
    pub(super) fn plain(&self, now: Instant) -> String {
        format!("{}: {}", self.name, self.parts(now).join(", "))
    }

    fn bar(&self) -> String {
        let (step, total) = self.steps.as_ref().map_or((0, 1), |(step, total, _)| (*step, (*total).max(1)));
        let full = (step.min(total) as usize * BAR) / total as usize;
        let head = usize::from(full < BAR);
        format!(" [{}{}{}]", "=".repeat(full), ">".repeat(head), " ".repeat(BAR - full - head))
    }

    /// Returns what there is to say, the most important first.
    fn parts(&self, now: Instant) -> Vec<String> {
        let elapsed = now.saturating_duration_since(self.begun);
        let mut parts = Vec::new();
        let left = self.steps.as_ref().and_then(|steps| self.left(steps, now));
        if let Some((step, total, unit)) = &self.steps {
            parts.push(format!("{unit} {step}/{total}"));
        }
        parts.extend(left.map(|left| format!("{} left", duration(left))));
        parts.extend(self.metric.as_ref().map(|(name, value)| format!("{name} {}", number(*value))));
        parts.extend(self.phase());
        if left.is_none() && self.doing.is_none() && self.steps.is_none() {
            parts.push("starting".to_owned());
        }
        parts.push(duration(elapsed.as_secs_f64()));
        // The time of the step under way says nothing about the speed.
        let of_steps = self.stepped.saturating_duration_since(self.stepping.unwrap_or(self.begun));
        parts.extend(
            self.steps.as_ref().and_then(|(step, _, unit)| pace(step - self.first_step.min(*step), unit, of_steps)),
        );
        parts
    }

    /// Returns what it does at the moment, as in `sampling 37/64`.
    pub(super) fn phase(&self) -> Option<String> {
        let (what, part) = self.doing.as_ref()?;
        let part = part.map_or_else(String::new, |(done, total)| format!(" {done}/{total}"));
        Some(format!("{what}{part}"))
    }

    /// Returns the seconds that are left, once a step is done.
    fn left(&self, (step, total, _): &(u64, u64, String), now: Instant) -> Option<f64> {
        let done = step.saturating_sub(self.first_step);
        let of_steps = self.stepped.saturating_duration_since(self.stepping.unwrap_or(self.begun)).as_secs_f64();
        let since = now.saturating_duration_since(self.stepped).as_secs_f64();
        (done > 0).then(|| (of_steps / done as f64 * total.saturating_sub(*step) as f64 - since).max(0.0))
    }
}

/// Returns the speed in the form that reads best: steps a second, or seconds a step.
fn pace(steps: u64, unit: &str, elapsed: Duration) -> Option<String> {
    let seconds = elapsed.as_secs_f64();
    if steps == 0 || seconds <= 0.0 {
        return None;
    }
    let speed = steps as f64 / seconds;
    Some(if speed >= 1.0 { format!("{speed:.1} {unit}s/s") } else { format!("{} a {unit}", duration(1.0 / speed)) })
}

/// The run as a whole.
#[derive(Clone, Debug)]
pub(super) struct RunLine {
    begun: Instant,
    stages: usize,
    finished: usize,
}

impl RunLine {
    pub(super) fn new(stages: usize, now: Instant) -> Self {
        Self { begun: now, stages, finished: 0 }
    }

    /// Counts stages that are done, or failed, or will not run.
    pub(super) fn finish(&mut self, stages: usize) {
        self.finished += stages;
    }

    pub(super) fn live(&self, now: Instant) -> String {
        let elapsed = duration(now.saturating_duration_since(self.begun).as_secs_f64());
        format!("{} of {} finished, {elapsed}", self.finished, count(self.stages, "stage"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(line: &StageLine, seconds: u64) -> Instant {
        line.begun + Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_says_what_goes_on_before_the_first_step() {
        let mut line = StageLine::new("gsm", 0, Instant::now());
        assert_eq!(line.plain(after(&line, 3)), "gsm: starting, 3.0 s");
        line.doing("loading", None, after(&line, 3));
        assert_eq!(line.plain(after(&line, 12)), "gsm: loading, 12 s");
        line.doing("sampling", Some((37, 64)), after(&line, 12));
        assert_eq!(line.plain(after(&line, 75)), "gsm: sampling 37/64, 1 min 15 s");
    }

    #[test]
    fn seconds_a_step_where_steps_are_slow() {
        let mut line = StageLine::new("rl", 10, Instant::now());
        line.step((12, 20), "step", Some(("reward".to_owned(), 0.5)), after(&line, 30));
        assert_eq!(line.plain(after(&line, 30)), "rl: step 12/20, 2 min 00 s left, reward 0.5, 30 s, 15 s a step");
        // The step under way brings the end nearer, and does not change the speed.
        assert_eq!(line.plain(after(&line, 40)), "rl: step 12/20, 1 min 50 s left, reward 0.5, 40 s, 15 s a step");
        line.step((70, 100), "step", None, after(&line, 30));
        assert_eq!(line.plain(after(&line, 30)), "rl: step 70/100, 15 s left, reward 0.5, 30 s, 2.0 steps/s");
    }

    #[test]
    fn loading_does_not_count_for_the_time_that_is_left() {
        let mut line = StageLine::new("rl", 10, Instant::now());
        line.doing("loading", None, after(&line, 1));
        line.doing("sampling", Some((0, 64)), after(&line, 60));
        line.step((11, 20), "step", None, after(&line, 70));
        assert_eq!(line.plain(after(&line, 70)), "rl: step 11/20, 1 min 30 s left, 1 min 10 s, 10 s a step");
    }

    #[test]
    fn a_line_has_room_for_whole_parts_only() {
        let mut line = StageLine::new("student-distilled", 0, Instant::now());
        line.step((1, 6), "step", Some(("reward".to_owned(), 0.0)), after(&line, 36));
        for width in 1..=160 {
            let text = line.live(width, after(&line, 36));
            assert!(text.width() <= width, "{width}: {text}");
        }
        let at = |width: usize| line.live(width, after(&line, 36));
        assert_eq!(at(80), "student-distilled        [==>             ]  step 1/6, 3 min 00 s left, reward 0");
        assert_eq!(at(60), "student-distilled         step 1/6, 3 min 00 s left");
        assert_eq!(at(8), "stud…led");
    }

    #[test]
    fn the_run_counts_its_stages() {
        let now = Instant::now();
        let mut run = RunLine::new(11, now);
        run.finish(3);
        assert_eq!(run.live(now + Duration::from_secs(124)), "3 of 11 stages finished, 2 min 04 s");
    }
}

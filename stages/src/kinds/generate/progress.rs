//! The samples kept so far, and the counts of completions into and out of each filter.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use engine::diagnostic::{are, count};
use engine::stage::Context;
use serde::Serialize;
use serde_json::{Map, Value, json};
use text::Prompt;

use super::Params;
use super::candidates::Candidate;
use crate::artifacts::{SampleGrade, SampleRow};
use crate::rewards::thought_consistency;
use crate::sampling::Question;
use crate::verifiers::Verify;

/// The state of sampling and filtering.
pub(super) struct Progress {
    /// Prompts processed.
    pub(super) rows: usize,
    pub(super) kept: Vec<SampleRow>,
    counts: Counts,
    /// The first completions that each filter dropped, since they were last taken away.
    dropped: Vec<DroppedRow>,
    /// Digests of the kept samples, for the filter `unique`.
    seen: HashSet<blake3::Hash>,
}

#[derive(Default)]
struct Counts {
    prompts: usize,
    completions: usize,
    gold_unparsed: usize,
    too_long: usize,
    filters: Vec<Filter>,
}

/// Most completions of a filter that are written to the output `dropped`.
const DROPPED: usize = 100;

/// A line of output `dropped`: a completion that did not pass.
#[derive(Serialize)]
pub(super) struct DroppedRow {
    /// The filter that it did not pass.
    filter: String,
    prompt: Prompt,
    completion: String,
    /// The gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// What was compared with it.
    given: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
    /// What the judge gave it, and the end of what it wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    judged: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    format: bool,
    finished: bool,
    tokens: usize,
    source: String,
}

/// Completions in and out of a filter.
#[derive(Serialize)]
struct Filter {
    #[serde(rename = "filter")]
    name: String,
    #[serde(rename = "in")]
    entered: usize,
    #[serde(rename = "out")]
    passed: usize,
}

impl Progress {
    /// Returns an empty state.
    pub(super) fn start(params: &Params) -> Self {
        let limit = params.per_prompt_limit.map(|_| "per-prompt-limit");
        let names = std::iter::once("finished").chain(params.keep.iter().map(|keep| keep.name())).chain(limit);
        let filters = names.map(|name| Filter { name: name.to_owned(), entered: 0, passed: 0 }).collect();
        let counts = Counts { filters, ..Counts::default() };
        Self { rows: 0, kept: Vec::new(), counts, dropped: Vec::new(), seen: HashSet::new() }
    }

    /// Returns whether `limit` is reached.
    pub(super) fn is_full(&self, params: &Params) -> bool {
        params.limit.is_some_and(|limit| self.kept.len() >= limit)
    }

    /// Filters the completions of one prompt. Completions after the last sample of `limit` are not counted, so that
    /// counts do not depend on the chunk size.
    pub(super) fn take(&mut self, question: &Question, completions: &[Candidate], params: &Params) {
        if self.is_full(params) {
            return;
        }
        self.counts.prompts += 1;
        self.counts.too_long += usize::from(completions.is_empty());
        let mut kept_of_prompt = 0;
        for candidate in completions {
            if self.is_full(params) {
                return;
            }
            self.counts.completions += 1;
            if let Some(sample) = self.filtered(question, candidate, params, kept_of_prompt) {
                self.seen.insert(digest(&sample.prompt, &sample.completion));
                self.kept.push(sample);
                kept_of_prompt += 1;
            }
        }
    }

    fn filtered(
        &mut self,
        question: &Question,
        candidate: &Candidate,
        params: &Params,
        kept_of_prompt: usize,
    ) -> Option<SampleRow> {
        let Candidate { drawn, grade, opinion } = candidate;
        self.counts.gold_unparsed += usize::from(grade.gold_unparsed());
        let is_new = !self.seen.contains(&digest(&question.row.prompt, &drawn.text));
        let finished = std::iter::once(candidate.is_whole());
        let chosen = params.keep.iter().map(|keep| keep.passes(question, candidate, params, is_new));
        let room = params.per_prompt_limit.map(|most| kept_of_prompt < most);
        for (filter, passes) in self.counts.filters.iter_mut().zip(finished.chain(chosen).chain(room)) {
            filter.entered += 1;
            if !passes {
                if filter.entered - filter.passed <= DROPPED {
                    self.dropped.push(DroppedRow::of(&filter.name, question, candidate));
                }
                return None;
            }
            filter.passed += 1;
        }
        let language = thought_consistency(&question.row, grade, &drawn.text);
        Some(SampleRow {
            prompt: question.row.prompt.clone(),
            completion: drawn.text.clone(),
            answer: question.row.answer.clone(),
            // Numbers are what a reader without this field expects.
            verify: Some(question.row.verify).filter(|verify| verify.is_checked() && *verify != Verify::NUMBER),
            source: Some(question.source.clone()),
            grade: Some(SampleGrade {
                correct: question.row.verify.is_checked().then_some(grade.correct),
                format: grade.format_ok,
                // Rounded: more digits carry no information.
                language: language.map(|share| (share * 1e4).round() / 1e4),
                judged: opinion.as_ref().map(|opinion| (opinion.score * 1e4).round() / 1e4),
                tokens: drawn.num_tokens,
            }),
        })
    }

    /// Takes away the rows for the output `dropped`.
    pub(super) fn take_dropped(&mut self) -> Vec<DroppedRow> {
        std::mem::take(&mut self.dropped)
    }

    /// Reports progress to the engine.
    pub(super) fn report(&self, ctx: &Context, total: usize, tokens: usize, elapsed: Duration) {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let metrics = BTreeMap::from([
            ("kept".to_owned(), self.kept.len() as f64),
            ("kept_share".to_owned(), share(self.kept.len(), self.counts.completions)),
            ("tokens_per_second".to_owned(), tokens as f64 / elapsed.as_secs_f64().max(1e-9)),
        ]);
        ctx.progress(self.rows as u64, total as u64, "row", metrics);
    }

    /// Warns of what looks wrong with the result.
    pub(super) fn warn(&self, ctx: &Context, params: &Params) {
        if self.counts.gold_unparsed > 0 {
            let (bad, all) = (self.counts.gold_unparsed, self.counts.completions);
            ctx.warn(format!(
                "the gold answers of {bad} of {all} completions do not parse: check `answer-after` and `verify`"
            ));
        }
        if self.counts.too_long > 0 {
            let (long, all) = (self.counts.too_long, self.counts.prompts);
            ctx.warn(format!(
                "{long} of {}, with what stands before, {} longer than the model's positions and left out",
                count(all, "prompt"),
                are(long)
            ));
        }
        match (self.kept.len(), params.limit) {
            // Then there was nothing to filter.
            _ if self.counts.too_long == self.counts.prompts && self.counts.too_long > 0 => {}
            (0, _) => ctx.warn("no completion passed every filter: the summary shows how many each filter dropped"),
            (kept, Some(limit)) if kept < limit => {
                ctx.warn(format!(
                    "kept {kept} of {}: the prompts ran out; raise `completions`",
                    count(limit, "sample")
                ));
            }
            _ => {}
        }
    }

    /// Returns the counts, for the stage's summary.
    pub(super) fn summary(&self) -> Map<String, Value> {
        let mut per_source: HashMap<&str, usize> = HashMap::new();
        for row in &self.kept {
            *per_source.entry(row.source.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let per_source: BTreeMap<_, _> = per_source.into_iter().collect();
        let summary = json!({
            "prompts": self.counts.prompts,
            "prompts-too-long": self.counts.too_long,
            "completions": self.counts.completions,
            "kept": self.kept.len(),
            "kept-by-source": per_source,
            "filters": self.counts.filters,
            "gold-unparsed": self.counts.gold_unparsed,
        });
        summary.as_object().expect("it is written as one").clone()
    }
}

impl DroppedRow {
    fn of(filter: &str, question: &Question, candidate: &Candidate) -> Self {
        let Candidate { drawn, grade, opinion } = candidate;
        let opinion = opinion.as_ref().or(grade.opinion.as_ref());
        Self {
            filter: filter.to_owned(),
            prompt: question.row.prompt.clone(),
            completion: drawn.text.clone(),
            answer: question.row.answer.clone(),
            given: grade.answer.clone(),
            correct: question.row.verify.is_checked().then_some(grade.correct),
            judged: opinion.map(|opinion| opinion.score),
            why: opinion.map(|opinion| opinion.why.clone()),
            format: grade.format_ok,
            finished: drawn.finished,
            tokens: drawn.num_tokens,
            source: question.source.clone(),
        }
    }
}

fn digest(prompt: &Prompt, completion: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let prompt = prompt.key();
    hasher.update(&(prompt.len() as u64).to_le_bytes()).update(prompt.as_bytes()).update(completion.as_bytes());
    hasher.finalize()
}

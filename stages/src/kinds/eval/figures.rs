//! Figures from marks: one set for each suite, and the row of the table over models.

use std::collections::BTreeMap;

use engine::diagnostic::{are, count};
use engine::stage::Context;
use serde::Serialize;
use serde_json::{Map, Value};

use super::marks::{Mark, Marks};
use crate::artifacts::{Column, PromptRow};
use crate::programs::{Failure, Trial};

/// A prompt with the marks of its completions.
pub(super) type Measured<'a> = (&'a PromptRow, &'a Marks);

/// The figures of a suite. Shares and means are over sampled completions, accuracies over prompts with a gold answer,
/// format and thinking over prompts that ask for a thought; a figure without anything to measure is absent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Figures {
    prompts: usize,
    completions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_at_1: Option<f64>,
    /// Standard error of pass@1, clustered by prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_at_1_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cons_at_k: Option<f64>,
    /// k → the chance that one of k completions is right, for the powers of two and for all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pass_at: BTreeMap<usize, f64>,
    /// Share of programs that fail, by the reason of the first case that does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    failures: BTreeMap<&'static str, f64>,
    /// Share of right answers, in any form.
    #[serde(skip_serializing_if = "Option::is_none")]
    right_in_any_form: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    greedy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_tokens: Option<f64>,
    completion_tokens: f64,
    truncated: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hedged: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confident_and_wrong: Option<f64>,
    /// Mean score of the helpfulness model, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    helpful: Option<f64>,
    /// Share of completions that the harmlessness model finds more likely harmless than not.
    #[serde(skip_serializing_if = "Option::is_none")]
    harmless: Option<f64>,
    /// Prompts whose gold answer does not parse: none of their completions can be right.
    gold_unparsed: usize,
    #[serde(skip)]
    asks_for_thought: bool,
}

impl Figures {
    pub(super) fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            other => unreachable!("figures are a table of numbers, not {other:?}"),
        }
    }
}

/// Computes the figures of a suite.
pub(super) fn figures(rows: &[Measured<'_>]) -> Figures {
    let checkable: Vec<Measured<'_>> = rows.iter().copied().filter(|row| row.0.verify.is_checked()).collect();
    let asking: Vec<Measured<'_>> = rows.iter().copied().filter(|row| row.0.verify.wants_thought()).collect();
    let per_prompt: Vec<f64> =
        checkable.iter().filter_map(|(_, marks)| mean(marks.sampled.iter().map(|mark| claim(mark.correct)))).collect();
    let accuracy = (!per_prompt.is_empty()).then(|| text::passk::mean_and_standard_error(&per_prompt));
    Figures {
        prompts: rows.len(),
        completions: sampled(rows).count(),
        pass_at_1: accuracy.map(|(mean, _)| mean),
        pass_at_1_error: accuracy.map(|(_, error)| error),
        cons_at_k: mean(checkable.iter().map(|(_, marks)| claim(vote_is_right(&marks.sampled)))),
        pass_at: pass_at(&checkable),
        failures: failures(&checkable),
        right_in_any_form: mean(sampled(&checkable).map(|mark| claim(mark.right))),
        greedy: mean(checkable.iter().filter_map(|(_, marks)| marks.greedy.as_ref()).map(|mark| claim(mark.correct))),
        format: mean(sampled(&asking).map(|mark| claim(mark.format))),
        thinking_tokens: mean(sampled(&asking).map(|mark| mark.thinking_tokens as f64)),
        completion_tokens: mean(sampled(rows).map(|mark| mark.tokens as f64)).unwrap_or_default(),
        truncated: mean(sampled(rows).map(|mark| claim(!mark.finished))).unwrap_or_default(),
        language: mean(sampled(rows).filter_map(|mark| mark.language)),
        hedged: mean(sampled(&checkable).map(|mark| claim(mark.hedged))),
        confident_and_wrong: mean(sampled(&checkable).map(|mark| claim(mark.confident_and_wrong))),
        helpful: mean(sampled(rows).filter_map(|mark| mark.helpful)),
        harmless: mean(sampled(rows).filter_map(|mark| mark.harmless).map(|share| claim(share > 0.5))),
        gold_unparsed: rows.iter().filter(|(_, marks)| has_bad_gold(marks)).count(),
        asks_for_thought: !asking.is_empty(),
    }
}

/// Returns pass@k of the powers of two up to the number of completions, and of that number.
fn pass_at(rows: &[Measured<'_>]) -> BTreeMap<usize, f64> {
    let most = rows.iter().map(|(_, marks)| marks.sampled.len()).max().unwrap_or_default();
    let powers = std::iter::successors(Some(2), |k| Some(2 * k)).take_while(|k| *k < most);
    let all = powers.chain((most > 1).then_some(most));
    let of = |k: usize| {
        mean(rows.iter().map(|(_, marks)| {
            let right = marks.sampled.iter().filter(|mark| mark.correct).count();
            text::passk::pass_at_k(marks.sampled.len(), right, k)
        }))
    };
    all.filter_map(|k| Some((k, of(k)?))).collect()
}

fn failures(rows: &[Measured<'_>]) -> BTreeMap<&'static str, f64> {
    let trials: Vec<&Trial> = sampled(rows).filter_map(|mark| mark.trial.as_ref()).collect();
    let share = |failure: Failure| {
        let failed = trials.iter().filter(|trial| trial.failure == Some(failure)).count();
        (failed > 0).then(|| (failure.name(), failed as f64 / trials.len() as f64))
    };
    Failure::ALL.into_iter().filter_map(share).collect()
}

fn sampled<'a>(rows: &'a [Measured<'a>]) -> impl Iterator<Item = &'a Mark> {
    rows.iter().flat_map(|(_, marks)| &marks.sampled)
}

fn claim(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn has_bad_gold(marks: &Marks) -> bool {
    marks.all().any(|mark| mark.gold_unparsed)
}

/// Returns whether the most common answer is right (cons@k). Only finished completions vote. The vote is right if a
/// completion gives the winning answer correctly in the asked form.
fn vote_is_right(marks: &[Mark]) -> bool {
    let votes = || marks.iter().filter(|mark| mark.finished && !mark.vote.is_empty());
    let winner = text::passk::majority(votes().map(|mark| Some(mark.vote.as_str())));
    winner.is_some_and(|winner| votes().any(|mark| mark.vote == winner && mark.correct))
}

/// Returns the row of the table over models. The first suite that asks for thoughts has several columns, each other
/// suite with gold answers has one column with its name; helpfulness and harmlessness are means over all suites that
/// have them.
pub(super) fn row(suites: &BTreeMap<String, Figures>) -> Vec<Column> {
    let mut row = Vec::new();
    let mut push = |column: &str, value: Option<f64>, error: Option<f64>| {
        if let Some(value) = value {
            row.push(Column { column: column.to_owned(), value, error });
        }
    };
    let first = suites.iter().find(|(_, figures)| figures.asks_for_thought);
    if let Some((_, figures)) = first {
        push("accuracy", figures.pass_at_1, figures.pass_at_1_error);
        push("greedy", figures.greedy, None);
        push("any form", figures.right_in_any_form, None);
        push("format", figures.format, None);
        push("thinking", figures.thinking_tokens, None);
        push("cut off", Some(figures.truncated), None);
    }
    for (suite, figures) in suites.iter().filter(|(suite, _)| first.is_none_or(|(first, _)| first != *suite)) {
        push(suite, figures.pass_at_1, figures.pass_at_1_error);
    }
    push("helpful", mean(suites.values().filter_map(|figures| figures.helpful)), None);
    push("harmless", mean(suites.values().filter_map(|figures| figures.harmless)), None);
    row
}

/// Warns of what looks wrong with the measurement.
pub(super) fn warn(ctx: &Context, marks: &[Marks]) {
    let bad = marks.iter().filter(|marks| has_bad_gold(marks)).count();
    if bad > 0 {
        ctx.warn(format!(
            "the gold answers of {} do not parse: check `answer-after` and `verify`",
            count(bad, "prompt")
        ));
    }
    let long = marks.iter().filter(|marks| marks.sampled.iter().any(|mark| mark.tokens == 0)).count();
    if long > 0 {
        let (of, are) = (count(marks.len(), "prompt"), are(long));
        ctx.warn(format!("{long} of {of} {are} too long for the model's positions, and counted as not answered"));
    }
    // A prompt that is too long has no completion that could end.
    if long < marks.len() && marks.iter().flat_map(|marks| &marks.sampled).all(|mark| !mark.finished) {
        ctx.warn("no completion ended within `max-tokens`: raise it, or train on data that end");
    }
}

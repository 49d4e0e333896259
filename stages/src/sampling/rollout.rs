//! Sampling from a model during its training: the part that `grpo` and on-policy `distill` share.
//!
//! A completion is a function of (seed, rollout, prompt, index) and the weights, never of its batch.

use engine::diagnostic::{are, count};
use engine::stage::{Context, StageError};
use lm::generate::{Completion, Request, Sampling, generate_until};
use lm::{Kind, Model, Tensor, footprint, memory, no_grad_guard};
use text::Chat;

use super::sampler::told;
use super::{Question, sample_seed};
use crate::chat::of_row;
use crate::tally::{Metrics, Tally};

/// How completions are drawn.
pub(crate) struct Draws {
    pub(crate) seed: u64,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    pub(crate) max_tokens: usize,
    /// Completions of each question.
    pub(crate) group_size: usize,
    /// Completions sampled in parallel.
    pub(crate) side_by_side: usize,
}

/// Returns the requests for a group of completions of each of `chosen`, group by group.
pub(crate) fn requests(
    chat: &Chat,
    questions: &[Question],
    chosen: &[usize],
    draws: &Draws,
    rollout: u64,
) -> Result<Vec<Request>, StageError> {
    let group_size = draws.group_size as u64;
    let mut requests = Vec::with_capacity(chosen.len() * draws.group_size);
    for index in chosen {
        let question = &questions[*index];
        let prompt = of_row(chat.prompt_ids(question.asked()), || question.named())?;
        let first = question.occurrence * group_size;
        requests.extend((first..first + group_size).map(|sample| Request {
            prompt: prompt.clone(),
            seed: sample_seed(draws.seed, rollout, &question.row.prompt.key(), sample),
        }));
    }
    Ok(requests)
}

/// Samples a completion of each request; `take` is called with the index of each and itself as soon as it ends.
pub(crate) fn draw(
    ctx: &Context,
    model: &Model,
    chat: &Chat,
    requests: &[Request],
    draws: &Draws,
    take: &mut dyn FnMut(usize, &Completion),
) -> Result<Vec<Completion>, StageError> {
    let sampling = Sampling {
        temperature: draws.temperature,
        top_p: draws.top_p,
        max_tokens: draws.max_tokens,
        stop: chat.ends.clone(),
        vocabulary: Some(chat.vocabulary()),
        ..Sampling::default()
    };
    let side_by_side = that_fit(ctx, model, requests, draws.max_tokens, draws.side_by_side)?;
    let drawn = told(ctx, ("sampling", requests.len()), |tell| {
        let mut take = |index: usize, completion: &Completion| {
            take(index, completion);
            tell(index, completion)
        };
        generate_until(model, requests, &sampling, side_by_side, &|ids| chat.is_stopped(ids), &mut take)
    })?;
    Ok(drawn)
}

/// The share of the free memory that a KV cache may take.
const OF_FREE: f64 = 0.9;

/// Returns how many completions of at most `max_tokens` tokens can be sampled in parallel: at most `wanted`, a half or a
/// fourth and so on of them where the KV cache of the longest would not fit in the free memory.
pub(crate) fn that_fit(
    ctx: &Context,
    model: &Model,
    requests: &[Request],
    max_tokens: usize,
    wanted: usize,
) -> Result<usize, StageError> {
    let wanted = wanted.min(requests.len()).max(1);
    let longest = requests.iter().map(|request| request.prompt.len()).max().unwrap_or(0) + max_tokens;
    let longest = longest.min(model.config.max_position_embeddings as usize);
    let free = (memory::free(model.device())? as f64 * OF_FREE) as u64;
    let takes = |rows: usize| footprint::cache(&model.config, model.options(), rows, longest);
    let fitting = halves(wanted, |rows| takes(rows) <= free);
    if fitting < wanted {
        let mib = |bytes: u64| bytes >> 20;
        ctx.detail(format!(
            "{fitting} completions are sampled in parallel: the cache of {wanted} takes {} MiB, and {} may be taken",
            mib(takes(wanted)),
            mib(free)
        ));
    }
    Ok(fitting)
}

/// Halves `rows` until they fit; 1 is the least.
fn halves(rows: usize, fits: impl Fn(usize) -> bool) -> usize {
    let halved = std::iter::successors(Some(rows), |rows| (*rows > 1).then_some(rows / 2));
    halved.into_iter().find(|rows| fits(*rows)).unwrap_or(1)
}

/// Drops prompts that are not shorter than `room` tokens, with a warning; `of_what` names the limit in it. Returns the
/// other prompts, and their lengths in tokens.
pub(crate) fn fitting(
    ctx: &Context,
    questions: Vec<Question>,
    chat: &Chat,
    room: i64,
    of_what: &str,
) -> Result<(Vec<Question>, Vec<usize>), StageError> {
    let total = questions.len();
    let mut fitting = Vec::with_capacity(total);
    let (mut lengths, mut first_long) = (Vec::with_capacity(total), None);
    for question in questions {
        let length = of_row(chat.prompt_ids(question.asked()), || question.named())?.len();
        if (length as i64) < room {
            lengths.push(length);
            fitting.push(question);
        } else {
            first_long.get_or_insert(question.row.id);
        }
    }
    let long = total - fitting.len();
    if let Some(first) = first_long {
        let (of, are) = (count(total, "prompt"), are(long));
        ctx.warn(format!("{long} of {of} {are} longer than {of_what} and left out, the first is `{first}`"));
    }
    if fitting.is_empty() {
        return Err(StageError::new(format!("no prompt leaves room in {of_what}")));
    }
    Ok((fitting, lengths))
}

/// Returns the warning that no completion of a rollout ended by itself; the key `key` with value `most` is the limit.
pub(crate) fn none_ended(key: &str, most: usize) -> String {
    format!("no completion ended within `{key}` = {most}: raise it, or teach the model its eos token by SFT first")
}

/// The metric of [`Agreement`] that has a limit.
const MEAN_DIFFERENCE: &str = "sampling/sampling_logp_difference/mean";

/// How far the sampler's log-probs are from those of the forward pass that trains on its tokens.
#[derive(Default)]
pub(crate) struct Agreement {
    tokens: f64,
    difference: f64,
    max: f64,
}

impl Agreement {
    pub(crate) fn add(&mut self, logps: &Tensor, sampled: &Tensor) {
        let _guard = no_grad_guard();
        let difference = (logps - sampled).abs();
        self.tokens += logps.size()[0] as f64;
        self.difference += difference.sum(Kind::Double).double_value(&[]);
        self.max = self.max.max(difference.max().double_value(&[]));
    }

    /// Adds the metrics.
    pub(crate) fn measure(&self, tally: &mut Tally) {
        tally.mean(MEAN_DIFFERENCE, self.difference, self.tokens);
        tally.most_of("sampling/sampling_logp_difference/max", (self.tokens > 0.0).then_some(self.max));
    }

    /// Fails where the mean difference of a step is above `limit`.
    pub(crate) fn check(metrics: &Metrics, limit: f64) -> Result<(), StageError> {
        if let Some(mean) = metrics.get(MEAN_DIFFERENCE).filter(|mean| **mean > limit) {
            return Err(StageError::new(format!(
                "sampler and trainer disagree: their log-probs differ by {mean:.4} a token"
            ))
            .with_help("this is a fault of the numerics, not of the data; `max-logp-difference` sets the limit"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_halved_until_they_fit_and_one_is_always_tried() {
        assert_eq!([100, 64, 63, 20, 0].map(|most| halves(100, |rows| rows <= most)), [100, 50, 50, 12, 1]);
    }
}

//! A model for sampling: takes prompts, returns completions as text.

use std::ops::ControlFlow;

use engine::artifact::Model as ModelMarker;
use engine::stage::{Context, Input, StageError};
use lm::generate::{Completion, Request, Sampling, generate_until};
use lm::{Device, Model};
use text::Chat;

use super::questions::Question;
use super::rollout::that_fit;
use crate::artifacts::{Dtype, load_model};
use crate::chat::of_row;
use crate::device::set_up;

/// Returns the seed of completion `index` of a prompt, sampled after `step` updates. It does not depend on batch
/// position, rank or time.
pub(crate) fn sample_seed(seed: u64, step: u64, prompt: &str, index: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&step.to_le_bytes()).update(&index.to_le_bytes());
    let digest = hasher.update(prompt.as_bytes()).finalize();
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest is longer"))
}

/// What the sampler calls with each completion.
pub(crate) type OnCompletion<'a> = dyn FnMut(usize, &Completion) -> ControlFlow<()> + 'a;

/// Calls `sample` with a callback for each completion, which tells the user how many of `all` are there.
pub(crate) fn told<T>(ctx: &Context, (what, all): (&str, usize), sample: impl FnOnce(&mut OnCompletion<'_>) -> T) -> T {
    let mut done = 0;
    ctx.doing(what, Some((0, all as u64)));
    sample(&mut |_, _| {
        done += 1;
        ctx.doing(what, Some((done, all as u64)));
        ControlFlow::Continue(())
    })
}

/// A sampled completion.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    /// The text, without the end-of-sequence token. It begins with `<think>` even if the template put that into the
    /// prompt, so that readers do not need the template.
    pub(crate) text: String,
    /// Whether it ended by itself.
    pub(crate) finished: bool,
    /// Its length in tokens, the end-of-sequence token included.
    pub(crate) num_tokens: usize,
}

/// A model with its tokenizer, on its device.
pub(crate) struct Sampler<'a> {
    ctx: &'a Context,
    model: Model,
    pub(crate) chat: Chat,
    batch_size: usize,
}

impl<'a> Sampler<'a> {
    pub(crate) fn load(
        ctx: &'a Context,
        input: &Input<ModelMarker>,
        chat: Chat,
        dtype: Option<Dtype>,
        batch_size: usize,
    ) -> Result<Self, StageError> {
        let device = set_up(ctx)?;
        let model = load_model(ctx, input, device, dtype)?;
        Ok(Self { ctx, model, chat, batch_size })
    }

    /// Returns the device of the model.
    pub(crate) fn device(&self) -> Device {
        self.model.device()
    }

    /// Returns settings that know what ends a completion.
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling { stop: self.chat.ends.clone(), vocabulary: Some(self.chat.vocabulary()), ..Sampling::default() }
    }

    /// Returns requests for `completions` completions of `question`.
    pub(super) fn requests(
        &self,
        question: &Question,
        seed: u64,
        completions: usize,
    ) -> Result<Vec<Request>, StageError> {
        let ids = of_row(self.chat.prompt_ids(question.asked()), || question.named())?;
        let first = question.occurrence * completions as u64;
        let seeds =
            (first..first + completions as u64).map(|index| sample_seed(seed, 0, &question.row.prompt.key(), index));
        Ok(seeds.map(|seed| Request { prompt: ids.clone(), seed }).collect())
    }

    /// Returns whether the model has a position left after a prompt.
    pub(super) fn has_room_after(&self, prompt: &[i64]) -> bool {
        (prompt.len() as i64) < self.model.config.max_position_embeddings
    }

    /// Samples a completion of each request; `take` is called with the index of each and a way to its text as soon as it
    /// ends. After a request to stop, those that have begun are sampled to their end, and of the others there is none.
    pub(super) fn sample(
        &self,
        requests: &[Request],
        sampling: &Sampling,
        take: &mut dyn FnMut(usize, &dyn Fn() -> String),
    ) -> Result<Vec<Option<Drawn>>, StageError> {
        let text = |index: usize, completion: &Completion| {
            let request: &Request = &requests[index];
            format!("{}{}", self.chat.opening(&request.prompt), self.chat.completion_text(&completion.ids))
        };
        let what = if sampling.temperature == 0.0 { "greedy" } else { "sampling" };
        let side_by_side = that_fit(self.ctx, &self.model, requests, sampling.max_tokens, self.batch_size)?;
        let completions = told(self.ctx, (what, requests.len()), |tell| {
            let is_ended = |ids: &[i64]| self.chat.is_stopped(ids);
            let mut tell = |index: usize, completion: &Completion| {
                take(index, &|| text(index, completion));
                let _ = tell(index, completion);
                if self.ctx.stop_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            generate_until(&self.model, requests, sampling, side_by_side, &is_ended, &mut tell)
        })?;
        let drawn = completions.iter().enumerate().map(|(index, completion)| {
            (!completion.ids.is_empty()).then(|| Drawn {
                text: text(index, completion),
                finished: completion.finished,
                num_tokens: completion.ids.len(),
            })
        });
        Ok(drawn.collect())
    }
}

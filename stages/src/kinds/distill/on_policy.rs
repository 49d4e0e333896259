//! `method = "on-policy"`: the student samples, and the teacher scores each sampled token (Agarwal et al. 2024, "GKD",
//! section 3, with λ = 1: all data are the student's own).
//!
//! With p the student and q the teacher, both at T = `temperature`, the loss of a step is
//!
//! ```text
//! T² / n  Σ over the n sampled tokens  D(p(· | x, y<t), q(· | x, y<t))        D = KL(p ‖ q)  or  KL(q ‖ p)
//! ```
//! As in GKD the gradient does not flow through the sampling, so this is supervised learning on data that follow the
//! student. KL(p ‖ q), the default, is MiniLLM's (Gu et al. 2024) objective without its long-term part.
//!
//! Departures: the divergence is summed exactly over the vocabulary, where others estimate it from the sampled token;
//! each step samples anew from the current weights.

use engine::artifact::{Model as ModelMarker, Prompts};
use engine::stage::{Context, Input, Outcome, StageError};
use lm::generate::{Completion, Request};
use lm::{Kind, Model, Tensor, footprint, head, loss, no_grad_guard};
use text::Chat;

use super::{Divergence, Params};
use crate::artifacts::TokenRow;
use crate::artifacts::{Vocabulary, load_model};
use crate::chat::load_chat;
use crate::device::set_up;
use crate::sampling::{Agreement, Draws, draw, fitting, none_ended, requests};
use crate::sampling::{Question, questions};
use crate::training::rows::{Order, PassSize, micro_batches, pack};
use crate::training::{CURES, Counts, Cures, Logits, Metrics, Objective, Passes, Tally, Workload, train_rows};

/// Trains the student on its own completions of `prompts`, and writes output `model`.
pub(super) fn learn(
    ctx: &Context,
    student: &Input<ModelMarker>,
    teacher: &Input<ModelMarker>,
    (prompts, eval_prompts): (&[Input<Prompts>], &[Input<Prompts>]),
    params: &Params,
) -> Result<Outcome, StageError> {
    let device = set_up(ctx)?;
    let (chat, new) = params.training.chat(student)?;
    let vocabulary = Vocabulary::of(&chat);
    vocabulary.check_teacher(&Vocabulary::of(&load_chat(teacher, None)?), teacher.name())?;
    let dtype = params.training.optimisation.dtype;
    let model = params.training.model(ctx, student, device, &new)?;
    let teacher = load_model(ctx, teacher, device, dtype)?;
    let (questions, prompts) = with_room(ctx, questions(prompts)?, &chat, (&model, &teacher), params)?;
    let mut objective = OnPolicy {
        ctx,
        model: &model,
        chat: &chat,
        // Heads may be padded to different widths; the columns that both have are compared.
        vocab: model.config.vocab_size.min(teacher.config.vocab_size),
        order: Order::new(params.training.seed, questions.len(), params.training.batch_size),
        teacher,
        questions: &questions,
        prompts,
        is_told: false,
        params,
    };
    let shown = ["loss", "kl", "completions/mean_length", "completions/clipped_ratio"];
    train_rows(ctx, &mut objective, (&model, &chat), &params.training, (questions.len(), eval_prompts), &shown)
}

/// Returns the longest prompt, in tokens, that leaves room for a completion within `max-tokens`.
pub(super) fn longest_prompt(params: &Params) -> Result<usize, StageError> {
    let (row, completion) = (params.training.max_tokens, params.completion_tokens);
    row.checked_sub(completion).filter(|prompt| *prompt > 0).ok_or_else(|| {
        let message =
            format!("`max-tokens` = {row} leaves no room for a prompt before `completion-tokens` = {completion}");
        StageError::new(message).with_help("`max-tokens` counts prompt and completion: raise it")
    })
}

/// Drops prompts whose completions might not fit, and returns the others with their lengths in tokens.
fn with_room(
    ctx: &Context,
    questions: Vec<Question>,
    chat: &Chat,
    (student, teacher): (&Model, &Model),
    params: &Params,
) -> Result<(Vec<Question>, Vec<usize>), StageError> {
    let positions = student.config.max_position_embeddings.min(teacher.config.max_position_embeddings);
    let (prompt, completion) = (longest_prompt(params)? as i64, params.completion_tokens);
    if prompt < positions - completion as i64 {
        let what = format!("the {prompt} tokens that `completion-tokens` leaves of `max-tokens`");
        return fitting(ctx, questions, chat, prompt + 1, &what);
    }
    fitting(
        ctx,
        questions,
        chat,
        positions - completion as i64,
        &format!("the models' {positions} positions less `completion-tokens` = {completion}"),
    )
}

struct OnPolicy<'a> {
    ctx: &'a Context,
    model: &'a Model,
    teacher: Model,
    chat: &'a Chat,
    vocab: i64,
    questions: &'a [Question],
    /// The length of each prompt, in tokens.
    prompts: Vec<usize>,
    order: Order,
    /// Whether the user was told that no completion ends.
    is_told: bool,
    params: &'a Params,
}

/// A prompt with the completion that the student sampled.
struct Sampled {
    row: TokenRow,
    logps: Vec<f32>,
    finished: bool,
}

/// Sums over the sampled tokens of a step.
#[derive(Default)]
struct Sums {
    loss: f64,
    kl: f64,
    agreement: Agreement,
}

impl OnPolicy<'_> {
    fn sample(&mut self, step: u64) -> Result<Vec<Sampled>, StageError> {
        let params = self.params;
        let draws = Draws {
            seed: params.training.seed,
            temperature: params.temperature,
            max_tokens: params.completion_tokens,
            group_size: 1,
            top_p: 1.0,
            side_by_side: params.sampling_batch,
        };
        let chosen = self.order.batch(step);
        let requests = requests(self.chat, self.questions, &chosen, &draws, step)?;
        let drawn = draw(self.ctx, self.model, self.chat, &requests, &draws, &mut |_, _| {})?;
        let sampled: Vec<Sampled> = requests.into_iter().zip(drawn).map(|(asked, came)| joined(asked, came)).collect();
        let ids = || sampled.iter().flat_map(|sampled| &sampled.row.ids);
        if let Some(id) = ids().find(|id| **id >= self.vocab) {
            return Err(StageError::new(format!(
                "the student sampled token {id}, padding that its teacher's head lacks"
            ))
            .with_help("train it on text first: an untrained head finds its padding as likely as words"));
        }
        if !self.is_told && sampled.iter().all(|sampled| !sampled.finished) {
            self.is_told = true;
            self.ctx.warn(none_ended("completion-tokens", params.completion_tokens));
        }
        Ok(sampled)
    }

    /// Adds the gradients of one micro-batch, whose tokens each have weight `weight`.
    fn backward(&self, sampled: &[&Sampled], weight: f64, sums: &mut Sums) {
        let (temperature, vocab) = (self.params.temperature, self.vocab);
        let (packed, starts) = pack(sampled.iter().map(|sampled| &sampled.row));
        let predictions = packed.predictions_from(&starts);
        let (positions, targets) = predictions.to_device(self.model.device());
        let logps: Vec<f32> = sampled.iter().flat_map(|sampled| sampled.logps.iter().copied()).collect();
        let logps = Tensor::from_slice(&logps).to_device(self.model.device());
        let teacher_nd = {
            let _guard = no_grad_guard();
            self.teacher.hidden(&packed).index_select(0, &positions)
        };
        let pass = self.model.pass(&packed, self.params.training.optimisation.gradient_checkpointing);
        let hidden_nd = pass.hidden().index_select(0, &positions);
        sums.loss += head::backward_distributions(
            self.model,
            &hidden_nd,
            vocab,
            temperature,
            head::DISTRIBUTIONS_CHUNK,
            |student_cv, chunk| {
                let teacher_cv = {
                    let _guard = no_grad_guard();
                    head::distributions(&self.teacher, &chunk.of(&teacher_nd), vocab, temperature)
                };
                let chosen = student_cv.detach().gather(1, &chunk.of(&targets).unsqueeze(1), false).squeeze_dim(1);
                sums.agreement.add(&chosen, &chunk.of(&logps));
                let kl = match self.params.divergence {
                    Divergence::Reverse => loss::divergence(student_cv, &teacher_cv),
                    Divergence::Forward => loss::divergence(&teacher_cv, student_cv),
                };
                let kl = kl.sum(Kind::Float);
                sums.kl += kl.double_value(&[]);
                kl * (temperature.powi(2) * weight)
            },
        );
        pass.backward();
    }
}

/// Returns how many tokens were sampled.
fn num_tokens(sampled: &[Sampled]) -> f64 {
    sampled.iter().map(|sampled| sampled.logps.len()).sum::<usize>() as f64
}

fn joined(asked: Request, came: Completion) -> Sampled {
    let start = asked.prompt.len();
    let ids = [asked.prompt, came.ids].concat();
    Sampled { row: TokenRow { ids, start }, logps: came.logprobs, finished: came.finished }
}

impl Objective for OnPolicy<'_> {
    type Batch = Vec<Sampled>;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let completion = self.params.completion_tokens;
        let longest = self.prompts.iter().max().copied().unwrap_or(0) + completion;
        let size = |prompt: &usize| PassSize { tokens: prompt + completion, targets: completion };
        let rows: Vec<PassSize> = self.prompts.iter().map(size).collect();
        let side_by_side = self.params.sampling_batch.min(self.params.training.batch_size);
        Workload {
            model: self.model,
            passes: Passes {
                largest: self.order.largest_passes(&rows, self.params.training.micro_batch_tokens),
                recompute: self.params.training.optimisation.gradient_checkpointing,
                logits: Logits::Distributions(8),
                sampling: footprint::cache(&self.model.config, self.model.options(), side_by_side, longest),
                is_bound: true,
                cures: Cures { sampling: &["sampling-batch", "completion-tokens"], ..CURES },
            },
        }
    }

    fn batch(&mut self, step: u64) -> Result<(Vec<Sampled>, Counts), StageError> {
        let sampled = self.sample(step)?;
        let counts = Counts { rows: sampled.len() as f64, tokens: num_tokens(&sampled) };
        Ok((sampled, counts))
    }

    fn accumulate(&self, sampled: &Vec<Sampled>, whole: Counts) -> Result<Tally, StageError> {
        let lengths: Vec<usize> = sampled.iter().map(|sampled| sampled.row.ids.len()).collect();
        let mut sums = Sums::default();
        for indices in micro_batches(&lengths, self.params.training.micro_batch_tokens) {
            let rows: Vec<&Sampled> = indices.into_iter().map(|index| &sampled[index]).collect();
            self.backward(&rows, 1.0 / whole.tokens, &mut sums);
        }
        let mut tally = Tally::default();
        tally.sum("loss", sums.loss);
        tally.mean("kl", sums.kl, num_tokens(sampled));
        tally.mean_of("completions/mean_length", sampled.iter().map(|sampled| sampled.logps.len() as f64));
        tally.share_of("completions/clipped_ratio", sampled.iter().map(|sampled| !sampled.finished));
        tally.sum("num_tokens", lengths.iter().sum::<usize>() as f64);
        sums.agreement.measure(&mut tally);
        Ok(tally)
    }

    fn check(&mut self, metrics: &Metrics) -> Result<(), StageError> {
        Agreement::check(metrics, self.params.max_logp_difference)
    }
}

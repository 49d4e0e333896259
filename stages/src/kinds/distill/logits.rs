//! `method = "logits"`: the student matches the teacher's distribution at each token of given samples.
//!
//! The artifact stores the teacher's k likeliest tokens S and the probability of all others together. Both
//! distributions are therefore coarsened to k + 1 outcomes: p̄(i) = p(i) for i in S, p̄(rest) = 1 − Σ over S. With q
//! the teacher, p the student, T = `temperature` and w = `text-weight`, the loss of a token y is
//!
//! ```text
//! (1 − w) T² Σ_{i in S, rest} q̄_T(i) ln (q̄_T(i) / p̄_T(i))  −  w ln p(y)        r̄_T(i) = r̄(i)^(1/T) / Σ_j r̄(j)^(1/T)
//! ```
//! averaged over the learnt tokens of the batch: Hinton et al. 2015, section 2. The divergence is 0 only if teacher and
//! student agree on all k + 1 outcomes. Without the rest, the student would learn to give it no probability.
//!
//! Both distributions are over the whole head. Teacher and student may be padded to different widths: padding is part
//! of the rest.
//!
//! Departure: if T is not 1, the rest is softened as a single outcome, because its tokens' probabilities are not
//! stored.

use engine::artifact::{Logits as LogitsMarker, Model as ModelMarker, Prompts};
use engine::diagnostic::{are, count};
use engine::stage::{Context, Input, Outcome, StageError};
use lm::{Kind, Model, Tensor, head, loss};

use super::Params;
use crate::artifacts::{LogitsRows, Vocabulary};
use crate::device::set_up;
use crate::training::rows::{Order, micro_batches, pack_rows, sizes};
use crate::training::{Counts, Logits, Objective, Passes, Tally, Workload, train_rows};

/// Trains the student on `logits`, and writes output `model`.
pub(super) fn learn(
    ctx: &Context,
    student: &Input<ModelMarker>,
    (logits, eval_prompts): (&[Input<LogitsMarker>], &[Input<Prompts>]),
    params: &Params,
) -> Result<Outcome, StageError> {
    let device = set_up(ctx)?;
    let (chat, new) = params.training.chat(student)?;
    let vocabulary = Vocabulary::of(&chat);
    let place = (ctx.dir(), params.training.max_tokens);
    let data = LogitsRows::open(logits, place, |index, name| {
        vocabulary.check_teacher(&index.vocabulary, name)?;
        if !vocabulary.has_same_template(&index.vocabulary) {
            ctx.warn(format!(
                "the teacher of `{name}` has another chat template than the student, which learns to answer prompts in the \
                 teacher's and keeps its own"
            ));
        }
        Ok(())
    })?;
    tell_long_rows(ctx, &data, params.training.max_tokens)?;
    let model = params.training.model(ctx, student, device, &new)?;
    let mut objective = FromLogits {
        model: &model,
        data: &data,
        order: Order::new(params.training.seed, data.rows.len(), params.training.batch_size),
        params,
    };
    train_rows(ctx, &mut objective, (&model, &chat), &params.training, (data.rows.len(), eval_prompts), &["loss", "kl"])
}

fn tell_long_rows(ctx: &Context, data: &LogitsRows, max_tokens: usize) -> Result<(), StageError> {
    if data.long > 0 {
        let (long, total) = (data.long, data.rows.len() + data.long);
        ctx.warn(format!(
            "{long} of {} {} longer than {max_tokens} tokens and dropped: raise `max-tokens` to keep them",
            count(total, "row"),
            are(long)
        ));
    }
    if data.rows.len() == 0 {
        return Err(StageError::new(format!("no row is short enough for `max-tokens` = {max_tokens}")));
    }
    Ok(())
}

struct FromLogits<'a> {
    model: &'a Model,
    data: &'a LogitsRows,
    order: Order,
    params: &'a Params,
}

/// Sums over the learnt tokens of a batch.
#[derive(Default)]
struct Sums {
    loss: f64,
    kl: f64,
    cross_entropy: f64,
}

impl FromLogits<'_> {
    /// Adds the gradients of one micro-batch, whose tokens each have weight `weight`.
    fn backward(&self, rows: &[usize], weight: f64, sums: &mut Sums) -> Result<(), StageError> {
        let Params { temperature, text_weight, .. } = *self.params;
        let (packed, starts) = pack_rows(&self.data.rows, rows)?;
        let predictions = packed.predictions_from(&starts);
        let on_device = |tensor: Tensor| tensor.to_device(self.model.device());
        let (positions, targets) = predictions.to_device(self.model.device());
        let pass = self.model.pass(&packed, self.params.training.optimisation.gradient_checkpointing);
        let hidden_nd = pass.hidden().index_select(0, &positions);
        let (tokens_nk, teacher_nk) = self.data.likeliest(rows)?;
        let (tokens_nk, teacher_nk) = (on_device(tokens_nk), loss::tempered(&on_device(teacher_nk), temperature));
        sums.loss += head::backward_distributions(
            self.model,
            &hidden_nd,
            self.model.config.vocab_size,
            1.0,
            head::DISTRIBUTIONS_CHUNK,
            |log_probs_cv, chunk| {
                let student_ck = loss::tempered(&loss::with_rest(log_probs_cv, &chunk.of(&tokens_nk)), temperature);
                let kl = loss::divergence(&chunk.of(&teacher_nk), &student_ck).sum(Kind::Float);
                sums.kl += kl.double_value(&[]);
                let mut total = kl * (temperature.powi(2) * (1.0 - text_weight));
                if text_weight > 0.0 {
                    let cross_entropy =
                        -log_probs_cv.gather(1, &chunk.of(&targets).unsqueeze(1), false).sum(Kind::Float);
                    sums.cross_entropy += cross_entropy.double_value(&[]);
                    total += cross_entropy * text_weight;
                }
                total * weight
            },
        );
        pass.backward();
        Ok(())
    }
}

impl Objective for FromLogits<'_> {
    /// Indices of rows.
    type Batch = Vec<usize>;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let rows = sizes(&self.data.rows);
        Workload {
            model: self.model,
            passes: Passes {
                largest: self.order.largest_passes(&rows, self.params.training.micro_batch_tokens),
                recompute: self.params.training.optimisation.gradient_checkpointing,
                logits: Logits::Distributions(6),
                sampling: 0,
                is_bound: false,
                cures: crate::training::CURES,
            },
        }
    }

    fn batch(&mut self, step: u64) -> Result<(Vec<usize>, Counts), StageError> {
        let batch = self.order.batch(step);
        let tokens = batch.iter().map(|index| self.data.rows.num_targets(*index)).sum::<usize>() as f64;
        let counts = Counts { rows: batch.len() as f64, tokens };
        Ok((batch, counts))
    }

    fn accumulate(&self, batch: &Vec<usize>, whole: Counts) -> Result<Tally, StageError> {
        let lengths: Vec<usize> = batch.iter().map(|index| self.data.rows.length(*index)).collect();
        let weight = 1.0 / whole.tokens.max(1.0);
        let mut sums = Sums::default();
        for indices in micro_batches(&lengths, self.params.training.micro_batch_tokens) {
            let rows: Vec<usize> = indices.into_iter().map(|index| batch[index]).collect();
            self.backward(&rows, weight, &mut sums)?;
        }
        let num_targets = batch.iter().map(|index| self.data.rows.num_targets(*index)).sum::<usize>() as f64;
        let mut tally = Tally::default();
        tally.sum("loss", sums.loss);
        tally.mean("kl", sums.kl, num_targets);
        tally.sum("num_tokens", lengths.iter().sum::<usize>() as f64);
        if self.params.text_weight > 0.0 {
            tally.mean("cross_entropy", sums.cross_entropy, num_targets);
        }
        Ok(tally)
    }
}

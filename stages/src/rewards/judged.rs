//! Rewards `judge.NAME`: the opinion of a judge, a model that reads an answer with a rubric.
//!
//! ```toml
//! [grpo.alignment-rl.rewards.judge.polite]
//! model  = "inputs.judge"
//! rubric = "Is the answer polite?"
//! weight = 0.5
//! ```

use engine::stage::StageError;

use super::{Graded, Reward};
use crate::judges::{Judge, JudgeKeys};
use crate::loading::Loading;
use crate::opinions::{Asked, Case};

/// Loads the judge.
pub(super) fn load(keys: &JudgeKeys, loading: &Loading<'_>) -> Result<Box<dyn Reward>, StageError> {
    Ok(Box::new(Judged(Judge::load(keys, loading.device, loading.offload, loading.seed)?)))
}

struct Judged(Judge);

impl Reward for Judged {
    fn score(&self, rows: &[&Graded<'_>]) -> Result<Vec<Option<f64>>, StageError> {
        // A truncated completion scores 0, however well it begins. There is nothing to compare with without a gold
        // answer, so a comparison does not apply.
        let applies = |row: &&Graded<'_>| row.scored.prompt.answer.is_some() || !self.0.compares();
        let mut scores: Vec<Option<f64>> = rows.iter().map(|row| applies(row).then_some(0.0)).collect();
        let judged: Vec<usize> =
            (0..rows.len()).filter(|index| scores[*index].is_some() && rows[*index].scored.finished).collect();
        let cases: Vec<Case<'_>> = judged
            .iter()
            .map(|index| {
                let scored = &rows[*index].scored;
                let gold = scored.prompt.answer.as_deref();
                Case { prompt: &scored.prompt.prompt, completion: scored.completion, gold }
            })
            .collect();
        for (index, opinion) in judged.into_iter().zip(self.0.opinions(&cases)?) {
            scores[index] = Some(opinion.score);
        }
        Ok(scores)
    }
}

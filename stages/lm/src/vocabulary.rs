//! More tokens for a model: rows of the embedding, and of the head if it is not the embedding.

use serde_json::json;
use tch::{Kind, Tensor};

use crate::model::Model;
use crate::models::Head;
use crate::weights::Weights;

const EMBEDDING: &str = "model.embed_tokens.weight";

/// A token that a model is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its id.
    pub id: i64,
    /// The ids that its text had before, at least one.
    pub pieces: Vec<i64>,
}

impl Model {
    /// Returns the model with rows for new tokens, each the mean of its pieces' rows. The embedding grows if it has too
    /// few rows; rows that it already has for these ids, as padding, are overwritten.
    ///
    /// # Panics
    /// On a piece outside the vocabulary, or a token without pieces.
    #[must_use]
    pub fn with_new_tokens(self, tokens: &[NewToken]) -> Self {
        let Some(last) = tokens.iter().map(|token| token.id).max() else { return self };
        let _guard = tch::no_grad_guard();
        let (mut config, options) = (self.config.clone(), self.options());
        config.vocab_size = config.vocab_size.max(last + 1);
        config.set("vocab_size", json!(config.vocab_size));
        let heads = [EMBEDDING, Head::Vocabulary.weight_name(&config)];
        let parameters = self.parameters().iter().map(|(name, tensor)| {
            let tensor = if heads.contains(&name.as_str()) {
                with_rows(tensor, config.vocab_size, tokens)
            } else {
                tensor.shallow_clone()
            };
            (name.clone(), tensor)
        });
        let weights = Weights::copies(parameters.collect::<Vec<_>>(), options);
        Self::built(config, weights, Head::Vocabulary, options)
    }
}

/// Returns a matrix [v, d] with `rows` rows, those of new tokens set.
fn with_rows(weights_vd: &Tensor, rows: i64, tokens: &[NewToken]) -> Tensor {
    let size = weights_vd.size();
    let more = Tensor::zeros([rows - size[0], size[1]], (weights_vd.kind(), weights_vd.device()));
    let wider_vd = Tensor::cat(&[weights_vd.detach(), more], 0);
    for token in tokens {
        let pieces_n = Tensor::from_slice(&token.pieces).to_device(weights_vd.device());
        let mean_d = weights_vd.index_select(0, &pieces_n).to_kind(Kind::Float).mean_dim([0].as_slice(), false, None);
        wider_vd.get(token.id).copy_(&mean_d);
    }
    wider_vd
}

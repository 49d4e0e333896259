//! A reward model: a language model's network with a head of one output, whose value at a row's last token is the
//! score.
//!
//! On disk it has the format of transformers' models for sequence classification with one label: the network's weights
//! and `score.weight`.

use std::path::Path;

use serde_json::json;
use tch::{Kind, Tensor};

use crate::config::Config;
use crate::device::Options;
use crate::model::{Error, Model};
use crate::models::{self, Head};
use crate::pass::Pass;
use crate::rows::Rows;
use crate::weights::Weights;

/// A model that scores rows.
pub struct RewardModel {
    model: Model,
}

impl RewardModel {
    /// Makes a reward model from a language model's weights. Before training, every score is 0.
    pub fn init_from(model: &Model) -> Self {
        let mut config = model.config.clone();
        config.set("architectures", json!([models::of(&config).classifier_class]));
        config.set("num_labels", json!(1));
        config.set("id2label", json!({ "0": "reward" }));
        config.set("label2id", json!({ "reward": 0 }));
        let options = Options { device: model.device(), dtype: model.dtype() };
        let score = Tensor::zeros([1, config.hidden_size], (options.dtype, options.device));
        let kept = model.parameters().iter().filter(|(name, _)| name != "lm_head.weight");
        let kept = kept.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        let weights = Weights::copies(kept.chain([("score.weight".to_owned(), score)]), options);
        Self { model: Model::built(config, weights, Head::Score, options) }
    }

    /// Reads a folder that [`RewardModel::save`] or transformers wrote.
    pub fn load(dir: &Path, options: &Options) -> Result<Self, Error> {
        Ok(Self { model: Model::load_with_head(dir, options, Head::Score, None)? })
    }

    /// Checks a folder without reading a weight; see [`Model::inspect_layers`].
    pub fn inspect(dir: &Path, options: &Options) -> Result<Config, Error> {
        Model::inspect_with_head(dir, options, Head::Score, None)
    }

    /// Writes `config.json`, `generation_config.json` and `model.safetensors`. transformers scores rows in a batch only if
    /// the configuration names a padding token, so `pad` is set if it names none.
    pub fn save(&self, dir: &Path, pad: i64) -> Result<(), Error> {
        let mut config = self.model.config.clone();
        if !config.names_padding() {
            config.set("pad_token_id", json!(pad));
        }
        self.model.save_with(dir, config)
    }

    /// Returns the score of each row, [rows], in single precision. Gradients are computed unless they are off.
    pub fn scores(&self, rows: &Rows) -> Tensor {
        self.scores_of(rows, &self.model.hidden(rows))
    }

    /// Runs the forward pass of a training pass over the rows; see [`Model::pass`].
    pub fn pass(&self, rows: &Rows, recompute: bool) -> Pass<'_> {
        self.model.pass(rows, recompute)
    }

    /// Returns the scores of rows, as [`RewardModel::scores`] does, from their hidden states, [n, d].
    pub fn scores_of(&self, rows: &Rows, hidden_nd: &Tensor) -> Tensor {
        let last = Tensor::from_slice(&rows.last_positions()).to_device(self.model.device());
        self.model.logits(&hidden_nd.index_select(0, &last)).squeeze_dim(1).to_kind(Kind::Float)
    }

    /// Returns the underlying model.
    pub fn network(&self) -> &Model {
        &self.model
    }

    /// All parameters, sorted by name.
    pub fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }
}

//! The head on top of a network, and the full list of a model's parameters.

use crate::config::Config;
use crate::weights::Spec;

/// The layer that maps a hidden state to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// One logit for each token of the vocabulary.
    Vocabulary,
    /// One number: a reward.
    Score,
}

impl Head {
    /// Returns the name of its weight in a checkpoint.
    pub(crate) fn weight_name(self, config: &Config) -> &'static str {
        match self {
            Self::Score => "score.weight",
            Self::Vocabulary if config.tie_word_embeddings => "model.embed_tokens.weight",
            Self::Vocabulary => "lm_head.weight",
        }
    }
}

/// Lists names and shapes of all parameters.
pub(crate) fn specs(config: &Config, head: Head) -> Vec<Spec> {
    let mut specs = (super::of(config).parameters)(config);
    let rows = match head {
        Head::Vocabulary => config.vocab_size,
        Head::Score => 1,
    };
    let name = head.weight_name(config);
    // A tied head is the embedding, which is on the list.
    if specs.iter().all(|(other, _)| other != name) {
        specs.push((name.to_owned(), vec![rows, config.hidden_size]));
    }
    specs
}

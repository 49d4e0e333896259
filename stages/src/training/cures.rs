//! The keys that lower the peak of a training: those whose effect on the estimate is worth a change.
//!
//! Each change is tried on the estimate. So a key that changes a small term is not advised, and one that has its effect
//! already neither.

use lm::{Kind, footprint};

use super::memory::Sizes;
use super::rows::LargestPasses;

/// The least share of the peak that a change must save.
const WORTH: f64 = 0.05;

/// The keys of a kind that lower the peak.
#[derive(Clone, Copy, Debug)]
pub struct Cures {
    /// The key that bounds the tokens of a pass.
    pub pass: &'static str,
    /// The keys that bound what sampling holds, if the kind samples.
    pub sampling: &'static [&'static str],
    /// Whether the kind trains adapters.
    pub has_lora: bool,
}

/// The keys that most kinds have.
pub const CURES: Cures = Cures { pass: "micro-batch-tokens", sampling: &[], has_lora: true };

impl Sizes<'_> {
    /// Returns what to do, that which saves most first among the keys to lower.
    pub(super) fn cures(&self) -> String {
        let cures = self.passes.cures;
        let pass = quoted(&[cures.pass]);
        let (of_pass, of_sampling) = (self.saved(Self::with_single_rows), self.saved(Self::without_sampling));
        let mut lowered = Vec::new();
        if of_sampling >= WORTH {
            lowered.extend(quoted(cures.sampling));
        }
        if of_pass >= WORTH {
            lowered.splice(if of_pass > of_sampling { 0..0 } else { lowered.len()..lowered.len() }, pass.clone());
        }
        let dtype = self.options.dtype;
        let set: Vec<String> = [
            (true, self.saved(Self::with_checkpointing), "`gradient-checkpointing`"),
            (dtype == Kind::Float, self.saved(Self::in_bfloat16), "`dtype = \"bfloat16\"`"),
            (cures.has_lora, self.saved(Self::with_adapters), "`lora`"),
        ]
        .into_iter()
        .filter(|(is_there, saved, _)| *is_there && *saved >= WORTH)
        .map(|(_, _, key)| key.to_owned())
        .collect();
        match (either(&lowered), either(&set)) {
            (Some(lowered), Some(set)) => format!("lower {lowered}, or set {set}"),
            (Some(lowered), None) => format!("lower {lowered}"),
            (None, Some(set)) => format!("set {set}"),
            // Sampling and a pass hold about the same, and only the larger counts.
            (None, None) if self.saved(|sizes| sizes.with_single_rows().without_sampling()) >= WORTH => {
                format!("lower {}, and {}", either(&quoted(cures.sampling)).unwrap_or_default(), pass[0])
            }
            (None, None) => "no key lowers this by much: take a smaller model, or a larger machine".to_owned(),
        }
    }

    /// Returns the share of the peak that a change saves.
    fn saved(&self, change: impl FnOnce(Self) -> Self) -> f64 {
        let (now, then) = (self.total(), change(*self).total());
        1.0 - then as f64 / now.max(1) as f64
    }

    /// A pass holds at least one row.
    fn with_single_rows(mut self) -> Self {
        let row = self.passes.largest.row;
        self.passes.largest = LargestPasses { first: row, later: row, row };
        self
    }

    fn without_sampling(mut self) -> Self {
        if !self.passes.cures.sampling.is_empty() {
            self.passes.sampling = 0;
        }
        self
    }

    fn with_checkpointing(mut self) -> Self {
        self.passes.recompute = true;
        self
    }

    fn in_bfloat16(mut self) -> Self {
        let weights = footprint::parameters(self.config);
        let elements: i64 = weights.iter().map(|(_, shape)| shape.iter().product::<i64>()).sum();
        self.held = self.held.saturating_sub(2 * elements.unsigned_abs());
        self.options.dtype = Kind::BFloat16;
        self.passes.sampling /= 2;
        self
    }

    /// Adapters of a usual rank are less than a hundredth of a model.
    fn with_adapters(mut self) -> Self {
        (self.trained, self.largest) = (self.trained / 100, self.largest / 100);
        self
    }
}

fn quoted(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| format!("`{key}`")).collect()
}

fn either(keys: &[String]) -> Option<String> {
    match keys {
        [] => None,
        [one] => Some(one.clone()),
        [most @ .., last] => Some(format!("{} or {last}", most.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use lm::{Config, Device, Options, Shape};

    use super::super::memory::{Logits, Passes};
    use super::super::rows::PassSize;
    use super::*;

    /// The shape of SmolLM2-135M.
    fn config() -> Config {
        let shape = Shape {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1_536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: 3,
            head_dim: None,
            rope_theta: 100_000.0,
            max_position_embeddings: 8_192,
            tie_word_embeddings: true,
        };
        Config::new("llama", &shape).unwrap()
    }

    fn pass(tokens: usize) -> PassSize {
        PassSize { tokens, targets: tokens }
    }

    /// Returns the sizes of a training in passes of `tokens`, with rows of 500 at most, which samples `rows` of 8,192.
    fn sizes(config: &Config, dtype: Kind, tokens: usize, rows: usize) -> Sizes<'_> {
        let options = Options { device: Device::Cpu, dtype };
        let of_grpo = Cures { sampling: &["sampling-batch", "max-tokens"], ..CURES };
        let passes = Passes {
            largest: LargestPasses { first: pass(tokens), later: pass(tokens), row: pass(tokens.min(500)) },
            recompute: false,
            logits: Logits::OfTargets,
            sampling: footprint::cache(config, options, rows, 8_192),
            is_bound: true,
            cures: if rows > 0 { of_grpo } else { CURES },
        };
        let elements = 134_515_008;
        let held = elements * dtype.elt_size_in_bytes() as u64;
        Sizes { config, options, held, trained: elements, largest: 49_152 * 576, passes }
    }

    #[test]
    fn the_keys_of_the_largest_term_are_named() {
        let config = config();
        let cures = |dtype, tokens, rows| sizes(&config, dtype, tokens, rows).cures();
        let trains = "lower `micro-batch-tokens`, or set `gradient-checkpointing`";
        assert_eq!(cures(Kind::Float, 8_192, 0), format!("{trains}, `dtype = \"bfloat16\"` or `lora`"));
        assert_eq!(cures(Kind::BFloat16, 8_192, 0), format!("{trains} or `lora`"));
        let samples = "lower `sampling-batch` or `max-tokens`";
        assert_eq!(cures(Kind::BFloat16, 8_192, 512), samples);
        assert_eq!(cures(Kind::Float, 8_192, 512), format!("{samples}, or set `dtype = \"bfloat16\"`"));
        // A single row a pass: what is left is the optimiser.
        assert_eq!(cures(Kind::BFloat16, 100, 0), "set `lora`");
    }

    #[test]
    fn what_is_named_lowers_the_estimate_by_much_and_what_is_not_does_not() {
        let config = config();
        let sampling = sizes(&config, Kind::BFloat16, 8_192, 512);
        assert!(sampling.without_sampling().total() * 4 < sampling.total());
        for useless in [sampling.with_single_rows(), sampling.with_checkpointing(), sampling.with_adapters()] {
            assert!(useless.total() * 100 > sampling.total() * 95);
        }
        let mut recomputed = sizes(&config, Kind::BFloat16, 8_192, 0);
        recomputed.passes.recompute = true;
        assert!(!recomputed.cures().contains("gradient-checkpointing"), "{}", recomputed.cures());
    }
}
